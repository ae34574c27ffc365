"""Meaning trees drawn with dice, within what constraints.py allows."""

from collections.abc import Sequence
from dataclasses import replace

from . import lexicon
from .constraints import (
    PERSON_KINDS,
    REFERRING,
    THING_KINDS,
    Gap,
    adjectives_for,
    has_heavy_end,
    kinds_of,
    may_be_negated,
    may_go_first,
    nouns_of,
    tells_objects_apart,
    verbs_with,
)
from .dice import Dice
from .english import cardinal as english_cardinal
from .german import cardinal as german_cardinal
from .german import shows_case
from .meaning import (
    Cardinal,
    Clause,
    Nominal,
    NounPhrase,
    PrepositionalPhrase,
    QuestionWord,
    RelativePronoun,
    Sentence,
    Slot,
    SubordinateClause,
)
from .words import (
    Adjective,
    Adverb,
    Case,
    Determiner,
    Frame,
    Modal,
    Name,
    Noun,
    Number,
    Preposition,
    Pronoun,
    Tense,
    Verb,
)

# Relative frequencies.
_FRAMES: dict[Frame, int] = {
    "intransitive": 16,
    "motion": 9,
    "transitive": 36,
    "dative": 13,
    "ditransitive": 10,
    "copula": 16,
}
_FRAMES_OF_CARRIER: dict[str, tuple[Frame, ...]] = {
    "object": ("transitive", "dative", "ditransitive"),
    "place": ("intransitive", "motion", "copula"),
    "complement": ("clausal",),
}
_FRAMES_OF_GAP: dict[Slot, tuple[Frame, ...]] = {
    "accusative": ("transitive", "ditransitive"),
    "dative": ("dative", "ditransitive"),
    "place": ("intransitive", "copula"),
}
_SINGULAR_DETERMINERS: dict[Determiner, int] = {
    lexicon.DEFINITE: 50,
    lexicon.INDEFINITE: 22,
    lexicon.DEMONSTRATIVE: 9,
    lexicon.UNIVERSAL_SINGULAR: 5,
    **dict.fromkeys(lexicon.POSSESSIVES, 3),
}
_PLURAL_DETERMINERS: dict[Determiner, int] = {
    lexicon.DEFINITE: 40,
    lexicon.INDEFINITE: 26,
    lexicon.DEMONSTRATIVE: 9,
    lexicon.UNIVERSAL_PLURAL: 6,
    lexicon.MANY: 6,
    **dict.fromkeys(lexicon.POSSESSIVES, 3),
}
_NUMS_ADJECTIVES = {0: 58, 1: 35, 2: 7}


class Sampler:
    """Draws sentences; `branching` is the chance that a clause holds a second nested clause beside the one it must."""

    def __init__(self, dice: Dice, *, branching: float = 0.0):
        self.dice = dice
        self.branching = branching

    def sentence(self, depth: int) -> Sentence:
        """A sentence with exactly `depth` levels of nested clauses."""
        if self.dice.chance(0.12):
            return Sentence((self._question(depth),), is_question=True)
        if self.dice.chance(0.1 + 0.3 * self.branching):
            depths = (depth, self.dice.below(depth + 1))
            first, second = depths if self.dice.chance(0.5) else depths[::-1]
            clauses = (self.clause(first, is_main=True), self.clause(second, is_main=True))
            return Sentence(clauses, "aber" if self.dice.chance(0.3) else "und")
        return Sentence((self.clause(depth, is_main=True),))

    def _question(self, depth: int) -> Clause:
        word = self.dice.weighted({"none": 5, "wer": 2, "wen": 1, "was": 2, "wem": 1, "wo": 2, "wann": 1, "warum": 1})
        if word in ("none", "wann", "warum"):
            clause = self.clause(depth)
            time = {"none": clause.time, "wann": lexicon.WHEN, "warum": lexicon.WHY}[word]
            return replace(clause, time=time, negated=clause.negated and word == "warum")
        person = QuestionWord("person")
        gap = {
            "wer": Gap("subject", person, PERSON_KINDS),
            "wen": Gap("accusative", person, PERSON_KINDS),
            "was": Gap("accusative", QuestionWord("thing"), THING_KINDS),
            "wem": Gap("dative", person, PERSON_KINDS),
            "wo": Gap("place", lexicon.WHERE, ("place",)),
        }[word]
        clause = self.clause(depth, gap=gap)
        return replace(clause, negated=clause.negated and word == "wer")

    def clause(
        self, depth: int, *, tense: Tense | None = None, gap: Gap | None = None, is_main: bool = False
    ) -> Clause:
        """A clause with exactly `depth` levels of clauses nested in it, around a gap if there is one."""
        if tense is None:
            tense = "past" if self.dice.chance(0.45) else "present"
        nested = self._nested_depths(depth, gap)
        verb = self._verb(nested, gap)
        clause = self._arguments(verb, tense, nested, gap)
        if not verb.stative and self.dice.chance(0.22):
            clause = replace(clause, modal=self._modal(clause))
        clause = self._adverbials(clause, nested, is_main=is_main)
        if verb.frame == "clausal":
            complement = self.clause(nested["complement"] - 1, tense=self._embedded_tense(tense))
            clause = replace(clause, complement=complement)
        if "adverbial" in nested:
            subordinate = self._adverbial_clause(tense, nested["adverbial"] - 1)
            clause = replace(clause, adverbial_clause=subordinate)
        subject = clause.subject
        if may_be_negated(clause) and self.dice.chance(0.2):
            clause = replace(clause, negated=True)
        elif is_main and isinstance(subject, NounPhrase) and clause.time != lexicon.NEVER and self.dice.chance(0.04):
            subject = replace(subject, determiner=lexicon.NEGATIVE, count=None, possessor=None)
            clause = replace(clause, subject=subject)
        return replace(clause, front=self._front(clause)) if is_main else clause

    def _modal(self, clause: Clause) -> Modal | None:
        """A modal that goes with tense and subject: things have a future, but neither wishes nor duties."""
        if "animate" not in kinds_of(clause.subject):
            return lexicon.WERDEN if clause.tense == "present" else None
        return self.dice.choice([m for m in lexicon.MODALS if clause.tense == "present" or m.preterite is not None])

    def _embedded_tense(self, tense: Tense) -> Tense | None:
        """Inside the past all is past, as the English sequence of tenses wants it; inside the present anything goes."""
        return "past" if tense == "past" else None

    def _nested_depths(self, depth: int, gap: Gap | None) -> dict[str, int]:
        """Which parts of a clause carry how many levels of nested clauses, the deepest of them `depth`."""
        if depth == 0:
            return {}
        weights = {"subject": 25, "object": 30, "place": 8, "complement": 22, "adverbial": 30}
        if gap is not None:
            allowed: tuple[str, ...] = ("subject", "adverbial")
            if gap.slot == "subject":
                allowed = ("object", "place", "complement", "adverbial")
                if "person" not in gap.kinds:
                    allowed = ("object", "place", "adverbial") if "animal" in gap.kinds else ("adverbial",)
            weights = {part: weight for part, weight in weights.items() if part in allowed}
        carrier = self.dice.weighted(weights)
        nested = {carrier: depth}
        for part in ("subject", "adverbial"):
            # Behind a complement clause an adverbial clause would belong to that one.
            is_free = part in weights and part not in nested and not (part == "adverbial" and carrier == "complement")
            if is_free and self.dice.chance(self.branching):
                nested[part] = 1 + self.dice.below(depth)
        return nested

    def _verb(self, nested: dict[str, int], gap: Gap | None) -> Verb:
        frames: tuple[Frame, ...] = tuple(_FRAMES)
        for carrier in nested:
            frames = _FRAMES_OF_CARRIER.get(carrier, frames)
        if gap is not None:
            frames = tuple(frame for frame in _FRAMES_OF_GAP.get(gap.slot, frames) if frame in frames)
        verbs = verbs_with(frames, gap.slot if gap is not None else None, gap.kinds if gap is not None else ())
        return self.dice.choice(verbs[self.dice.weighted({frame: _FRAMES.get(frame, 1) for frame in verbs})])

    def _arguments(self, verb: Verb, tense: Tense, nested: dict[str, int], gap: Gap | None) -> Clause:
        """The clause with subject, objects and predicate."""
        filler = gap.filler if gap is not None and not isinstance(gap.filler, PrepositionalPhrase | Adverb) else None
        slot = gap.slot if gap is not None else None
        used: list[Noun | Name] = [filler.antecedent] if isinstance(filler, RelativePronoun) else []
        if filler is not None and slot == "subject":
            subject: Nominal = filler
        else:
            subject = self._subject(verb, tense, nested, gap, used)
        object_depth = nested.get("object", 0)
        clause = Clause(verb, subject, tense=tense)
        if verb.frame in ("dative", "ditransitive"):
            owners = verb.objects if verb.frame == "dative" else ("person",)
            dative = filler if slot == "dative" else self._object(owners, "dative", tense, object_depth, subject, used)
            clause = replace(clause, dative=dative)
        if verb.frame in ("transitive", "ditransitive"):
            depth = object_depth if verb.frame == "transitive" else 0
            accusative = filler
            if slot != "accusative":
                accusative = self._object(verb.objects, "accusative", tense, depth, subject, used)
            clause = replace(clause, accusative=accusative)
        if verb.frame == "copula" and slot != "place" and "place" not in nested:
            kinds = kinds_of(subject)
            if "place" in kinds or self.dice.chance(0.6):
                return replace(clause, predicate=self.dice.choice(adjectives_for(kinds)))
        if gap is not None and isinstance(gap.filler, PrepositionalPhrase | Adverb):
            return replace(clause, place=gap.filler)
        # Nothing may follow an object with a relative clause in English.
        may_have_place = verb.frame in ("intransitive", "transitive") and not verb.stative and not object_depth
        needs_place = verb.frame in ("motion", "copula") or "place" in nested
        if needs_place or (may_have_place and self.dice.chance(0.25)):
            clause = replace(clause, place=self._place(verb, tense, kinds_of(subject), nested.get("place", 0), used))
        return clause

    def _subject(
        self, verb: Verb, tense: Tense, nested: dict[str, int], gap: Gap | None, used: list[Noun | Name]
    ) -> Nominal:
        kinds: tuple[str, ...] = (verb.subjects,)
        if verb.subjects == "any":
            kinds = self.dice.weighted({("person",): 5, ("animal",): 1, ("thing",): 3, ("place",): 1})
            if gap is not None and "furniture" in gap.kinds:
                kinds = ("portable",)
            elif kinds == ("place",) and ("place" in nested or (gap is not None and gap.slot == "place")):
                kinds = ("person",)
        while True:
            draft = list(used)
            subject = self._nominal(kinds, tense, nested.get("subject", 0), draft, is_subject=True)
            if gap is None or tells_objects_apart(subject, gap):
                used[:] = draft
                return subject

    def _object(
        self, kinds: tuple[str, ...], case: Case, tense: Tense, depth: int, subject: Nominal, used: list[Noun | Name]
    ) -> Nominal:
        """An object that is no pronoun of the subject's person (I see me) and no ambiguous one (sie)."""
        while True:
            nominal = self._nominal(kinds, tense, depth, used)
            if not isinstance(nominal, Pronoun):
                return nominal
            is_reflexive = isinstance(subject, Pronoun) and nominal.person == subject.person
            if shows_case(nominal, case) and not is_reflexive:
                return nominal

    def _nominal(
        self, kinds: tuple[str, ...], tense: Tense, depth: int, used: list[Noun | Name], *, is_subject: bool = False
    ) -> Nominal:
        """A pronoun, name or noun phrase; it carries a relative clause if depth > 0. Its noun is added to `used`."""
        if depth == 0 and ("person" in kinds or "animate" in kinds):
            if self.dice.chance(0.24 if is_subject else 0.16):
                return self.dice.choice(lexicon.PRONOUNS)
            if self.dice.chance(0.1):
                name = self.dice.choice([name for name in lexicon.NAMES if name not in used])
                used.append(name)
                return name
        return self._noun_phrase(kinds, tense, depth, used)

    def _noun_phrase(self, kinds: tuple[str, ...], tense: Tense, depth: int, used: list[Noun | Name]) -> NounPhrase:
        noun = self.dice.choice([noun for noun in nouns_of(kinds) if noun not in used])
        used.append(noun)
        number: Number = "plural" if self.dice.chance(0.28) else "singular"
        determiner = self.dice.weighted(_PLURAL_DETERMINERS if number == "plural" else _SINGULAR_DETERMINERS)
        if determiner in lexicon.POSSESSIVES and (depth > 0 or "unowned" in noun.kinds):
            determiner = lexicon.DEFINITE
        count = None
        if number == "plural" and determiner in (lexicon.DEFINITE, lexicon.INDEFINITE) and self.dice.chance(0.35):
            count = self._cardinal()
        phrase = NounPhrase(noun, determiner, number, self._adjectives(noun), count)
        if depth > 0:
            return replace(phrase, relative=self.relative_clause(noun, number, tense, depth - 1))
        is_possessable = determiner == lexicon.DEFINITE and "animate" not in noun.kinds and "'" not in noun.english
        if is_possessable and self.dice.chance(0.15):
            owner = self.dice.choice([noun for noun in nouns_of(("person",)) if noun not in used])
            owner_determiner = self.dice.choice(REFERRING[:2] if "unowned" in owner.kinds else REFERRING)
            possessor = NounPhrase(owner, owner_determiner, adjectives=self._adjectives(owner)[:1])
            phrase = replace(phrase, possessor=possessor)
        return phrase

    def _adjectives(self, noun: Noun) -> tuple[Adjective, ...]:
        """None to two adjectives in the order that both languages share."""
        number = self.dice.weighted(_NUMS_ADJECTIVES)
        chosen = [self.dice.choice(adjectives_for(noun.kinds)) for _ in range(number)]
        if number == 2 and chosen[0].rank == chosen[1].rank:
            chosen.pop()
        return tuple(sorted(chosen, key=lambda adjective: adjective.rank))

    def _cardinal(self) -> Cardinal:
        if self.dice.chance(0.6):
            return Cardinal(self.dice.choice(tuple(lexicon.CARDINALS)))
        return Cardinal(2 + self.dice.below(49), digits=True)

    def relative_clause(self, noun: Noun, number: Number, tense: Tense, depth: int) -> Clause:
        """A relative clause in which the antecedent is subject, object or place."""
        pronoun = RelativePronoun(noun, number)
        slots: dict[Slot, int] = {"subject": 50, "accusative": 25, "dative": 15}
        if "thing" in noun.kinds:
            slots = {"subject": 25, "accusative": 65, "place": 10 if "furniture" in noun.kinds else 0}
        elif "place" in noun.kinds:
            slots = {"subject": 30, "place": 70}
        slot = self.dice.weighted(slots)
        filler: Nominal | PrepositionalPhrase = pronoun
        if slot == "place":
            options: Sequence[Preposition] = (lexicon.IN,)
            if "furniture" in noun.kinds:
                options = lexicon.THING_LOCATIONS
            filler = PrepositionalPhrase(self.dice.choice(options), pronoun)
        return self.clause(depth, tense=self._embedded_tense(tense), gap=Gap(slot, filler, noun.kinds))

    def _place(
        self, verb: Verb, tense: Tense, subject_kinds: tuple[str, ...], depth: int, used: list[Noun | Name]
    ) -> PrepositionalPhrase | Adverb:
        if verb.frame == "motion":
            preposition = lexicon.INTO
        elif depth == 0 and self.dice.chance(0.25):
            return self.dice.choice(lexicon.PLACE_ADVERBS)
        elif verb.frame == "copula" and "portable" in subject_kinds and self.dice.chance(0.7):
            preposition = self.dice.choice(lexicon.THING_LOCATIONS)
        else:
            preposition = self.dice.choice((lexicon.IN, lexicon.IN, lexicon.IN, *lexicon.LOCATIONS))
        return PrepositionalPhrase(preposition, self._noun_phrase(preposition.kinds, tense, depth, used))

    def _adverbials(self, clause: Clause, nested: dict[str, int], *, is_main: bool) -> Clause:
        """The clause with companion or beneficiary and time, where English has a place for them."""
        verb = clause.verb
        is_heavy = has_heavy_end(clause)
        if verb.oblique and not is_heavy and self.dice.chance(0.18):
            preposition = lexicon.FOR
            if verb.oblique == "mit":
                preposition = lexicon.WITHOUT if self.dice.chance(0.25) else lexicon.WITH
            used: list[Noun | Name] = [n.noun for n in (clause.subject, clause.accusative) if isinstance(n, NounPhrase)]
            phrase = self._noun_phrase(preposition.kinds, clause.tense, 0, used)
            clause = replace(clause, oblique=PrepositionalPhrase(preposition, phrase))
        is_trait = clause.predicate is not None and clause.predicate.rank > 0
        if verb.stative or is_trait or not self.dice.chance(0.38 if is_main else 0.16):
            return clause
        time = self._time(clause)
        # Only the front of a main clause keeps a time away from a relative clause at the end.
        if is_heavy and not time.middle and (not is_main or "adverbial" in nested):
            return clause
        return replace(clause, time=time)

    def _time(self, clause: Clause) -> Adverb:
        if clause.modal is None and self.dice.chance(0.3):
            return self.dice.choice(lexicon.FREQUENCY)
        cardinal = self._cardinal()
        words = german_cardinal(cardinal), english_cardinal(cardinal)
        units = self.dice.choice((("Tagen", "days"), ("Wochen", "weeks"), ("Jahren", "years")))
        if cardinal.value <= 12 and self.dice.chance(0.1):
            return Adverb(f"um {words[0]} Uhr", f"at {words[1]} o'clock")
        if clause.tense == "past":
            numbered = Adverb(f"vor {words[0]} {units[0]}", f"{words[1]} {units[1]} ago")
            return self.dice.choice((*lexicon.PAST, numbered))
        if clause.modal is None:
            return self.dice.choice(lexicon.HABITUAL)
        return self.dice.choice((*lexicon.FUTURE, Adverb(f"in {words[0]} {units[0]}", f"in {words[1]} {units[1]}")))

    def _adverbial_clause(self, tense: Tense, depth: int) -> SubordinateClause:
        conjunction = self.dice.choice([c for c in lexicon.CONJUNCTIONS if tense in c.tenses])
        if conjunction.german in ("weil", "obwohl"):
            return SubordinateClause(conjunction, self.clause(depth, tense=self._embedded_tense(tense)))
        clause = self.clause(depth, tense=tense)
        if clause.modal == lexicon.WERDEN:  # English has no future after when and before
            clause = replace(clause, modal=None)
        if conjunction.german == "bevor":  # nothing comes before what never or always happens
            is_frequency = clause.time is not None and clause.time.middle
            clause = replace(clause, negated=False, time=None if is_frequency else clause.time)
        return SubordinateClause(conjunction, clause)

    def _front(self, clause: Clause) -> Slot:
        """What the main clause begins with."""
        if clause.adverbial_clause is not None and (clause.complement is not None or self.dice.chance(0.45)):
            return "adverbial_clause"
        is_heavy = has_heavy_end(clause)
        has_end_time = clause.time is not None and not clause.time.middle
        if is_heavy and has_end_time:
            return "time"
        weights: dict[Slot, int] = {"subject": 60}
        if has_end_time:
            weights["time"] = 40
        if clause.place is not None and clause.verb.frame not in ("motion", "copula"):
            weights["place"] = 20
        if may_go_first(clause.accusative, "accusative"):
            weights["accusative"] = 15
        if may_go_first(clause.dative, "dative"):
            weights["dative"] = 15
        return self.dice.weighted(weights)
