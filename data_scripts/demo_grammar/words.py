"""The kinds of words and how their forms follow from the principal parts that a dictionary gives."""

from dataclasses import dataclass, replace
from typing import Literal

Gender = Literal["masculine", "feminine", "neuter"]
Number = Literal["singular", "plural"]
Case = Literal["nominative", "accusative", "dative", "genitive"]
Person = Literal[1, 2, 3]
Tense = Literal["present", "past"]
Frame = Literal["intransitive", "motion", "transitive", "dative", "ditransitive", "clausal", "copula"]
Conjugation = tuple[str, str, str, str]
"""The finite forms for ich, du, er and the plural (wir and sie have the same)."""


@dataclass(frozen=True)
class Noun:
    """A noun with its principal parts; `oblique` is the accusative and dative singular (Student -> Studenten)."""

    gender: Gender
    nominative: str
    oblique: str
    genitive: str
    plural: str
    english: str
    english_plural: str
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Adjective:
    """An adjective; `stem` takes the endings (teuer -> teur-), lower `rank` stands further left on both sides."""

    german: str
    stem: str
    english: str
    rank: int
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Verb:
    """A verb of both languages; `infinitive` and `present` are without the separable prefix."""

    infinitive: str
    prefix: str
    present: Conjugation
    preterite: Conjugation | None
    """Verbs that have one use it for the past; all others use the perfect."""
    participle: str
    auxiliary: Literal["haben", "sein"]
    english: tuple[str, str, str]
    """Base form, third person singular, past."""
    particle: str
    """English particle, which stands behind a pronoun object: picks him up, picks up the child."""
    frame: Frame
    subjects: str
    objects: tuple[str, ...]
    oblique: Literal["", "mit", "für"]
    """The preposition of a companion (mit, ohne) or beneficiary (für) that the verb may take."""
    stative: bool
    """Stative verbs take no modal verb and no place."""
    conjunction: Literal["", "dass", "ob"]
    """What opens the clause that a clausal verb takes."""


@dataclass(frozen=True)
class Modal:
    """A modal verb (or werden); `english` is (present, past) of an auxiliary, (base, third, past) of a verb + to."""

    infinitive: str
    present: Conjugation
    preterite: Conjugation | None
    style: Literal["auxiliary", "verb", "be"]
    english: tuple[str, ...]


@dataclass(frozen=True)
class Determiner:
    """A determiner; `endings` names its own declension, `adjectives` that of the adjectives behind it."""

    stem: str
    endings: Literal["der", "dieser", "ein"]
    adjectives: Literal["weak", "mixed", "strong"]
    english: str
    english_plural: str


@dataclass(frozen=True)
class Pronoun:
    """A personal pronoun: German nominative, accusative, dative; English subject and object form."""

    person: Person
    number: Number
    german: tuple[str, str, str]
    english: tuple[str, str]


@dataclass(frozen=True)
class Name:
    """A proper name, the same on both sides and in every case."""

    name: str


@dataclass(frozen=True)
class Adverb:
    """A fixed adverbial phrase; one in the `middle` stands before the English verb (often)."""

    german: str
    english: str
    middle: bool = False


@dataclass(frozen=True)
class Preposition:
    """A preposition with the case it governs; `kinds` says what may stand behind it."""

    german: str
    english: str
    case: Case
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Conjunction:
    """A subordinating conjunction; `tenses` are the tenses of the main clause it goes with."""

    german: str
    english: str
    tenses: tuple[Tense, ...]


def noun(german: str, english: str, kinds: str) -> Noun:
    """Noun from a dictionary entry, e.g. "der Mann -es Männer", "man men", "person"."""
    article, nominative, suffix, plural = german.split()
    genders: dict[str, Gender] = {"der": "masculine", "die": "feminine", "das": "neuter"}
    genitive = nominative + suffix.strip("-")
    is_weak = genders[article] == "masculine" and suffix.endswith("n")
    singular, _, english_plural = english.partition(" ")
    oblique = genitive if is_weak else nominative
    return Noun(
        genders[article],
        nominative,
        oblique,
        genitive,
        plural,
        singular,
        english_plural or singular + "s",
        tuple(kinds.split()),
    )


def compound(german: str, english: str, head: Noun) -> Noun:
    """Compound of a modifier and its head, which gives gender, inflection and kinds: Küchen + Tür -> Küchentür."""
    return replace(
        head,
        nominative=german + head.nominative.lower(),
        oblique=german + head.oblique.lower(),
        genitive=german + head.genitive.lower(),
        plural=german + head.plural.lower(),
        english=f"{english} {head.english}",
        english_plural=f"{english} {head.english_plural}",
    )


def verb(
    german: str,
    english: str,
    frame: Frame,
    objects: str = "",
    *,
    subjects: str = "person",
    particle: str = "",
    oblique: Literal["", "mit", "für"] = "",
    stative: bool = False,
    conjunction: Literal["", "dass", "ob"] = "",
    present: Conjugation | None = None,
    preterite: Conjugation | None = None,
) -> Verb:
    """Verb from its principal parts, e.g. "aufmachen, macht auf, hat aufgemacht", "open, opens, opened"."""
    infinitive, third, perfect = german.split(", ")
    third, _, prefix = third.partition(" ")
    auxiliary, participle = perfect.split()
    infinitive = infinitive.removeprefix(prefix)
    if present is None:
        # A stem in s, ß or z swallows the s of -st: du liest, du tanzt.
        second = third if third[-2] in "sßz" else third[:-1] + "st"
        present = (infinitive.removesuffix("n"), second, third, infinitive)
    base, english_third, past = english.split(", ")
    return Verb(
        infinitive,
        prefix,
        present,
        preterite,
        participle,
        "sein" if auxiliary == "ist" else "haben",
        (base, english_third, past),
        particle,
        frame,
        subjects,
        tuple(objects.split()),
        oblique,
        stative,
        conjunction,
    )
