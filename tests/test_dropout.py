"""Dropout against its definition: which elements are zero, what the others become, and that the seed decides."""

import math

import pytest
import torch

from seq2seq.models.dropout import Dropout, ReluDropout, dropout, relu_dropout


@pytest.mark.parametrize("p", [0.05, 0.1, 0.3, 0.5, 0.9])
def test_it_drops_each_element_with_probability_p_and_keeps_the_mean(p: float) -> None:
    torch.manual_seed(1)
    n = 1_000_003  # not a multiple of four
    y = dropout(torch.ones(n), p, training=True)
    dropped = float((y == 0).double().mean())
    assert abs(dropped - p) < 5 * math.sqrt(p * (1 - p) / n)
    kept = y[y != 0]
    assert kept.unique().numel() == 1
    assert float(kept[0]) == pytest.approx(1 / (1 - p), rel=1e-3)
    assert abs(float(y.double().mean()) - 1) < 5 * math.sqrt(p / (1 - p) / n)


def test_neighbours_are_dropped_independently() -> None:
    torch.manual_seed(1)
    is_dropped = (dropout(torch.ones(4, 250_000), 0.5, training=True) == 0).double().flatten()
    for distance in (1, 2, 3, 4, 8):  # four elements come from one draw
        both = float((is_dropped[:-distance] * is_dropped[distance:]).mean())
        assert abs(both - 0.25) < 5 * math.sqrt(0.25 * 0.75 / len(is_dropped))


def test_the_seed_decides_and_each_call_draws_anew() -> None:
    x = torch.randn(3, 50)
    layer = Dropout(0.4)
    torch.manual_seed(7)
    first, second = layer(x), layer(x)
    torch.manual_seed(7)
    assert torch.equal(layer(x), first)
    assert not torch.equal(first, second)


def test_the_gradient_passes_where_the_element_was_kept() -> None:
    x = torch.randn(20, 30, dtype=torch.float64, requires_grad=True)
    y = dropout(x, 0.3, training=True)
    y.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad * x, y)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_type_stays(dtype: torch.dtype) -> None:
    assert dropout(torch.ones(5, 3, dtype=dtype), 0.3, training=True).dtype == dtype


def test_out_of_training_and_at_zero_nothing_happens() -> None:
    x = torch.randn(4, 5)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x


def test_at_one_everything_is_dropped() -> None:
    assert not Dropout(1.0)(torch.ones(4, 5)).any()


def test_almost_one_and_almost_zero_still_keep_and_drop_something() -> None:
    torch.manual_seed(1)
    x = torch.ones(1 << 20)
    assert 0 < int((dropout(x, 1 - 1e-9, training=True) != 0).sum()) < 100
    assert 0 < int((dropout(x, 1e-9, training=True) == 0).sum()) < 100


@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_what_is_no_probability_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match=f"dropout is {p}; it must lie between 0 and 1"):
        Dropout(p)


def test_relu_and_dropout_together_are_one_after_the_other_with_its_gradient() -> None:
    x = torch.randn(20, 33, requires_grad=True)
    ways = []
    for way in (lambda: relu_dropout(x, 0.3, training=True), lambda: dropout(x.relu(), 0.3, training=True)):
        torch.manual_seed(5)
        y = way()
        [dx] = torch.autograd.grad((y * torch.arange(33.0)).sum(), x)
        ways.append((y, dx))
    torch.testing.assert_close(ways[0], ways[1])
    assert torch.equal(ReluDropout(0.3).eval()(x), x.relu())
