"""Sampling: its frequencies against the probabilities of all translations; and only the sentence decides them."""

import math
from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from seq2seq.batching import pad_sources
from seq2seq.decoding import SearchOptions, decode, greedy_search, sample
from seq2seq.decoding.sampling import draw
from seq2seq.models import ARCHITECTURES, Step
from tests.small_models import (
    FAIRSEQ_SOURCES,
    Table,
    TableModel,
    all_translations,
    fairseq_table,
    net,
    random_table,
    sources,
)

# 99.9 % of samples from the right distribution stay below, by degrees of freedom (NIST's table of chi-square).
CHI_SQUARE = {1: 10.828, 2: 13.816, 3: 16.266, 4: 18.467, 5: 20.515, 6: 22.458, 7: 24.322, 8: 26.125, 9: 27.877}
SAMPLES = 3000


def drawn(num_samples: int, max_length: int = 4, **keywords: object) -> SearchOptions:
    return SearchOptions(
        beam_width=1,
        num_samples=num_samples,
        max_length_factor=0,
        max_length_offset=max_length,
        **keywords,  # type: ignore[arg-type]
    )


def hotter(temperature: float) -> Callable[[list[float]], list[float]]:
    return lambda row: [logit / temperature for logit in row]


def top_k(k: int) -> Callable[[list[float]], list[float]]:
    return lambda row: [logit if logit in sorted(row)[-k:] else -math.inf for logit in row]


def top_p(p: float) -> Callable[[list[float]], list[float]]:
    """The fewest tokens, the most probable first, that are at least so probable together."""

    def nucleus(row: list[float]) -> list[float]:
        total, kept = sum(map(math.exp, row)), 0.0
        result = [-math.inf] * len(row)
        for y in sorted(range(len(row)), key=lambda y: -row[y]):
            if kept < p:
                result[y] = row[y]
            kept += math.exp(row[y]) / total
        return result

    return nucleus


@pytest.mark.parametrize(
    ("keywords", "change"),
    [
        ({}, lambda row: row),
        ({"seed": 2}, lambda row: row),
        ({"temperature": 0.5}, hotter(0.5)),
        ({"temperature": 2.0}, hotter(2.0)),
        ({"top_k": 1}, top_k(1)),
        ({"top_k": 2}, top_k(2)),
        ({"top_p": 0.75}, top_p(0.75)),
        ({"top_p": 0.5}, top_p(0.5)),
        ({"temperature": 2.0, "top_k": 2, "top_p": 0.6}, lambda row: top_p(0.6)(top_k(2)(hotter(2.0)(row)))),
    ],
)
def test_translations_come_as_often_as_they_are_probable(
    keywords: dict, change: Callable[[list[float]], list[float]]
) -> None:
    found = sample(TableModel(fairseq_table), *FAIRSEQ_SOURCES, drawn(SAMPLES, **keywords))
    truth: Table = lambda first, prefix: change(fairseq_table(first, prefix))  # noqa: E731
    for first, samples in zip((1, 2), found, strict=True):
        assert len(samples) == SAMPLES
        counts = Counter((tuple(one.tokens), one.finished) for one in samples)
        p = {
            (tuple(one.tokens), one.finished): math.exp(one.log_probability)
            for one in all_translations(truth, first, 4, drawn(1))
        }
        assert counts.keys() <= p.keys()
        statistic = sum((counts[y] - SAMPLES * p[y]) ** 2 / (SAMPLES * p[y]) for y in p)
        assert statistic < CHI_SQUARE[len(p) - 1] if len(p) > 1 else statistic == 0


def test_samples_of_different_sentences_are_independent() -> None:
    """Two sentences with one distribution, fair coins: the pairs of their first samples are four equal shares."""
    heads: Table = lambda first, prefix: [-math.inf] * 4 + [0.0, 0.0]  # noqa: E731
    found = sample(TableModel(heads), *pad_sources([[n] for n in range(2000)]), drawn(2, max_length=1))
    for pairs in (
        zip((one[0] for one in found[::2]), (one[0] for one in found[1::2]), strict=True),  # neighbours
        ((one[0], one[1]) for one in found),  # samples of one sentence
    ):
        counts = Counter((left.tokens[0], right.tokens[0]) for left, right in pairs)
        quarter = sum(counts.values()) / 4
        assert len(counts) == 4
        assert sum((count - quarter) ** 2 / quarter for count in counts.values()) < CHI_SQUARE[3]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_fewer_samples_are_the_first_of_more(architecture: str) -> None:
    model = net(architecture, seed=2)
    batch = pad_sources(sources(1, 6))
    ten = decode(model, *batch, SearchOptions(beam_width=1, num_samples=10))
    three = decode(model, *batch, SearchOptions(beam_width=1, num_samples=3))
    assert [[h.tokens for h in one[:3]] for one in ten] == [[h.tokens for h in one] for one in three]
    assert any(len({tuple(h.tokens) for h in one}) > 3 for one in ten)  # they are not all alike


def test_another_seed_gives_other_samples_and_the_same_seed_the_same() -> None:
    model, batch = net("transformer", seed=1), pad_sources(sources(1, 6))
    first, again, other = (
        decode(model, *batch, SearchOptions(beam_width=1, num_samples=4, seed=seed)) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("keywords", [{"top_k": 1}, {"top_p": 1e-6}, {"temperature": 1e-4}])
def test_what_leaves_only_the_most_probable_token_is_greedy_search(keywords: dict) -> None:
    model = TableModel(random_table(1, vocab_size=30))
    batch = pad_sources([[n] for n in range(20)])
    greedy = greedy_search(model, *batch, SearchOptions(beam_width=1, max_length_factor=0, max_length_offset=6))
    found = sample(model, *batch, drawn(1, 6, **keywords))
    assert [one[0].tokens for one in found] == [one[0].tokens for one in greedy]


def test_samples_that_have_ended_are_not_gone_on_with() -> None:
    widths = []

    class Watched(TableModel):
        def step(self, y_BW: Tensor, state: tuple, memory: tuple) -> Step:
            widths.append(tuple(y_BW.shape))
            return super().step(y_BW, state, memory)

    sample(Watched(fairseq_table), *FAIRSEQ_SOURCES, drawn(8))
    assert widths[:2] == [(2, 8), (2, 8)]
    # Of the first sentence nine of ten samples are w1 and the end; then the second has the most that are open.
    assert widths[-1][1] < 8
    assert sorted(widths, reverse=True) == widths


def test_the_number_next_to_one_points_at_a_token_that_can_be() -> None:
    logits_BWV = torch.full((1, 2, 9), -torch.inf)
    logits_BWV[..., 3:6] = 0.0
    number_BW2 = torch.tensor([[[0.0, 0.0], [1 - 2**-53, 1 - 2**-53]]], dtype=torch.float64)
    assert draw(logits_BWV, number_BW2, drawn(1)).tolist() == [[3, 5]]
    logits_BWV = torch.full((1, 2, 300), -torch.inf)
    logits_BWV[..., [70, 71, 200]] = 0.0
    assert draw(logits_BWV, number_BW2, drawn(1)).tolist() == [[70, 200]]


def test_a_draw_from_many_tokens_follows_their_probabilities() -> None:
    """Two blocks of tokens and a third that is not full; the numbers are a grid and not random."""
    logits_V = torch.full((150,), -math.inf)
    p = {5: 1 / 8, 60: 1 / 8, 64: 1 / 4, 127: 1 / 4, 149: 1 / 4}
    for token, probability in p.items():
        logits_V[token] = math.log(probability)
    grid = (torch.arange(32, dtype=torch.float64) + 0.5) / 32
    number_BW2 = torch.cartesian_prod(grid, grid)[None]
    y_BW = draw(logits_V.expand(1, 1024, -1), number_BW2, drawn(1))
    assert Counter(y_BW[0].tolist()) == {token: 1024 * probability for token, probability in p.items()}
