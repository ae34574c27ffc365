"""The training criterion against its formula, written out."""

import math

import pytest
import torch

from seq2seq.special_ids import PAD_ID
from seq2seq.training.loss import cross_entropy_sum


def written_out(logits_BTV: torch.Tensor, tgt_BT: torch.Tensor, epsilon: float) -> float:
    """-sum_v q_v log p_v of each target token, with q_v = (1 - epsilon) [v is the token] + epsilon / V."""
    total = 0.0
    for logits_TV, tgt_T in zip(logits_BTV.tolist(), tgt_BT.tolist(), strict=True):
        for logits_V, token in zip(logits_TV, tgt_T, strict=True):
            log_normalizer = math.log(sum(map(math.exp, logits_V)))
            if token != PAD_ID:
                for v, logit in enumerate(logits_V):
                    q = (1 - epsilon) * (v == token) + epsilon / len(logits_V)
                    total -= q * (logit - log_normalizer)
    return total


@pytest.fixture(name="logits_BTV")
def random_logits() -> torch.Tensor:
    return 2 * torch.randn(3, 4, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


TGT_BT = torch.tensor([[4, 5, 6, 3], [6, 3, PAD_ID, PAD_ID], [5, 1, 3, PAD_ID]])


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.5])
def test_it_is_the_label_smoothed_cross_entropy_summed_over_target_tokens(
    logits_BTV: torch.Tensor, epsilon: float
) -> None:
    loss = cross_entropy_sum(logits_BTV, TGT_BT, label_smoothing=epsilon)
    assert float(loss) == pytest.approx(written_out(logits_BTV, TGT_BT, epsilon), rel=1e-12)


def test_the_sum_over_a_batch_is_the_sum_of_its_sentences(logits_BTV: torch.Tensor) -> None:
    alone = [cross_entropy_sum(logits_BTV[i : i + 1], TGT_BT[i : i + 1], label_smoothing=0.1) for i in range(3)]
    together = cross_entropy_sum(logits_BTV, TGT_BT, label_smoothing=0.1)
    torch.testing.assert_close(together, torch.stack(alone).sum(), rtol=1e-12, atol=0)


def test_padding_counts_nothing_and_gets_no_gradient(logits_BTV: torch.Tensor) -> None:
    logits_BTV.requires_grad_()
    loss = cross_entropy_sum(logits_BTV, TGT_BT, label_smoothing=0.1)
    loss.backward()
    assert logits_BTV.grad is not None
    is_padding_BT = TGT_BT == PAD_ID
    assert not logits_BTV.grad[is_padding_BT].any()
    assert logits_BTV.grad[~is_padding_BT].all()

    elsewhere_BTV = logits_BTV.detach().clone()
    elsewhere_BTV[is_padding_BT] += 100 * torch.randn(3, 7, dtype=torch.float64)
    assert cross_entropy_sum(elsewhere_BTV, TGT_BT, label_smoothing=0.1) == loss


def test_without_knowledge_it_is_the_logarithm_of_the_vocabulary_per_token() -> None:
    assert float(cross_entropy_sum(torch.zeros(3, 4, 7), TGT_BT)) == pytest.approx(9 * math.log(7), rel=1e-6)
