"""The coverage penalty, from attention weights that stand in a table."""

import math
import random

import pytest

from seq2seq.batching import pad_sources
from seq2seq.decoding import Hypothesis, SearchOptions, decode
from tests.small_models import W1, W2, TableModel, all_translations, assert_same, logits, net, random_table


def attention(first: int, prefix: tuple[int, ...]) -> list[float]:
    """Two source positions, the word and its end of sentence."""
    p = random.Random(f"{first} {prefix}").random()
    return [p, 1 - p]


def penalised(one: Hypothesis, first: int, beta: float) -> Hypothesis:
    """With eq. 14 of Wu et al. 2016 written out: a row of weights for each token, the end of sentence too."""
    rows = [attention(first, tuple(one.tokens[:t])) for t in range(len(one.tokens) + one.finished)]
    cost = sum(math.log(min(sum(row[i] for row in rows), 1.0)) for i in range(2))
    return one._replace(score=one.score + beta * cost)


@pytest.mark.parametrize("penalty", ["none", "average", "gnmt"])
@pytest.mark.parametrize("beta", [0.2, 3.0])
def test_a_beam_as_wide_as_the_space_ranks_by_coverage_too(penalty: str, beta: float) -> None:
    table = random_table(1, vocab_size=7)
    size = 1 + 3 + 9 + 27
    options = SearchOptions(
        beam_width=size,
        num_best=size,
        length_penalty=penalty,
        coverage_penalty=beta,
        max_length_factor=0,
        max_length_offset=3,
    )
    found = decode(TableModel(table, attention), *pad_sources([[1], [2], [3]]), options)
    for first, one in enumerate(found, 1):
        expected = [penalised(h, first, beta) for h in all_translations(table, first, 3, options)]
        assert_same([one], [sorted(expected, key=lambda h: -h.score)])


def test_what_reads_the_whole_source_wins_over_what_is_a_little_more_probable() -> None:
    """Twice w1 looks at the first of two positions only; w2 looks at the first, then at the second."""
    rows = {(): (0.55, 0.45, 0.0), (W1,): (1.0, 0.0, 0.0), (W2,): (1.0, 0.0, 0.0)}
    model = TableModel(
        lambda first, prefix: logits(*rows.get(prefix, (0.0, 0.0, 1.0))),
        lambda first, prefix: [0.1, 0.9] if prefix[:1] == (W2,) else [0.9, 0.1],
    )
    batch = pad_sources([[W1]])
    without, with_penalty = (
        decode(model, *batch, SearchOptions(beam_width=2, length_penalty="none", coverage_penalty=beta))[0][0]
        for beta in (0.0, 0.4)
    )
    assert without.tokens == [W1, W1]
    assert with_penalty.tokens == [W2, W1]
    assert with_penalty.score == pytest.approx(math.log(0.45))  # both positions got 1 in all: no cost
    assert with_penalty.log_probability == pytest.approx(math.log(0.45))


def test_a_model_without_attention_is_refused() -> None:
    options = SearchOptions(coverage_penalty=0.2)
    message = "^coverage_penalty needs a model with attention, and this one has none; leave it out$"
    with pytest.raises(ValueError, match=message):
        decode(net("lstm", seed=0), *pad_sources([[W1]]), options)
