"""A meaning tree in English: agreement, do-support and the word order of statements, questions and relative clauses."""

from .lexicon import CARDINALS, DEFINITE, INDEFINITE
from .meaning import Cardinal, Clause, Nominal, NounPhrase, PrepositionalPhrase, QuestionWord, Sentence, Slot, wh_slot
from .words import Adverb, Modal, Name, Pronoun

# Words that sound otherwise than they are written: an honest man.
_SILENT_H = ("honest",)
_CONJUNCTIONS = {"und": "and", "aber": "but", "dass": "that", "ob": "whether"}


def _article(next_word: str) -> str:
    return "an" if next_word[0] in "aeiou" or next_word in _SILENT_H else "a"


def cardinal(count: Cardinal) -> str:
    """The number as an English word or as digits."""
    return str(count.value) if count.digits else CARDINALS[count.value][1]


def noun_phrase(phrase: NounPhrase, *, negated: bool = False) -> list[str]:
    """A noun phrase: determiner or possessor, number, adjectives, noun, relative clause; `negated` makes any books."""
    words = []
    if phrase.count is not None:
        words.append(cardinal(phrase.count))
    words += [adjective.english for adjective in phrase.adjectives]
    words += (phrase.noun.english_plural if phrase.number == "plural" else phrase.noun.english).split()
    if phrase.possessor is not None:
        assert phrase.determiner == DEFINITE, "English has either a possessor or a determiner"
        *rest, last = noun_phrase(phrase.possessor)
        words = [*rest, last + ("'" if last.endswith("s") else "'s"), *words]
    elif phrase.determiner == INDEFINITE and phrase.number == "singular":
        words.insert(0, _article(words[0]))
    elif phrase.determiner == INDEFINITE:
        words = ["any", *words] if negated else words
    else:
        plural = phrase.number == "plural"
        words.insert(0, phrase.determiner.english_plural if plural else phrase.determiner.english)
    if phrase.relative is not None:
        words += clause_words(phrase.relative)
    return words


def nominal_words(nominal: Nominal, *, is_subject: bool = False, after_preposition: bool = False) -> list[str]:
    """Any nominal as a subject or as an object."""
    if isinstance(nominal, NounPhrase):
        return noun_phrase(nominal)
    if isinstance(nominal, Name):
        return [nominal.name]
    if isinstance(nominal, Pronoun):
        return [nominal.english[0 if is_subject else 1]]
    if isinstance(nominal, QuestionWord):
        return ["what" if nominal.asks_for == "thing" else "who" if is_subject else "whom"]
    if "person" in nominal.antecedent.kinds:
        return ["who" if is_subject else "whom"]
    return ["which"]


def _place(place: PrepositionalPhrase | Adverb) -> list[str]:
    if isinstance(place, Adverb):
        return [place.english]
    return [place.preposition.english, *nominal_words(place.complement)]


def _is_third_singular(subject: Nominal) -> bool:
    if isinstance(subject, Pronoun):
        return subject.person == 3 and subject.number == "singular"
    return isinstance(subject, Name | QuestionWord) or subject.number == "singular"


def _inflected(forms: tuple[str, ...], clause: Clause) -> str:
    base, third, past = forms
    if clause.tense == "past":
        return past
    return third if _is_third_singular(clause.subject) else base


def _be(clause: Clause) -> str:
    subject = clause.subject
    is_i = isinstance(subject, Pronoun) and subject.english[0] == "I"
    if clause.tense == "past":
        return "was" if is_i or _is_third_singular(subject) else "were"
    return "am" if is_i else "is" if _is_third_singular(subject) else "are"


def _auxiliary(modal: Modal, clause: Clause) -> str:
    present, past = modal.english
    assert clause.tense == "present" or past, f"{present} has no past here"
    return present if clause.tense == "present" else past


def verb_group(clause: Clause, *, needs_auxiliary: bool) -> tuple[str, str]:
    """The finite auxiliary (empty without one) and the rest; with `needs_auxiliary` do steps in where there is none."""
    modal = clause.modal
    if modal is None and clause.verb.frame == "copula":
        return _be(clause), ""
    base = clause.verb.english[0]
    if modal is not None and modal.style == "auxiliary":
        return _auxiliary(modal, clause), base
    if modal is not None and modal.style == "be":
        return _be(clause), f"{modal.english[0]} {base}"
    forms = clause.verb.english if modal is None else tuple(f"{form} {base}" for form in modal.english)
    if needs_auxiliary:
        return _inflected(("do", "does", "did"), clause), forms[0]
    return "", _inflected(forms, clause)


def _predicate_words(clause: Clause, wh: Slot | None, front: Slot | None) -> list[str]:
    """What follows the verb: objects, companion, place, time, complement clause, adverbial clause."""
    words = []
    particle = [clause.verb.particle] if clause.verb.particle else []
    # A German dative is the object of the English verb (helps the child); beside an object it becomes to the child.
    direct_slot: Slot = "accusative" if clause.verb.frame != "dative" else "dative"
    direct = clause.accusative if direct_slot == "accusative" else clause.dative
    if direct is None or wh == direct_slot:
        words += particle
    elif isinstance(direct, Pronoun):
        words += nominal_words(direct) + particle
    elif isinstance(direct, NounPhrase):
        words += particle + noun_phrase(direct, negated=clause.negated)
    else:
        words += particle + nominal_words(direct)
    if clause.dative is not None and direct_slot != "dative" and wh != "dative":
        words += ["to", *nominal_words(clause.dative)]
    if clause.predicate is not None:
        words.append(clause.predicate.english)
    if clause.oblique is not None and wh != "oblique":
        words += _place(clause.oblique)
    if clause.place is not None and front != "place":
        words += _place(clause.place)
    if clause.time is not None and not clause.time.middle and front != "time":
        words.append(clause.time.english)
    if clause.complement is not None:
        words += [_CONJUNCTIONS[clause.verb.conjunction], *clause_words(clause.complement)]
    if clause.adverbial_clause is not None and front != "adverbial_clause":
        subordinate = clause.adverbial_clause
        words += [subordinate.conjunction.english, *clause_words(subordinate.clause)]
    return words


def _fronted(clause: Clause, front: Slot | None) -> list[str]:
    """The words that stand before the subject."""
    if front == "accusative" and clause.accusative is not None:
        return nominal_words(clause.accusative)
    if front == "dative" and clause.dative is not None:
        return [*(["to"] if clause.verb.frame == "ditransitive" else []), *nominal_words(clause.dative)]
    if front == "time" and clause.time is not None:
        return [clause.time.english]
    if front == "place" and clause.place is not None:
        return _place(clause.place)
    if front == "oblique" and clause.oblique is not None:
        return _place(clause.oblique)
    if front == "adverbial_clause" and clause.adverbial_clause is not None:
        subordinate = clause.adverbial_clause
        return [subordinate.conjunction.english, *clause_words(subordinate.clause), ","]
    return []


def clause_words(clause: Clause, *, is_main: bool = False, is_question: bool = False) -> list[str]:
    """A clause: fronted words, then subject before verb, or an auxiliary before the subject in a question."""
    wh = wh_slot(clause)
    front: Slot | None = wh
    if wh is None and is_main and clause.front in ("time", "place", "adverbial_clause"):
        front = clause.front
    is_inverted = is_question and wh != "subject"
    auxiliary, rest = verb_group(clause, needs_auxiliary=clause.negated or is_inverted)
    negation = ["not"] if clause.negated else []
    subject = nominal_words(clause.subject, is_subject=True)
    start = [auxiliary, *subject, *negation] if is_inverted else [*subject, auxiliary, *negation]
    if not is_inverted and auxiliary == "can" and clause.negated:
        start = [*subject, "cannot"]
    middle = [clause.time.english] if clause.time is not None and clause.time.middle else []
    words = [*_fronted(clause, front), *start, *middle, rest, *_predicate_words(clause, wh, front)]
    return [word for word in words if word]


def english(sentence: Sentence) -> str:
    """The sentence as English text."""
    words = clause_words(sentence.clauses[0], is_main=True, is_question=sentence.is_question)
    for clause in sentence.clauses[1:]:
        words += [",", "but"] if sentence.conjunction == "aber" else [_CONJUNCTIONS[sentence.conjunction]]
        words += clause_words(clause, is_main=True)
    text = " ".join(words).replace(" ,", ",")
    return text[0].upper() + text[1:] + ("?" if sentence.is_question else ".")
