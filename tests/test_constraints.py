"""What a search may not choose: against all translations without those that are forbidden, and naive greedy search."""

import dataclasses
import itertools
import math

import pytest
import torch

from seq2seq.batching import pad_sources
from seq2seq.decoding import Hypothesis, SearchOptions, beam_search, decode, greedy_search
from seq2seq.models import ARCHITECTURES
from seq2seq.special_ids import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from tests.small_models import W1, W2, TableModel, all_translations, assert_same, net, random_table, sources

BATCH = pad_sources([[n] for n in range(20)])


def ngrams(tokens: list[int], size: int) -> list[list[int]]:
    return [tokens[start : start + size] for start in range(len(tokens) - size + 1)]


def repeats(tokens: list[int], size: int) -> bool:
    """Whether an n-gram of this size comes twice."""
    return len(set(map(tuple, ngrams(tokens, size)))) < len(ngrams(tokens, size))


def limited(max_length: int, **keywords: object) -> SearchOptions:
    return SearchOptions(max_length_factor=0, max_length_offset=max_length, **keywords)  # type: ignore[arg-type]


@pytest.mark.parametrize(("min_length", "size"), [(2, 0), (3, 0), (9, 0), (0, 1), (0, 2), (0, 3), (2, 1), (1, 2)])
@pytest.mark.parametrize("prefix", [(), (W1,), (W2, W2)])
@pytest.mark.parametrize("penalty", ["none", "average"])
def test_a_beam_as_wide_as_the_space_finds_all_that_is_allowed(
    min_length: int, size: int, prefix: tuple[int, ...], penalty: str
) -> None:
    """With the scores of the model, which nothing that is forbidden raises."""
    table = random_table(3, vocab_size=7)
    options = limited(
        3, beam_width=40, num_best=40, length_penalty=penalty, min_length=min_length, no_repeat_ngram_size=size
    )

    def is_allowed(one: Hypothesis) -> bool:
        is_long = len(one.tokens) >= min(min_length, 3)
        # The prefix stands as it is; what comes behind it repeats nothing.
        ends = range(len(prefix) + 1, len(one.tokens) + 1) if size else ()
        is_new = all(one.tokens[end - size : end] not in ngrams(one.tokens[: end - 1], size) for end in ends)
        return is_long and is_new and tuple(one.tokens[: len(prefix)]) == prefix

    prefix_BP = torch.tensor([prefix] * 3, dtype=torch.long) if prefix else None
    found = decode(TableModel(table), *pad_sources([[0], [1], [2]]), options, prefix_BP)
    expected = [[h for h in all_translations(table, first, 3, options) if is_allowed(h)] for first in range(3)]
    assert_same(found, expected)


@pytest.mark.parametrize("size", [0, 1, 2, 3])
@pytest.mark.parametrize("min_length", [0, 4])
@pytest.mark.parametrize("num_levels", [None, 3])
def test_greedy_search_takes_the_most_probable_of_what_is_allowed(
    size: int, min_length: int, num_levels: int | None
) -> None:
    table = random_table(7, vocab_size=20, num_levels=num_levels)
    options = limited(9, beam_width=1, min_length=min_length, no_repeat_ngram_size=size)
    found = greedy_search(TableModel(table), *BATCH, options)
    for first, (hypothesis,) in enumerate(found):
        tokens: list[int] = []
        while len(tokens) < 9:
            row = table(first, tuple(tokens))
            allowed = [
                y
                for y in range(EOS_ID, 20)
                if (y != EOS_ID or len(tokens) >= min_length) and not (size and repeats([*tokens, y], size))
            ]
            y = max(allowed, key=lambda y: row[y])
            if y == EOS_ID:
                break
            tokens.append(y)
        assert hypothesis.tokens == tokens
    assert beam_search(TableModel(table), *BATCH, options) == found


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("size", [1, 2, 3])
def test_no_ngram_comes_twice_in_a_beam_or_a_sample(architecture: str, size: int) -> None:
    batch = pad_sources(sources(1, 10))
    model = net(architecture, seed=2)
    repeated = 0
    for keywords in ({"beam_width": 4, "num_best": 4}, {"beam_width": 1, "num_samples": 4}):
        options = SearchOptions(**keywords, min_length=4, max_length_factor=1.0)  # type: ignore[arg-type]
        free, found = (
            itertools.chain(*decode(model, *batch, dataclasses.replace(options, no_repeat_ngram_size=n)))
            for n in (0, size)
        )
        assert not any(repeats(h.tokens, size) for h in found)
        repeated += sum(repeats(h.tokens, size) for h in free)
    assert repeated > 0  # or nothing was shown


@pytest.mark.parametrize("keywords", [{"beam_width": 1}, {"beam_width": 3, "num_best": 3}, {"num_samples": 3}])
def test_padding_and_begin_of_sentence_are_never_chosen_and_the_unknown_when_allowed(
    keywords: dict,
) -> None:
    chosen: dict[bool, set[int]] = {}
    for allow_unk in (False, True):
        options = limited(8, **{"beam_width": 1, **keywords}, allow_unk=allow_unk)
        found = itertools.chain(*decode(TableModel(random_table(1, vocab_size=6)), *BATCH, options))
        chosen[allow_unk] = {token for h in found for token in h.tokens}
    assert chosen == {False: {W1, W2}, True: {W1, W2, UNK_ID}}


@pytest.mark.parametrize("keywords", [{"beam_width": 1}, {"beam_width": 3, "num_best": 3}, {"num_samples": 3}])
def test_each_sentence_goes_on_from_its_own_prefix(keywords: dict) -> None:
    prefixes = [[], [W2], [W1, W1, W1, W1], [UNK_ID]]  # whatever is forbidden elsewhere, a prefix stands as it is
    prefix_BP = torch.tensor([[*prefix, *[PAD_ID] * (4 - len(prefix))] for prefix in prefixes])
    table = random_table(4, vocab_size=9)
    options = limited(7, **{"beam_width": 1, **keywords}, no_repeat_ngram_size=2, min_length=1)
    found = decode(TableModel(table), *pad_sources([[0], [1], [2], [3]]), options, prefix_BP)
    for first, (prefix, one) in enumerate(zip(prefixes, found, strict=True)):
        assert len({tuple(h.tokens) for h in one}) >= 1
        for hypothesis in one:
            assert hypothesis.tokens[: len(prefix)] == prefix
            y = [*hypothesis.tokens, EOS_ID] if hypothesis.finished else hypothesis.tokens
            rows = [(table(first, tuple(y[:t])), y[t]) for t in range(len(y))]
            expected = sum(row[token] - math.log(sum(map(math.exp, row))) for row, token in rows)
            assert hypothesis.log_probability == pytest.approx(expected)
    without = decode(TableModel(table), *pad_sources([[0]]), options)
    assert_same(found[:1], without)


def test_a_prefix_longer_than_the_maximum_leaves_room_for_the_end() -> None:
    prefix_BP = torch.tensor([[W1, W2, W1]])
    for keywords in ({"beam_width": 1}, {"beam_width": 2}, {"beam_width": 1, "num_samples": 2}):
        model = TableModel(random_table(1, vocab_size=6))
        found = decode(model, *pad_sources([[0]]), limited(2, **keywords), prefix_BP)
        for hypothesis in found[0]:
            assert hypothesis.tokens[:3] == [W1, W2, W1]
            assert len(hypothesis.tokens) + hypothesis.finished == 4


def test_a_vocabulary_that_is_used_up_ends_a_translation_before_its_minimum() -> None:
    table = random_table(2, vocab_size=6)
    for keywords in ({"beam_width": 1}, {"beam_width": 2}, {"beam_width": 1, "num_samples": 2}):
        options = limited(8, **keywords, min_length=5, no_repeat_ngram_size=1)
        for hypothesis in itertools.chain(*decode(TableModel(table), *BATCH, options)):
            assert sorted(hypothesis.tokens) == [W1, W2]
            assert hypothesis.finished


def test_the_maximum_length_goes_before_the_minimum() -> None:
    for keywords in ({"beam_width": 1}, {"beam_width": 2}):
        found = decode(TableModel(random_table(2, vocab_size=9)), *BATCH, limited(3, **keywords, min_length=5))
        assert {(len(one[0].tokens), one[0].finished) for one in found} == {(3, False)}


def test_begin_of_sentence_is_no_part_of_an_ngram() -> None:
    """Else the first token of a translation could not be banned by what comes behind the begin of sentence."""
    assert BOS_ID not in {W1, W2}
    (found,) = decode(
        TableModel(lambda first, prefix: [0.0, 0.0, 9.0, -9.0, 5.0, 0.0]),
        *pad_sources([[0]]),
        limited(4, beam_width=1, no_repeat_ngram_size=3),
    )
    assert found[0].tokens == [W1, W1, W1, W2]
