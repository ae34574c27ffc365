"""The most probable tokens, against sorting all of them."""

import pytest
import torch
from torch import Tensor

from seq2seq.decoding.vocabulary import best_extensions, best_token, log_sum

B, W = 3, 4


def logits_of(vocab_size: int, *, levels: int | None, width: int = W) -> Tensor:
    generator = torch.Generator().manual_seed(vocab_size)
    logits_BWV = 3 * torch.randn(B, width, vocab_size, generator=generator, dtype=torch.float64)
    return logits_BWV if levels is None else (logits_BWV * levels / 10).round()


# Blocks of 20, of 16, none (a prime), none (too few).
@pytest.mark.parametrize("vocab_size", [400, 272, 401, 12])
@pytest.mark.parametrize("levels", [None, 10, 2])
def test_the_best_token_is_the_first_of_the_highest(vocab_size: int, levels: int | None) -> None:
    logits_BV = logits_of(vocab_size, levels=levels)[:, 0]
    y_B1, logit_B1 = best_token(logits_BV)
    assert y_B1[:, 0].tolist() == [row.index(max(row)) for row in logits_BV.tolist()]
    assert torch.equal(logit_B1[:, 0], logits_BV.amax(-1))


@pytest.mark.parametrize("scale", [1, 1e3])
def test_the_logarithm_of_the_sum_is_that_of_torch(scale: float) -> None:
    logits_BWV = scale * logits_of(400, levels=None)
    torch.testing.assert_close(log_sum(logits_BWV), logits_BWV.logsumexp(-1))


@pytest.mark.parametrize("vocab_size", [400, 272, 401, 12])
@pytest.mark.parametrize("levels", [None, 10, 2])
@pytest.mark.parametrize("num_candidates", [1, 7, 50])
def test_the_best_extensions_are_those_of_sorting_all(vocab_size: int, levels: int | None, num_candidates: int) -> None:
    logits_BWV = logits_of(vocab_size, levels=levels)
    log_p_BW = torch.tensor([[-1.0, -1.5, -3.0, -9.0]] * (B - 1) + [[-1.0, -2.0, -torch.inf, -torch.inf]]).double()
    log_p, parents, tokens = best_extensions(log_p_BW, logits_BWV, log_sum(logits_BWV), num_candidates)

    all_BWV = log_p_BW[:, :, None] + logits_BWV.log_softmax(-1)
    for b in range(B):
        every = [(w, y) for w in range(W) for y in range(vocab_size)]
        # Among equals the first hypothesis, then the smaller id; rounded, for there are several ways to add.
        every.sort(key=lambda place: (-round(float(all_BWV[b, place[0], place[1]]), 9), place))
        expected = every[: len(tokens[b])]
        assert len(expected) == min(num_candidates, W * vocab_size)
        finite = [k for k, (w, _) in enumerate(expected) if log_p_BW[b, w].isfinite()]
        assert [(int(parents[b, k]), int(tokens[b, k])) for k in finite] == [expected[k] for k in finite]
        torch.testing.assert_close(log_p[b], torch.stack([all_BWV[b, w, y] for w, y in expected]))


def test_what_must_not_come_does_not() -> None:
    logits_BWV = logits_of(400, levels=None)
    best = logits_BWV.argmax(-1, keepdim=True)
    logits_BWV = logits_BWV.scatter(-1, best, -torch.inf)
    _, parents, tokens = best_extensions(torch.zeros(B, W).double(), logits_BWV, log_sum(logits_BWV), 2 * W)
    for b in range(B):
        chosen = set(zip(parents[b].tolist(), tokens[b].tolist(), strict=True))
        assert not chosen & {(w, int(best[b, w, 0])) for w in range(W)}
    assert not (best_token(logits_BWV[:, 0])[0] == best[:, 0, 0]).any()
