"""What goes together in a meaning tree, so that both sentences make sense and the German says all the English needs.

Two rules keep a translation determined by its source. Where German word order leaves open who does what (die Frau, die
das Kind sieht), the first one is the subject; an object goes first only if its form or its kind gives it away. And what
English has to put at the end of a clause is left out behind a relative clause, to which it would attach.
"""

from dataclasses import dataclass, replace
from functools import cache

from . import lexicon
from .german import shows_case
from .meaning import Clause, Nominal, NounPhrase, PrepositionalPhrase, RelativePronoun, Slot
from .words import Adjective, Adverb, Case, Frame, Noun, Verb

PERSON_KINDS = ("person", "animate")
THING_KINDS = ("thing", "portable", "readable", "openable", "wearable", "furniture", "vehicle", "fixable")

REFERRING = (lexicon.DEFINITE, lexicon.DEMONSTRATIVE, *lexicon.POSSESSIVES)
"""Determiners that quantify nothing: negation leaves no doubt about its scope."""


@dataclass(frozen=True)
class Gap:
    """The argument of a clause that a relative pronoun or question word fills, and the kinds of what it stands for."""

    slot: Slot
    filler: Nominal | PrepositionalPhrase | Adverb
    kinds: tuple[str, ...]


@cache
def nouns_of(kinds: tuple[str, ...]) -> tuple[Noun, ...]:
    """The nouns of any of these kinds."""
    return tuple(noun for noun in lexicon.NOUNS if any(kind in noun.kinds for kind in kinds))


@cache
def adjectives_for(kinds: tuple[str, ...]) -> tuple[Adjective, ...]:
    """The adjectives for something of these kinds."""
    return tuple(adjective for adjective in lexicon.ADJECTIVES if any(kind in kinds for kind in adjective.kinds))


@cache
def verbs_with(frames: tuple[Frame, ...], slot: Slot | None, kinds: tuple[str, ...]) -> dict[Frame, tuple[Verb, ...]]:
    """The verbs by frame in whose slot something of these kinds may stand; frames without such a verb are left out."""

    def fits(verb: Verb) -> bool:
        if slot == "subject":
            return verb.subjects == "any" or verb.subjects in kinds
        if slot in ("accusative", "dative"):
            objects = ("person",) if slot == "dative" and verb.frame == "ditransitive" else verb.objects
            return any(kind in kinds for kind in objects)
        return True

    by_frame = {frame: tuple(v for v in lexicon.VERBS if v.frame == frame and fits(v)) for frame in frames}
    return {frame: verbs for frame, verbs in by_frame.items() if verbs}


def kinds_of(nominal: Nominal) -> tuple[str, ...]:
    """The kinds of what a nominal stands for; names, pronouns and question words here stand for persons."""
    if isinstance(nominal, NounPhrase):
        return nominal.noun.kinds
    if isinstance(nominal, RelativePronoun):
        return nominal.antecedent.kinds
    return PERSON_KINDS


def _noun_phrase_of(constituent: object) -> NounPhrase | None:
    nominal = constituent.complement if isinstance(constituent, PrepositionalPhrase) else constituent
    return nominal if isinstance(nominal, NounPhrase) else None


def _refers(constituent: object) -> bool:
    phrase = _noun_phrase_of(constituent)
    return phrase is None or (phrase.determiner in REFERRING and phrase.count is None)


def has_heavy_end(clause: Clause) -> bool:
    """Whether an object or place carries a relative clause, behind which English has no room."""
    phrases = [_noun_phrase_of(constituent) for constituent in (clause.accusative, clause.dative, clause.place)]
    return any(phrase is not None and phrase.relative is not None for phrase in phrases)


def may_be_negated(clause: Clause) -> bool:
    """Whether nicht or kein would say one thing only: nothing is quantified in its scope."""
    if clause.time is not None and (clause.time.middle or clause.time in lexicon.HABITUAL):
        return False
    if clause.oblique is not None and clause.oblique.preposition != lexicon.WITH:
        return False
    accusative, subject = clause.accusative, clause.subject
    if isinstance(accusative, NounPhrase) and accusative.determiner == lexicon.INDEFINITE and accusative.count is None:
        accusative = None
    if isinstance(subject, NounPhrase) and subject.determiner == lexicon.INDEFINITE:
        subject = replace(subject, determiner=lexicon.DEFINITE)
    return all(_refers(part) for part in (subject, accusative, clause.dative, clause.oblique, clause.place))


def may_go_first(nominal: Nominal | None, case: Case) -> bool:
    """Whether an object before the verb is not taken for the subject: its form or its kind gives it away."""
    if nominal is None or (isinstance(nominal, NounPhrase) and nominal.determiner == lexicon.INDEFINITE):
        return False
    return shows_case(nominal, case) or "animate" not in kinds_of(nominal)


def tells_objects_apart(subject: Nominal, gap: Gap) -> bool:
    """Whether a relative pronoun that is an object is not taken for the subject: das Kind, das er sieht."""
    pronoun = gap.filler
    if gap.slot != "accusative" or not isinstance(pronoun, RelativePronoun) or "animate" not in gap.kinds:
        return True
    return shows_case(pronoun, "accusative") or shows_case(subject, "accusative")
