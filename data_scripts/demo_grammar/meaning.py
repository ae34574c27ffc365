"""The meaning tree: what is said, before it is put into German or English words.

A sentence holds clauses, a clause has a verb and its arguments, a noun phrase may carry a relative clause. The word
order of neither language is in the tree; only what the speaker puts first (`Clause.front`) is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from .words import (
    Adjective,
    Adverb,
    Conjunction,
    Determiner,
    Modal,
    Name,
    Noun,
    Number,
    Preposition,
    Pronoun,
    Tense,
    Verb,
)

Slot = Literal["subject", "accusative", "dative", "time", "oblique", "place", "predicate", "adverbial_clause"]


@dataclass(frozen=True)
class Cardinal:
    """A number, written as a word or as digits: drei or 3."""

    value: int
    digits: bool = False


@dataclass(frozen=True)
class NounPhrase:
    """A determiner, adjectives, a noun and what hangs on it; the plural of `INDEFINITE` has no article."""

    noun: Noun
    determiner: Determiner
    number: Number = "singular"
    adjectives: tuple[Adjective, ...] = ()
    count: Cardinal | None = None
    possessor: "NounPhrase | None" = None
    relative: "Clause | None" = None
    """The relative clause: one argument of it is a `RelativePronoun` made for this noun and number."""


@dataclass(frozen=True)
class RelativePronoun:
    """The relative pronoun for an antecedent; it stands in its clause where the antecedent is missing."""

    antecedent: Noun
    number: Number


@dataclass(frozen=True)
class QuestionWord:
    """Asks for a person (wer, wen, wem) or a thing (was)."""

    asks_for: Literal["person", "thing"]


Nominal = NounPhrase | Pronoun | Name | RelativePronoun | QuestionWord


@dataclass(frozen=True)
class PrepositionalPhrase:
    """A preposition and its complement."""

    preposition: Preposition
    complement: Nominal


@dataclass(frozen=True)
class SubordinateClause:
    """An adverbial clause behind its conjunction: weil ..., obwohl ..."""

    conjunction: Conjunction
    clause: "Clause"


@dataclass(frozen=True)
class Clause:
    """A verb with its arguments and adverbials.

    `front` is what stands before the finite verb of a German main clause. A question word or relative pronoun goes to
    the front by itself. English follows for time, place and adverbial clause; a fronted object stays behind its verb.
    """

    verb: Verb
    subject: Nominal
    accusative: Nominal | None = None
    dative: Nominal | None = None
    predicate: Adjective | None = None
    time: Adverb | None = None
    oblique: PrepositionalPhrase | None = None
    place: PrepositionalPhrase | Adverb | None = None
    complement: "Clause | None" = None
    adverbial_clause: SubordinateClause | None = None
    tense: Tense = "present"
    modal: Modal | None = None
    negated: bool = False
    front: Slot = "subject"


@dataclass(frozen=True)
class Sentence:
    """One main clause, or two joined by und or aber; a question with or without a question word."""

    clauses: tuple[Clause, ...]
    conjunction: Literal["", "und", "aber"] = ""
    is_question: bool = False


def is_wh(constituent: object) -> bool:
    """Whether a constituent is, or has behind its preposition, a relative pronoun or question word."""
    if isinstance(constituent, PrepositionalPhrase):
        constituent = constituent.complement
    if isinstance(constituent, Adverb):
        return constituent.english in ("where", "when", "why")
    return isinstance(constituent, RelativePronoun | QuestionWord)


def wh_slot(clause: Clause) -> Slot | None:
    """The slot of the clause that holds a relative pronoun or question word, which goes to the front."""
    slots: tuple[Slot, ...] = ("subject", "accusative", "dative", "time", "oblique", "place")
    return next((slot for slot in slots if is_wh(getattr(clause, slot))), None)


def embedded_clauses(clause: Clause) -> Iterator[Clause]:
    """The clauses directly inside a clause: relative, complement and adverbial clauses."""
    for constituent in (clause.subject, clause.dative, clause.accusative, clause.oblique, clause.place):
        nominal = constituent.complement if isinstance(constituent, PrepositionalPhrase) else constituent
        if isinstance(nominal, NounPhrase) and nominal.relative is not None:
            yield nominal.relative
    if clause.complement is not None:
        yield clause.complement
    if clause.adverbial_clause is not None:
        yield clause.adverbial_clause.clause


def depth(tree: Sentence | Clause) -> int:
    """How many clauses are nested in each other below the main clause: 0 for a simple sentence."""
    if isinstance(tree, Sentence):
        return max(depth(clause) for clause in tree.clauses)
    return max((1 + depth(clause) for clause in embedded_clauses(tree)), default=0)
