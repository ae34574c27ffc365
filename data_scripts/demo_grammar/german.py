"""A meaning tree in German: declension, conjugation and the word order of main and subordinate clauses."""

from dataclasses import replace
from typing import Literal, TypeGuard

from .lexicon import CARDINALS, HABEN_PRESENT, INDEFINITE, NEGATIVE, SEIN_PRESENT
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
    wh_slot,
)
from .words import Adverb, Case, Conjugation, Determiner, Name, Noun, Number, Pronoun

VerbPosition = Literal["first", "second", "last"]

CASES: tuple[Case, ...] = ("nominative", "accusative", "dative", "genitive")

# Endings by gender or plural, then in the order of CASES; "-" is no ending.
_DIESER = {"masculine": "er en em es", "feminine": "e e er er", "neuter": "es es em es", "plural": "e e en er"}
_EIN = {"masculine": "- en em es", "feminine": "e e er er", "neuter": "- - em es", "plural": "e e en er"}
_WEAK = {"masculine": "e en en en", "feminine": "e e en en", "neuter": "e e en en", "plural": "en en en en"}
_MIXED = {"masculine": "er en en en", "feminine": "e e en en", "neuter": "es es en en", "plural": "en en en en"}
_STRONG = {"masculine": "er en em en", "feminine": "e e er er", "neuter": "es es em en", "plural": "e e en er"}
_DER = {"masculine": "er en em es", "feminine": "ie ie er er", "neuter": "as as em es", "plural": "ie ie en er"}

_DETERMINER_ENDINGS = {"der": _DER, "dieser": _DIESER, "ein": _EIN}
_ADJECTIVE_ENDINGS = {"weak": _WEAK, "mixed": _MIXED, "strong": _STRONG}
_QUESTION_WORDS = {"person": ("wer", "wen", "wem"), "thing": ("was", "was", "")}
_CONTRACTIONS = {("in", "dem"): "im", ("in", "das"): "ins"}
_MIDFIELD: tuple[Slot, ...] = ("subject", "dative", "accusative", "oblique", "place", "predicate")


def _ending(table: dict[str, str], noun: Noun, number: Number, case: Case) -> str:
    column = "plural" if number == "plural" else noun.gender
    return table[column].split()[CASES.index(case)].strip("-")


def _noun_form(noun: Noun, number: Number, case: Case) -> str:
    if number == "plural":
        return noun.plural + ("n" if case == "dative" and noun.plural[-1] not in "ns" else "")
    return {"nominative": noun.nominative, "genitive": noun.genitive}.get(case, noun.oblique)


def _has_article(determiner: Determiner, number: Number) -> bool:
    return not (determiner == INDEFINITE and number == "plural")


def cardinal(count: Cardinal) -> str:
    """The number as a German word or as digits."""
    return str(count.value) if count.digits else CARDINALS[count.value][0]


def noun_phrase(phrase: NounPhrase, case: Case) -> list[str]:
    """A noun phrase in a case: determiner, number, adjectives, noun, genitive, relative clause between commas."""
    words = []
    adjective_declension = "strong"
    if _has_article(phrase.determiner, phrase.number):
        table = _DETERMINER_ENDINGS[phrase.determiner.endings]
        words.append(phrase.determiner.stem + _ending(table, phrase.noun, phrase.number, case))
        adjective_declension = phrase.determiner.adjectives
    if phrase.count is not None:
        words.append(cardinal(phrase.count))
    adjective_ending = _ending(_ADJECTIVE_ENDINGS[adjective_declension], phrase.noun, phrase.number, case)
    words += [adjective.stem + adjective_ending for adjective in phrase.adjectives]
    words.append(_noun_form(phrase.noun, phrase.number, case))
    if phrase.possessor is not None:
        words += noun_phrase(phrase.possessor, "genitive")
    if phrase.relative is not None:
        words += [",", *clause_words(phrase.relative, "last"), ","]
    return words


def nominal_words(nominal: Nominal, case: Case) -> list[str]:
    """Any nominal in a case."""
    if isinstance(nominal, NounPhrase):
        return noun_phrase(nominal, case)
    if isinstance(nominal, Name):
        return [nominal.name]
    if isinstance(nominal, Pronoun):
        return [nominal.german[CASES.index(case)]]
    if isinstance(nominal, QuestionWord):
        return [_QUESTION_WORDS[nominal.asks_for][CASES.index(case)]]
    if nominal.number == "plural" and case == "dative":
        return ["denen"]
    return ["d" + _ending(_DER, nominal.antecedent, nominal.number, case)]


def shows_case(nominal: Nominal, case: Case) -> bool:
    """Whether a nominal in this case looks different from its nominative (den Hund does, die Katze does not)."""
    if isinstance(nominal, NounPhrase):
        nominal = replace(nominal, relative=None)
    return nominal_words(nominal, case) != nominal_words(nominal, "nominative")


def _prepositional_phrase(phrase: PrepositionalPhrase) -> list[str]:
    preposition, complement = phrase.preposition, phrase.complement
    words = [preposition.german, *nominal_words(complement, preposition.case)]
    # Before a restrictive relative clause the article stays whole: in dem Haus, das ...
    if isinstance(complement, NounPhrase) and complement.relative is None and (words[0], words[1]) in _CONTRACTIONS:
        words[:2] = [_CONTRACTIONS[words[0], words[1]]]
    return words


def _finite(forms: Conjugation, subject: Nominal) -> str:
    if isinstance(subject, NounPhrase | RelativePronoun | Pronoun) and subject.number == "plural":
        return forms[3]
    return forms[subject.person - 1] if isinstance(subject, Pronoun) else forms[2]


def verbal_complex(clause: Clause) -> tuple[str, list[str], str]:
    """The finite verb, the non-finite verbs at the end, and the separable prefix of a finite lexical verb."""
    verb, modal = clause.verb, clause.modal
    if modal is not None:
        forms = modal.present if clause.tense == "present" else modal.preterite
        assert forms is not None, f"{modal.infinitive} has no past here"
        return _finite(forms, clause.subject), [verb.prefix + verb.infinitive], ""
    forms = verb.present if clause.tense == "present" else verb.preterite
    if forms is not None:
        return _finite(forms, clause.subject), [], verb.prefix
    auxiliary = SEIN_PRESENT if verb.auxiliary == "sein" else HABEN_PRESENT
    return _finite(auxiliary, clause.subject), [verb.participle], ""


def _is_indefinite(nominal: Nominal | None) -> TypeGuard[NounPhrase]:
    return isinstance(nominal, NounPhrase) and nominal.determiner == INDEFINITE


def _has_relative_clause(nominal: Nominal) -> bool:
    return isinstance(nominal, NounPhrase) and nominal.relative is not None


def _constituents(clause: Clause) -> dict[Slot, list[str]]:
    """The words of each filled slot."""
    words: dict[Slot, list[str]] = {"subject": nominal_words(clause.subject, "nominative")}
    if clause.accusative is not None:
        accusative = clause.accusative
        if clause.negated and _is_indefinite(accusative):
            accusative = replace(accusative, determiner=NEGATIVE)
        words["accusative"] = nominal_words(accusative, "accusative")
    if clause.dative is not None:
        words["dative"] = nominal_words(clause.dative, "dative")
    if clause.time is not None:
        words["time"] = [clause.time.german]
    if clause.oblique is not None:
        words["oblique"] = _prepositional_phrase(clause.oblique)
    if clause.place is not None:
        place = clause.place
        words["place"] = [place.german] if isinstance(place, Adverb) else _prepositional_phrase(place)
    if clause.predicate is not None:
        words["predicate"] = [clause.predicate.german]
    if clause.adverbial_clause is not None:
        words["adverbial_clause"] = subordinate_clause(clause.adverbial_clause)
    return words


def subordinate_clause(subordinate: SubordinateClause) -> list[str]:
    """An adverbial clause between commas, its verb last."""
    return [",", subordinate.conjunction.german, *clause_words(subordinate.clause, "last"), ","]


def _midfield(clause: Clause, words: dict[Slot, list[str]], front: Slot | None) -> list[str]:
    """What stands between the two verb positions.

    Order: subject, object pronouns, time, dative, accusative, nicht, companion, place, predicate. A subject with a
    relative clause stands behind the object pronouns. oft, immer and nie stand where nicht stands, but before an object
    that is indefinite or has a relative clause: liest das Buch oft, kauft oft Bücher.
    """
    slots = [slot for slot in _MIDFIELD if slot in words and slot != front]
    pronouns = [s for s in slots if s in ("dative", "accusative") and isinstance(getattr(clause, s), Pronoun)]
    objects = [s for s in slots if s in ("dative", "accusative") and s not in pronouns]
    order = [words[slot] for slot in pronouns]
    if "subject" in slots:
        order.insert(len(order) if _has_relative_clause(clause.subject) else 0, words["subject"])
    if clause.time is not None and front != "time":
        known = 0
        if clause.time.middle:
            nominals = [getattr(clause, slot) for slot in objects]
            is_late = [_is_indefinite(nominal) or _has_relative_clause(nominal) for nominal in nominals]
            known = is_late.index(True) if True in is_late else len(objects)
        order += [words[slot] for slot in objects[:known]] + [words["time"]]
        objects = objects[known:]
    order += [words[slot] for slot in objects]
    if clause.negated and not _is_indefinite(clause.accusative):
        order.append(["nicht"])
    order += [words[slot] for slot in slots if slot in ("oblique", "place", "predicate")]
    return [word for constituent in order for word in constituent]


def clause_words(clause: Clause, position: VerbPosition) -> list[str]:
    """A clause with its finite verb first (questions), second (main clauses) or last (subordinate clauses)."""
    words = _constituents(clause)
    front = wh_slot(clause)
    if front is None and position == "second":
        front = clause.front
    finite, nonfinite, prefix = verbal_complex(clause)
    fronted = words[front] if front is not None else []
    midfield = _midfield(clause, words, front)
    if position == "last":
        result = [*fronted, *midfield, *nonfinite, prefix + finite]
    else:
        result = [*fronted, finite, *midfield, *nonfinite, *([prefix] if prefix else [])]
    if clause.complement is not None:
        result += [",", clause.verb.conjunction, *clause_words(clause.complement, "last"), ","]
    if clause.adverbial_clause is not None and front != "adverbial_clause":
        result += words["adverbial_clause"]
    return result


def punctuate(words: list[str], mark: str) -> str:
    """Words and commas as written text: no comma at an edge, doubled or after und; a capital first, the mark last."""
    text = ""
    for word in words:
        if word != ",":
            text += f" {word}" if text else word
        elif text and not text.endswith((",", " und", " aber")):
            text += ","
    text = text.removesuffix(",") + mark
    return text[0].upper() + text[1:]


def german(sentence: Sentence) -> str:
    """The sentence as German text."""
    if sentence.is_question:
        clause = sentence.clauses[0]
        return punctuate(clause_words(clause, "first"), "?")
    words = clause_words(sentence.clauses[0], "second")
    for clause in sentence.clauses[1:]:
        words += [",", "aber"] if sentence.conjunction == "aber" else [sentence.conjunction]
        words += clause_words(clause, "second")
    return punctuate(words, ".")
