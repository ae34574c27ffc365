"""Searches over models that can be computed by hand, and over small nets of every architecture."""

import math
import random
from typing import Any

import pytest
import torch

from seq2seq.batching import pad_sources
from seq2seq.decoding import Hypothesis, SearchOptions, beam_search, decode, greedy_search
from seq2seq.models import ARCHITECTURES, EncoderDecoder
from seq2seq.special_ids import BOS_ID, EOS_ID
from tests.small_models import (
    FAIRSEQ_SOURCES,
    W1,
    W2,
    TableModel,
    all_translations,
    assert_same,
    fairseq_table,
    logits,
    net,
    random_table,
    sources,
)

# Greedy search


def test_greedy_takes_the_most_probable_token_at_each_step() -> None:
    table = random_table(1, vocab_size=7)
    options = SearchOptions(beam_width=1, length_penalty="none", max_length_factor=0, max_length_offset=6)
    for first, (hypothesis,) in enumerate(decode(TableModel(table), *pad_sources([[n] for n in range(20)]), options)):
        prefix, log_probability = [], 0.0
        while len(prefix) < 6 and prefix[-1:] != [EOS_ID]:
            row = table(first, tuple(prefix))
            best = max(row[EOS_ID:])  # the special ids before it are no part of a translation
            prefix.append(row.index(best))
            log_probability += best - math.log(sum(map(math.exp, row)))
        finished = prefix[-1] == EOS_ID
        assert hypothesis.tokens == (prefix[:-1] if finished else prefix)
        assert hypothesis.finished == finished
        assert hypothesis.log_probability == pytest.approx(log_probability)


@pytest.mark.parametrize("num_levels", [None, 2, 4])
@pytest.mark.parametrize("vocab_size", [5, 20, 150])
def test_a_beam_of_one_equals_greedy_on_random_tables_ties_included(num_levels: int | None, vocab_size: int) -> None:
    options = SearchOptions(beam_width=1, max_length_factor=0, max_length_offset=8)
    batch = pad_sources([[n] for n in range(40)])
    for seed in range(3):
        model = TableModel(random_table(seed, vocab_size=vocab_size, num_levels=num_levels))
        assert beam_search(model, *batch, options) == greedy_search(model, *batch, options)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_beam_of_one_equals_greedy_on_random_nets_ties_included(architecture: str) -> None:
    options = SearchOptions(beam_width=1)
    for seed in range(10):
        model = net(architecture, seed=seed, vocab_size=40)
        batch = pad_sources(sources(seed, 12, vocab_size=40))
        assert beam_search(model, *batch, options) == greedy_search(model, *batch, options)
        for name, parameter in model.named_parameters():
            if "projection" in name:
                parameter.data.round_().clamp_(0, 1)
            elif "readout" in name or "decoder_norm" in name:
                parameter.data.zero_()  # only the rounded projection is left to tell the tokens apart
        assert beam_search(model, *batch, options) == greedy_search(model, *batch, options)


# Beam search


def test_the_published_beams_of_fairseq() -> None:
    """fairseq's tests/test_sequence_generator.py, `test_with_normalization`, written as products of probabilities."""
    options = SearchOptions(beam_width=2, num_best=2, length_penalty="average")
    found = decode(TableModel(fairseq_table), *FAIRSEQ_SOURCES, options)
    expected = [
        [([W1], 0.9 * 1.0, 2), ([W2, W1, W2], 0.1 * 0.9 * 0.9 * 1.0, 4)],
        [([W1, W2, W1], 0.7 * 0.4 * 0.4 * 1.0, 4), ([W1, W2], 0.7 * 0.4 * 0.6, 3)],
    ]
    assert_same(found, [[Hypothesis(y, math.log(p) / n, math.log(p), True) for y, p, n in one] for one in expected])


@pytest.mark.parametrize("penalty", ["none", "gnmt"])
def test_without_an_average_the_published_second_sentence_prefers_the_short(penalty: str) -> None:
    """As fairseq's `test_without_normalization` and `test_with_lenpen_favoring_short_hypos`."""
    options = SearchOptions(beam_width=2, num_best=2, length_penalty=penalty)
    found = decode(TableModel(fairseq_table), *FAIRSEQ_SOURCES, options)
    assert [[h.tokens for h in one] for one in found] == [[[W1], [W2, W1, W2]], [[W1, W2], [W1, W2, W1]]]


@pytest.mark.parametrize("options", [("none", 0.0), ("average", 0.0), ("gnmt", 0.6), ("gnmt", 2.0)])
def test_a_beam_as_wide_as_the_space_finds_all_translations_in_order(options: tuple[str, float]) -> None:
    penalty, alpha = options
    for seed in range(4):
        table = random_table(seed, vocab_size=7)
        size = 1 + 3 + 9 + 27  # ended after 1, 2, 3 tokens; not ended after 3
        wide = SearchOptions(
            beam_width=size,
            num_best=size,
            length_penalty=penalty,
            alpha=alpha,
            max_length_factor=0,
            max_length_offset=3,
        )
        found = decode(TableModel(table), *pad_sources([[0], [1], [2]]), wide)
        assert len(found[0]) == size
        assert_same(found, [all_translations(table, first, 3, wide) for first in range(3)])


def test_what_cannot_be_is_no_translation() -> None:
    """Only what has a probability comes back, even where fewer translations exist than the beam is wide."""
    options = SearchOptions(beam_width=40, num_best=40, length_penalty="none", max_length_factor=0, max_length_offset=4)
    found = decode(TableModel(fairseq_table), *FAIRSEQ_SOURCES, options)
    expected = [all_translations(fairseq_table, first, 4, options) for first in (1, 2)]
    assert [len(one) for one in expected] == [6, 9]
    for one, brute_force in zip(found, expected, strict=True):
        assert_same([sorted(one)], [sorted(brute_force)])  # by tokens, for some are equally probable


def test_a_wide_beam_finds_what_greedy_search_walks_past() -> None:
    """w1 looks better at first, w2 leads to the more probable whole."""

    def table(first: int, prefix: tuple[int, ...]) -> list[float]:
        return logits(*{(): (0.6, 0.4, 0.0), (W1,): (0.4, 0.3, 0.3)}.get(prefix, (0.0, 0.0, 1.0)))

    batch = pad_sources([[W1]])
    greedy, wide = (
        decode(TableModel(table), *batch, SearchOptions(beam_width=width, length_penalty="none"))[0][0]
        for width in (1, 2)
    )
    assert (greedy.tokens, math.exp(greedy.log_probability)) == ([W1, W1], pytest.approx(0.6 * 0.4))
    assert (wide.tokens, math.exp(wide.log_probability)) == ([W2], pytest.approx(0.4))


@pytest.mark.parametrize("max_length", [2, 6])
@pytest.mark.parametrize(("beam_width", "expected"), [(1, [[]]), (2, [[W1], []])])
def test_a_sentence_is_done_when_as_many_as_the_beam_is_wide_have_finished(
    max_length: int, beam_width: int, expected: list[list[int]]
) -> None:
    """Even if what is open looks better by then, or would become so: w2 w1 has 0.225, w1 and its end 0.21."""
    rows = {(): (0.35, 0.25, 0.4), (W1,): (0.4, 0.0, 0.6), (W2,): (0.9, 0.1, 0.0)}
    model = TableModel(lambda first, prefix: logits(*rows.get(prefix, (1.0, 0.0, 0.0))))
    options = SearchOptions(
        beam_width=beam_width, num_best=beam_width, max_length_factor=0, max_length_offset=max_length
    )
    (found,) = beam_search(model, *pad_sources([[W1]]), options)
    assert [h.tokens for h in found] == expected


@pytest.mark.parametrize("penalty", ["none", "average", "gnmt"])
def test_what_is_open_and_more_probable_than_all_that_finished_is_waited_for(penalty: str) -> None:
    """The end (0.06) and w1 with its end (0.054) fill a beam of 2 while w1 w1, in the end 0.81, is open."""
    rows = {(): (0.9, 0.04, 0.06), (W1,): (0.9, 0.04, 0.06)}
    model = TableModel(lambda first, prefix: logits(*rows.get(prefix, (0.0, 0.0, 1.0))))
    (found,) = beam_search(model, *pad_sources([[W1]]), SearchOptions(beam_width=2, length_penalty=penalty))
    assert (found[0].tokens, math.exp(found[0].log_probability)) == ([W1, W1], pytest.approx(0.81))


def test_of_equally_probable_tokens_the_first_is_taken() -> None:
    def table(first: int, prefix: tuple[int, ...]) -> list[float]:
        return [-9.0, -9.0, -9.0, 3.0 if prefix else -9.0] + [1.0] * 200

    for width in (1, 2, 4):
        options = SearchOptions(beam_width=width, num_best=width, max_length_factor=0, max_length_offset=2)
        (found,) = decode(TableModel(table), *pad_sources([[W1]]), options)
        assert [h.tokens for h in found] == [[4 + n] for n in range(width)]


def test_n_best_is_the_beginning_of_a_longer_list() -> None:
    model = net("transformer", seed=1)
    batch = pad_sources(sources(1, 6))
    five = decode(model, *batch, SearchOptions(beam_width=5, num_best=5))
    for one in five:
        assert len(one) == 5
        assert len({tuple(h.tokens) for h in one}) == 5
        assert [h.score for h in one] == sorted((h.score for h in one), reverse=True)
    assert [one[:2] for one in five] == decode(model, *batch, SearchOptions(beam_width=5, num_best=2))


# What holds for every search


SEARCHES: dict[str, dict[str, Any]] = {
    "greedy": {"beam_width": 1},
    "beam": {"beam_width": 4, "num_best": 4},
    "beam without penalty": {"beam_width": 4, "length_penalty": "none"},
    "beam with coverage": {"beam_width": 4, "num_best": 4, "length_penalty": "gnmt", "coverage_penalty": 0.3},
    "constrained greedy": {"beam_width": 1, "min_length": 3, "no_repeat_ngram_size": 2},
    "constrained beam": {"beam_width": 4, "num_best": 4, "min_length": 3, "no_repeat_ngram_size": 1, "allow_unk": True},
    "sampling": {"beam_width": 1, "num_samples": 5},
    "nucleus": {"beam_width": 1, "num_samples": 3, "temperature": 0.7, "top_k": 6, "top_p": 0.8, "min_length": 2},
}
# The recurrent net without attention has nothing to cover.
SEARCHES_OF_NETS = [(a, s) for a in ARCHITECTURES for s in SEARCHES if (a, s) != ("lstm", "beam with coverage")]


@pytest.mark.parametrize(("architecture", "search"), SEARCHES_OF_NETS)
@pytest.mark.parametrize("has_prefixes", [False, True])
def test_the_batch_a_sentence_sits_in_never_changes_its_translation(
    architecture: str, search: str, has_prefixes: bool
) -> None:
    options = SearchOptions(**SEARCHES[search], max_length_factor=1.0)
    src = sources(3, 12)
    generator = random.Random(4)
    prefix = torch.tensor([[generator.randrange(4, 12) * (t < row % 4) for t in range(3)] for row in range(12)])

    def search_for(model: EncoderDecoder, rows: list[int]) -> list[list[Hypothesis]]:
        prefix_BP = prefix[rows] if has_prefixes else None
        return decode(model, *pad_sources([src[row] for row in rows]), options, prefix_BP)

    lengths = set()
    for seed in (0, 5):
        model = net(architecture, seed=seed)
        alone = [search_for(model, [row])[0] for row in range(12)]
        for batch_size in (5, 12):
            rows = generator.sample(range(12), 12)
            for batch in (rows[start : start + batch_size] for start in range(0, 12, batch_size)):
                assert_same(search_for(model, batch), [alone[row] for row in batch])
        lengths |= {len(h.tokens) for one in alone for h in one}
    assert len(lengths) > 2  # or sentences never left the batch at different times


@pytest.mark.parametrize(("architecture", "search"), SEARCHES_OF_NETS)
def test_the_log_probability_is_that_of_teacher_forcing_the_tokens(architecture: str, search: str) -> None:
    """Whatever was forbidden, and however unlike the model's distribution the one was that tokens were drawn from."""
    options = SearchOptions(**SEARCHES[search], max_length_factor=1.0)
    src = sources(5, 8)
    endings = set()
    for seed in range(3):
        model = net(architecture, seed=seed)
        for one, hypotheses in zip(src, decode(model, *pad_sources(src), options), strict=True):
            for tokens, score, log_probability, finished in hypotheses:
                y = [*tokens, EOS_ID] if finished else tokens
                logits_1TV = model(*pad_sources([one]), torch.tensor([[BOS_ID, *y[:-1]]]))
                expected = logits_1TV.log_softmax(-1)[0, torch.arange(len(y)), y].sum().item()
                assert log_probability == pytest.approx(expected)
                if not options.coverage_penalty:
                    assert score == pytest.approx(options.penalised(expected, len(y)))
                endings.add(finished)
    assert True in endings
    assert False in endings or search not in ("greedy", "beam")  # or one of the two was not looked at


@pytest.mark.parametrize("beam_width", [1, 3])
def test_the_maximum_length_is_relative_to_the_source_and_cuts_with_a_flag(beam_width: int) -> None:
    model = TableModel(lambda first, prefix: logits(0.7, 0.3, 0.0))
    options = SearchOptions(beam_width=beam_width, max_length_factor=1.5, max_length_offset=2)
    src = [[W1] * n for n in (0, 1, 2, 5)]  # and one end of sentence each
    found = decode(model, *pad_sources(src), options)
    assert [(len(one[0].tokens), one[0].finished) for one in found] == [(3, False), (5, False), (6, False), (11, False)]


@pytest.mark.parametrize("beam_width", [1, 3])
def test_the_end_of_sentence_counts_towards_the_maximum_length(beam_width: int) -> None:
    model = TableModel(lambda first, prefix: logits(0.0, 0.0, 1.0) if len(prefix) == 2 else logits(1.0, 0.0, 0.0))
    for max_length, expected in ((2, ([W1, W1], False)), (3, ([W1, W1], True))):
        options = SearchOptions(beam_width=beam_width, max_length_factor=0, max_length_offset=max_length)
        ((best,),) = decode(model, *pad_sources([[W1]]), options)
        assert (best.tokens, best.finished) == expected


@pytest.mark.parametrize("beam_width", [1, 3])
def test_an_empty_translation_is_a_translation(beam_width: int) -> None:
    model = TableModel(lambda first, prefix: logits(0.1, 0.1, 0.8))
    ((best,),) = decode(model, *pad_sources([[W1]]), SearchOptions(beam_width=beam_width))
    assert (best.tokens, best.finished) == ([], True)


# Options


def test_the_gnmt_penalty_is_that_of_the_paper() -> None:
    options = SearchOptions(length_penalty="gnmt", alpha=0.6)
    divisors = [1 / options.penalised(1.0, length) for length in (1, 2, 3)]
    assert divisors == pytest.approx([1.0, 1.0969, 1.1884], abs=1e-4)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"beam_width": 0}, "^beam_width is 0; it must be at least 1$"),
        ({"num_best": 6}, "^num_best is 6; it must lie between 1 and beam_width 5$"),
        ({"num_best": 0}, "^num_best is 0; it must lie between 1 and beam_width 5$"),
        ({"length_penalty": "mean"}, "^length_penalty is 'mean'; use none, average or gnmt$"),
        ({"max_length_factor": 0.0, "max_length_offset": 0}, "leave no room for a token; raise one of them$"),
        ({"max_length_factor": -1.0}, "leave no room for a token; raise one of them$"),
        ({"min_length": -1}, "^min_length is -1; it must be at least 0, which is off$"),
        ({"no_repeat_ngram_size": -1}, "^no_repeat_ngram_size is -1; it must be at least 0, which is off$"),
        ({"coverage_penalty": math.nan}, "^coverage_penalty is nan; it must be at least 0, which is off$"),
        ({"coverage_penalty": 0.2, "beam_width": 1}, "^coverage_penalty chooses among the .* a beam_width above 1$"),
        ({"num_samples": 3}, "^num_samples 3 draws, beam_width 5 and num_best 1 search for the best; set both to 1, "),
        ({"num_samples": 3, "beam_width": 1, "temperature": 0.0}, "^temperature is 0.0; it must be above 0 "),
        ({"num_samples": 3, "beam_width": 1, "top_p": 1.5}, "^top_p is 1.5; it must be above 0 and at most 1, "),
        ({"num_samples": 3, "beam_width": 1, "top_k": -3}, "^top_k is -3; it must be at least 0, which is off$"),
        ({"temperature": 0.5}, "^temperature is of no use to a search; give num_samples to draw translations$"),
        ({"top_p": 0.9, "beam_width": 1}, "^top_p is of no use to a search; give num_samples to draw translations$"),
    ],
)
def test_options_that_cannot_be_are_refused_with_those_that_can(keywords: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SearchOptions(**keywords)
