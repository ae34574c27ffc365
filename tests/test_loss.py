"""The training criterion against its formula, written out, and its gradient against torch's own."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seq2seq.training import loss as loss_module
from seq2seq.training.loss import cross_entropy_sum

N, E, V = 6, 5, 7


def written_out(logits_NV: Tensor, tgt_N: Tensor, epsilon: float) -> float:
    """-sum_v q_v log p_v of each target token, with q_v = (1 - epsilon) [v is the token] + epsilon / V."""
    total = 0.0
    for logits_V, token in zip(logits_NV.tolist(), tgt_N.tolist(), strict=True):
        log_normalizer = math.log(sum(map(math.exp, logits_V)))
        for v, logit in enumerate(logits_V):
            q = (1 - epsilon) * (v == token) + epsilon / len(logits_V)
            total -= q * (logit - log_normalizer)
    return total


def of_torch(x_NE: Tensor, projection: nn.Linear, tgt_N: Tensor, *, label_smoothing: float) -> Tensor:
    return F.cross_entropy(projection(x_NE), tgt_N, label_smoothing=label_smoothing, reduction="sum")


@pytest.fixture(name="x_NE")
def random_features() -> Tensor:
    return 2 * torch.randn(N, E, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture(name="make_projection")
def random_projection() -> Callable[..., nn.Linear]:
    def make(bias: bool = True) -> nn.Linear:
        torch.manual_seed(2)
        return nn.Linear(E, V, bias=bias, dtype=torch.float64)

    return make


@pytest.fixture(name="rows_at_a_time", params=[(2, 2), (4, 2), (4, 4), (100, 1), (100, 32)])
def chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several pieces, a shorter last one, that one filled up, all at once, all at once and filled up."""
    most, multiple = request.param
    monkeypatch.setattr(loss_module, "_MOST_LOGITS_ON_CPU", most * V)
    monkeypatch.setattr(loss_module, "_ROWS", multiple)


TGT_N = torch.tensor([4, 5, 6, 3, 6, 0])


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.5])
@pytest.mark.usefixtures("rows_at_a_time")
def test_it_is_the_label_smoothed_cross_entropy_summed(
    x_NE: Tensor, make_projection: Callable[..., nn.Linear], epsilon: float, bias: bool
) -> None:
    projection = make_projection(bias)
    loss = cross_entropy_sum(x_NE, projection, TGT_N, label_smoothing=epsilon)
    assert float(loss) == pytest.approx(written_out(projection(x_NE), TGT_N, epsilon), rel=1e-12)
    with torch.no_grad():
        assert cross_entropy_sum(x_NE, projection, TGT_N, label_smoothing=epsilon) == loss


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("epsilon", [0.0, 0.1])
@pytest.mark.usefixtures("rows_at_a_time")
def test_its_gradients_are_those_of_torch(
    x_NE: Tensor, make_projection: Callable[..., nn.Linear], epsilon: float, bias: bool
) -> None:
    projection = make_projection(bias)
    x_NE.requires_grad_()
    inputs = [x_NE, *projection.parameters()]
    ours, expected = (
        torch.autograd.grad(3 * loss(x_NE, projection, TGT_N, label_smoothing=epsilon), inputs)
        for loss in (cross_entropy_sum, of_torch)
    )
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("largest", [1e3, 1e8])
def test_logits_far_apart_overflow_nothing(
    x_NE: Tensor, make_projection: Callable[..., nn.Linear], largest: float
) -> None:
    x_NE, projection = (largest * x_NE).float(), make_projection().float()
    x_NE.requires_grad_()
    ours, expected = (f(x_NE, projection, TGT_N, label_smoothing=0.1) for f in (cross_entropy_sum, of_torch))
    torch.testing.assert_close(ours, expected)
    for of_ours, of_theirs in zip(*(torch.autograd.grad(f, x_NE) for f in (ours, expected)), strict=True):
        torch.testing.assert_close(of_ours, of_theirs)


def test_a_feature_that_is_no_number_makes_the_loss_none(
    x_NE: Tensor, make_projection: Callable[..., nn.Linear]
) -> None:
    x_NE[2, 1] = math.nan
    assert cross_entropy_sum(x_NE, make_projection(), TGT_N).isnan()


@pytest.mark.parametrize("bias", [False, True])
def test_under_bfloat16_it_is_what_the_rounded_logits_give(
    x_NE: Tensor, make_projection: Callable[..., nn.Linear], bias: bool
) -> None:
    x_NE, projection = x_NE.float().requires_grad_(), make_projection(bias).float()
    inputs = [x_NE, *projection.parameters()]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = cross_entropy_sum(x_NE, projection, TGT_N, label_smoothing=0.1)
        expected = of_torch(x_NE, projection, TGT_N, label_smoothing=0.1)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, expected, rtol=5e-3, atol=0)
    found, right = (torch.autograd.grad(loss, inputs) for loss in (ours, expected))
    assert [g.dtype for g in found] == [torch.float32] * len(inputs)
    torch.testing.assert_close(found, right, rtol=2e-2, atol=2e-2)


def test_without_knowledge_it_is_the_logarithm_of_the_vocabulary_per_token() -> None:
    loss = cross_entropy_sum(torch.zeros(N, E), nn.Linear(E, V, bias=False), TGT_N)
    assert float(loss) == pytest.approx(N * math.log(V), rel=1e-6)
