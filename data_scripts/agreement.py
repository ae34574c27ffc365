"""Subject-verb agreement at a distance: English sentences up to their verb, from the grammar of the demo corpus.

    the old dogs which my brother saw in the garden     ->  plural

`distance` words stand between the subject's noun and the verb that would come next: a relative clause, perhaps with
others nested in it, perhaps adverbs. Nouns among them, the attractors of Linzen et al. 2016
(https://arxiv.org/abs/1611.01368), are singular or plural as it comes. Sentences come in pairs that differ in their
subject and in nothing behind it, so what has forgotten the subject is right in exactly one of the two. A clause whose
own verb agrees with the subject (the dogs which sleep) would say the number again and is not used.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from demo_grammar import lexicon
from demo_grammar.constraints import REFERRING, adjectives_for
from demo_grammar.english import clause_words, noun_phrase
from demo_grammar.meaning import Clause, NounPhrase, PrepositionalPhrase, RelativePronoun, wh_slot
from demo_grammar.sampling import Sampler
from demo_grammar.words import Number

NUMBERS: tuple[Number, Number] = ("singular", "plural")
_MAX_WAITING = 100  # pairs of a distance that are kept until their turn


class MinimalPair(NamedTuple):
    """The words before a verb, for a subject in the singular and in the plural."""

    distance: int
    singular: str
    plural: str


def minimal_pairs(sampler: Sampler, *, max_distance: int) -> Iterator[MinimalPair]:
    """Endlessly, pairs with distances 0, 1, ... `max_distance` in turns."""
    waiting: list[list[MinimalPair]] = [[] for _ in range(max_distance + 1)]
    while True:
        for distance, wanted in enumerate(waiting):
            while not wanted:
                pair = _draw(sampler, distance)
                if pair is not None and pair.distance <= max_distance and len(waiting[pair.distance]) < _MAX_WAITING:
                    waiting[pair.distance].append(pair)
            yield wanted.pop(0)


def _draw(sampler: Sampler, near: int) -> MinimalPair | None:
    """A pair whose distance is not far from `near`; None if a word behind the subject's noun depends on its number."""
    dice = sampler.dice
    noun = dice.choice(lexicon.NOUNS)
    determiner = dice.choice(REFERRING[:2] if "unowned" in noun.kinds else REFERRING)
    adjectives = (dice.choice(adjectives_for(noun.kinds)),) if dice.chance(0.5) else ()
    behind: dict[Number, list[str]] = {"singular": [], "plural": []}
    if near > 2:
        # Each level of nesting adds some ten words.
        clause = sampler.relative_clause(noun, "singular", "present", dice.below(2 + near // 10))
        behind = {number: clause_words(_about(clause, RelativePronoun(noun, number))) for number in NUMBERS}
        if behind["singular"] != behind["plural"]:
            return None
    adverbs = []
    if near in (1, 2) and dice.chance(0.5):
        adverbs.append(dice.choice(lexicon.PLACE_ADVERBS).english)
    if near > 0 and dice.chance(0.3):
        adverbs.append(dice.choice(lexicon.FREQUENCY).english)
    words = {n: noun_phrase(NounPhrase(noun, determiner, n, adjectives)) + behind[n] + adverbs for n in NUMBERS}
    # Some words of the lexicon are several: next to, in the evening.
    singular, plural = (" ".join(words[number]) for number in NUMBERS)
    return MinimalPair(len(" ".join(behind["plural"] + adverbs).split()), singular, plural)


def _about(clause: Clause, pronoun: RelativePronoun) -> Clause:
    """The relative clause with another pronoun."""
    slot = wh_slot(clause)
    assert slot is not None, "a relative clause has a pronoun"
    filler = getattr(clause, slot)
    is_phrase = isinstance(filler, PrepositionalPhrase)
    return replace(clause, **{slot: replace(filler, complement=pronoun) if is_phrase else pronoun})
