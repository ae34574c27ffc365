"""A beam search stops as soon as nothing that is open can win, and gives back what it would have."""

import math
import random

import pytest
import torch
from torch import Tensor

from seq2seq.batching import pad_sources
from seq2seq.decoding import Hypothesis, SearchOptions, beam_search
from seq2seq.models import ARCHITECTURES, Step
from seq2seq.special_ids import EOS_ID
from tests.small_models import W1, TableModel, all_translations, logits, net, random_table, sources

PENALTIES = [("none", 0.0), ("average", 0.0), ("gnmt", 0.6), ("gnmt", 2.0)]


class CountedTable(TableModel):
    """Counts the sentences of all steps."""

    num_steps = 0

    def step(self, y_BW: Tensor, state: tuple, memory: tuple) -> Step:
        self.num_steps += len(y_BW)
        return super().step(y_BW, state, memory)


def attention(first: int, prefix: tuple[int, ...]) -> list[float]:
    generator = random.Random(f"{first} {prefix}")
    p = generator.random()
    return [p, 1 - p]


@pytest.mark.parametrize(("penalty", "alpha"), PENALTIES)
def test_no_translation_scores_higher_than_its_beginning_says_it_can(penalty: str, alpha: float) -> None:
    options = SearchOptions(length_penalty=penalty, alpha=alpha)
    for seed in range(3):
        table = random_table(seed, vocab_size=7)
        log_p: dict[tuple[int, ...], float] = {(): 0.0}  # of each beginning
        for prefix in [(), *((a,) for a in (4, 5, 6)), *((a, b) for a in (4, 5, 6) for b in (4, 5, 6))]:
            row = table(0, prefix)
            log_sum = math.log(sum(map(math.exp, row)))
            log_p |= {(*prefix, y): log_p[prefix] + row[y] - log_sum for y in (4, 5, 6)}
        best: dict[tuple[int, ...], float] = {}
        for hypothesis in all_translations(table, 0, 4, options):
            for length in range(min(3, len(hypothesis.tokens)) + 1):
                prefix = tuple(hypothesis.tokens[:length])
                assert hypothesis.score <= options.best_reachable(log_p[prefix], length, 4)
                best[prefix] = max(best.get(prefix, -math.inf), hypothesis.score)
        assert len(best) == 1 + 3 + 9 + 27


@pytest.mark.parametrize(("penalty", "alpha"), PENALTIES)
@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_stopping_early_changes_nothing_but_the_number_of_steps(
    penalty: str, alpha: float, beta: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = pad_sources([[n] for n in range(12)])
    steps = {True: 0, False: 0}
    for num_best in (1, 2, 4):
        for num_levels in (None, 3):  # the second has many equals
            options = SearchOptions(
                beam_width=4,
                num_best=num_best,
                length_penalty=penalty,
                alpha=alpha,
                coverage_penalty=beta,
                max_length_factor=0,
                max_length_offset=7,
            )
            table = random_table(num_best, vocab_size=9, num_levels=num_levels)
            found: dict[bool, list[list[Hypothesis]]] = {}
            for stops_early in (True, False):
                with monkeypatch.context() as patch:
                    if not stops_early:
                        patch.setattr(SearchOptions, "best_reachable", lambda *_: math.inf)
                    model = CountedTable(table, attention)
                    found[stops_early] = beam_search(model, *batch, options)
                    steps[stops_early] += model.num_steps
            assert found[True] == found[False]
    assert steps[True] <= steps[False]
    # Long translations could always win by their average, so that the bound is of little use to it.
    assert steps[True] < steps[False] or penalty == "average"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("penalty", ["none", "average", "gnmt"])
def test_stopping_early_changes_nothing_for_nets(
    architecture: str, penalty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = pad_sources(sources(2, 10))
    options = SearchOptions(beam_width=4, num_best=2, length_penalty=penalty)
    models = [net(architecture, seed=seed) for seed in range(3)]
    early = [beam_search(model, *batch, options) for model in models]
    monkeypatch.setattr(SearchOptions, "best_reachable", lambda *_: math.inf)
    for found, model in zip(early, models, strict=True):
        for one, other in zip(found, beam_search(model, *batch, options), strict=True):
            assert [h.tokens for h in one] == [h.tokens for h in other]


@pytest.mark.parametrize(("num_best", "num_steps"), [(1, 1), (2, 2), (3, 5)])
def test_a_sentence_leaves_when_the_nth_best_is_certain(num_best: int, num_steps: int) -> None:
    """The end (0.6) after one step, w1 and its end (0.4 * 0.9) after two; the next would be 0.4 * 0.1 at most."""
    rows = {(): (0.4, 0.0, 0.6), (W1,): (0.1, 0.0, 0.9)}
    model = CountedTable(lambda first, prefix: logits(*rows.get(prefix, (0.9, 0.0, 0.1))))
    options = SearchOptions(
        beam_width=6, num_best=num_best, length_penalty="none", max_length_factor=0, max_length_offset=5
    )
    (found,) = beam_search(model, *pad_sources([[W1]]), options)
    expected = [0.6, 0.36, 0.04 * 0.9**3][:num_best]
    assert [math.exp(h.log_probability) for h in found] == pytest.approx(expected)
    assert model.num_steps == num_steps


def test_what_can_only_end_is_not_waited_for() -> None:
    """Where all that is open is impossible, no step follows, even if fewer have ended than were asked for."""
    model = CountedTable(lambda first, prefix: [-math.inf] * EOS_ID + [0.0] + [-math.inf] * 3)
    (found,) = beam_search(model, *pad_sources([[W1]]), SearchOptions(beam_width=3, num_best=3))
    assert [h.tokens for h in found] == [[]]
    assert model.num_steps == 1
    assert torch.isfinite(torch.tensor(found[0].score))
