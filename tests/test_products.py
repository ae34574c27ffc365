"""Products through oneDNN against torch's own, and those of a loop against autograd, which adds up every step's."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from seq2seq.models import products
from seq2seq.models.products import Linear, StepProduct, linear

B, W, X, Y = 3, 2, 4, 5


@pytest.fixture(name="through", params=["oneDNN", "torch"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whatever this machine would choose."""
    if request.param == "oneDNN" and not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no oneDNN")
    monkeypatch.setattr(products, "_mkl_leaves_avx512_unused", lambda: request.param == "oneDNN")
    return str(request.param)


@pytest.mark.usefixtures("through")
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("x_width", "y_width"), [(48, 96), (96, 48)])
def test_a_linear_layer_is_that_of_torch(x_width: int, y_width: int, bias: bool) -> None:
    torch.manual_seed(1)
    layer = Linear(x_width, y_width, bias=bias)
    x = torch.randn(7, 11, x_width, requires_grad=True)
    downstream = torch.randn(7, 11, y_width)
    inputs = [x, *layer.parameters()]
    ours, expected = layer(x), F.linear(x, layer.weight, layer.bias)
    assert_close(ours, expected)
    assert_close(torch.autograd.grad(ours, inputs, downstream), torch.autograd.grad(expected, inputs, downstream))
    # The gradient of a sum has no memory of its own.
    assert_close(
        torch.autograd.grad(layer(x).sum(), inputs),
        torch.autograd.grad((x @ layer.weight.t()).sum(), inputs[:2])
        + ((torch.full((y_width,), 77.0),) if bias else ()),
    )


@pytest.mark.usefixtures("through")
def test_some_columns_of_a_weight_and_some_rows_of_an_input() -> None:
    torch.manual_seed(1)
    weight = torch.randn(64, 200, requires_grad=True)
    x = torch.randn(40, 3, 120, requires_grad=True)
    downstream = torch.randn(40, 64)
    ours, expected = (f(x[:, 1], weight[:, 50:170]) for f in (linear, F.linear))
    assert_close(ours, expected)
    gradients, right = (torch.autograd.grad(y, [x, weight], downstream) for y in (ours, expected))
    assert_close(gradients, right)


def test_choosing_draws_no_random_numbers() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    products._mkl_leaves_avx512_unused.__wrapped__()
    assert torch.equal(torch.rand(3), expected)


def test_it_is_asked_where_shapes_come_again_and_for_float32_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def record(x_NX: Tensor, w_YX: Tensor, b_Y: Tensor | None) -> Tensor:
        asked.append(len(x_NX))
        return F.linear(x_NX, w_YX, b_Y)

    monkeypatch.setattr(products, "_mkl_leaves_avx512_unused", lambda: True)
    monkeypatch.setattr(products, "_onednn_product", record)
    layer, narrow, x = Linear(64, 64), Linear(64, 1), torch.randn(5, 64)
    with torch.no_grad():
        layer(x)
        layer(torch.randn(41, 64))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        layer(x)
    narrow(x)
    layer.double()(x.double())
    assert asked == []
    layer.float()(x)  # in training they all do
    with torch.no_grad():
        layer(torch.randn(5, 8, 64))  # in a search these do
    assert asked == [5, 40]


def loop(product: StepProduct | None, matrix: Tensor, b: Tensor | None, x_BWX: Tensor) -> Tensor:
    """Four steps, each of which depends on the one before."""
    total = x_BWX.new_zeros(())
    for _ in range(4):
        if product is not None:
            y_BWY = product(x_BWX)
        else:
            y_BWY = x_BWX @ (matrix if matrix.dim() == 3 else matrix.t()) + (0 if b is None else b)
        x_BWX = torch.tanh(y_BWY[..., :X])
        total = total + (y_BWY**2).sum()
    return total


def matrix_of(batched: bool, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*((B, X, Y) if batched else (Y, X)), dtype=dtype, requires_grad=True)


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_values_and_gradients_are_those_of_the_plain_loop(batched: bool, bias: bool) -> None:
    torch.manual_seed(1)
    matrix = matrix_of(batched)
    b = torch.randn(Y, dtype=torch.float64, requires_grad=True) if bias else None
    x_BWX = torch.randn(B, W, X, dtype=torch.float64, requires_grad=True)
    inputs = [t for t in (matrix, b, x_BWX) if t is not None]
    ours, expected = loop(StepProduct(matrix, b), matrix, b, x_BWX), loop(None, matrix, b, x_BWX)
    assert_close(ours, expected)
    right = torch.autograd.grad(expected, inputs)
    assert_close(torch.autograd.grad(ours, inputs, retain_graph=True), right)
    assert_close(torch.autograd.grad(ours, inputs), right)  # once more: nothing of the first time is left


@pytest.mark.usefixtures("through")
def test_wide_steps_in_float32() -> None:
    torch.manual_seed(1)
    weight, b = torch.randn(96, 64, requires_grad=True), torch.randn(96, requires_grad=True)
    x_BWX = torch.randn(B, W, 64, requires_grad=True)
    product = StepProduct(weight, b)
    ours = (product(x_BWX) * product(x_BWX.tanh())).sum()
    expected = (F.linear(x_BWX, weight, b) * F.linear(x_BWX.tanh(), weight, b)).sum()
    inputs = [weight, b, x_BWX]
    assert_close(torch.autograd.grad(ours, inputs), torch.autograd.grad(expected, inputs), rtol=1e-4, atol=1e-3)


def test_steps_that_nothing_comes_of_count_nothing() -> None:
    weight = matrix_of(batched=False)
    product = StepProduct(weight)
    used, unused = torch.randn(B, W, X, dtype=torch.float64), torch.randn(B, W, X, dtype=torch.float64)
    product(unused)
    product(used).sum().backward()
    assert_close(weight.grad, used.sum((0, 1)).expand(Y, X))


def test_without_gradients_it_is_a_product() -> None:
    weight, x_BWX = matrix_of(batched=False), torch.randn(B, W, X, dtype=torch.float64)
    with torch.no_grad():
        y_BWY = StepProduct(weight)(x_BWX)
    assert_close(y_BWY, x_BWX @ weight.detach().t())
    assert not y_BWY.requires_grad


@pytest.mark.parametrize("batched", [False, True])
def test_under_autocast_its_products_are_of_bfloat16(batched: bool) -> None:
    torch.manual_seed(1)
    matrix = matrix_of(batched, torch.float32)
    b = torch.randn(Y, requires_grad=True)
    x_BWX = torch.randn(B, W, X, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert StepProduct(matrix, b)(x_BWX).dtype == torch.bfloat16
        ours, expected = loop(StepProduct(matrix, b), matrix, b, x_BWX), loop(None, matrix, b, x_BWX)
    assert StepProduct(matrix)(x_BWX).dtype == torch.float32
    assert_close(ours, expected, rtol=2e-2, atol=0)
    found, right = (torch.autograd.grad(total, [matrix, b, x_BWX]) for total in (ours, expected))
    for mine, theirs in zip(found, right, strict=True):
        assert mine.dtype == torch.float32
        assert float((mine - theirs).norm() / theirs.norm()) < 3e-2
