"""Products of a loop against autograd, which adds up the gradients of each step."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from seq2seq.models.products import StepProduct

B, W, X, Y = 3, 2, 4, 5


def loop(product: StepProduct | None, m: Tensor, b: Tensor | None, x_BWX: Tensor) -> Tensor:
    """Four steps, each of which depends on the one before."""
    total = x_BWX.new_zeros(())
    for _ in range(4):
        y_BWY = product(x_BWX) if product is not None else x_BWX @ m + (0 if b is None else b)
        x_BWX = torch.tanh(y_BWY[..., :X])
        total = total + (y_BWY**2).sum()
    return total


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_values_and_gradients_are_those_of_the_plain_loop(batched: bool, bias: bool) -> None:
    torch.manual_seed(1)
    m = torch.randn(*([B] if batched else []), X, Y, dtype=torch.float64, requires_grad=True)
    b = torch.randn(Y, dtype=torch.float64, requires_grad=True) if bias else None
    x_BWX = torch.randn(B, W, X, dtype=torch.float64, requires_grad=True)
    inputs = [t for t in (m, b, x_BWX) if t is not None]
    ours, expected = loop(StepProduct(m, b), m, b, x_BWX), loop(None, m, b, x_BWX)
    assert_close(ours, expected)
    assert_close(torch.autograd.grad(ours, inputs, retain_graph=True), torch.autograd.grad(expected, inputs))
    assert_close(torch.autograd.grad(ours, [m])[0], torch.autograd.grad(loop(None, m, b, x_BWX), [m])[0])  # once more


def test_steps_that_nothing_comes_of_count_nothing() -> None:
    m = torch.randn(X, Y, dtype=torch.float64, requires_grad=True)
    product = StepProduct(m)
    used, unused = torch.randn(B, W, X, dtype=torch.float64), torch.randn(B, W, X, dtype=torch.float64)
    product(unused)
    product(used).sum().backward()
    assert_close(m.grad, used.sum((0, 1))[:, None].expand(X, Y))


def test_without_gradients_it_is_a_product() -> None:
    m, x_BWX = torch.randn(X, Y, requires_grad=True), torch.randn(B, W, X)
    with torch.no_grad():
        y_BWY = StepProduct(m)(x_BWX)
    assert_close(y_BWY, x_BWX @ m.detach())
    assert not y_BWY.requires_grad


@pytest.mark.parametrize("batched", [False, True])
def test_under_autocast_its_products_are_of_bfloat16(batched: bool) -> None:
    m = torch.randn(*([B] if batched else []), X, Y, requires_grad=True)
    b = torch.randn(Y, requires_grad=True)
    x_BWX = torch.randn(B, W, X, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours, expected = loop(StepProduct(m, b), m, b, x_BWX), loop(None, m, b, x_BWX)
    assert StepProduct(m)(x_BWX).dtype == torch.float32
    assert_close(ours, expected, rtol=2e-2, atol=0)
    found, right = (torch.autograd.grad(total, [m, b, x_BWX]) for total in (ours, expected))
    for mine, theirs in zip(found, right, strict=True):
        assert mine.dtype == torch.float32
        assert float((mine - theirs).norm() / theirs.norm()) < 3e-2
