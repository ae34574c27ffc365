"""Recurrent cells, against the lecture's equations number by number and against torch's fused layers."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from seq2seq.models.cells import Cell, CellState, RecurrentStack, gru_step, lstm_step, rnn_step

CELLS: tuple[Cell, ...] = ("rnn", "gru", "lstm")
TORCH = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(1)


def weights(num_gates: int, *, d: int = 3, x: int = 2) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """W, U, b of W, b of U for all gates one below the other, float64."""
    sizes = ((num_gates * d, d), (num_gates * d, x), (num_gates * d,), (num_gates * d,))
    return tuple(torch.randn(size, dtype=torch.float64) for size in sizes)


def sigmoid(a: float) -> float:
    return 1 / (1 + math.exp(-a))


def dot(row: list[float], x: list[float]) -> float:
    return sum(w * value for w, value in zip(row, x, strict=True))


def by_hand(cell: Cell, x: list[float], h: list[float], c: list[float], all_weights: list[list]) -> list[list[float]]:
    """h_t (and c_t) of the lecture's equations, one number at a time; gate k of unit j has row 3k + j."""
    W, U, b_W, b_U = all_weights
    wh = [dot(row, h) + b for row, b in zip(W, b_W, strict=True)]
    ux = [dot(row, x) + b for row, b in zip(U, b_U, strict=True)]
    new_h, new_c = [], []
    for j in range(3):
        if cell == "rnn":
            new_h.append(math.tanh(wh[j] + ux[j]))
        elif cell == "gru":
            r, v = sigmoid(wh[j] + ux[j]), sigmoid(wh[3 + j] + ux[3 + j])
            n = math.tanh(ux[6 + j] + r * wh[6 + j])
            new_h.append((1 - v) * n + v * h[j])
        else:
            i, f = sigmoid(wh[j] + ux[j]), sigmoid(wh[3 + j] + ux[3 + j])
            u, g = math.tanh(wh[6 + j] + ux[6 + j]), sigmoid(wh[9 + j] + ux[9 + j])
            new_c.append(f * c[j] + i * u)
            new_h.append(g * math.tanh(new_c[j]))
    return [new_h, new_c] if cell == "lstm" else [new_h]


def our_step(cell: Cell, x: Tensor, h: Tensor, c: Tensor, all_weights: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    W, U, b_W, b_U = all_weights
    ux, wh = nn.functional.linear(x, U, b_U), nn.functional.linear(h, W, b_W)
    if cell == "lstm":
        return lstm_step(ux, wh, c)
    return (gru_step(ux, wh, h) if cell == "gru" else rnn_step(ux, wh),)


@pytest.mark.parametrize(("cell", "num_gates"), [("rnn", 1), ("gru", 3), ("lstm", 4)])
def test_a_step_is_the_equation_of_the_lecture(cell: Cell, num_gates: int) -> None:
    all_weights = weights(num_gates)
    x, h, c = (torch.randn(size, dtype=torch.float64) for size in (2, 3, 3))
    expected = by_hand(cell, x.tolist(), h.tolist(), c.tolist(), [w.tolist() for w in all_weights])
    assert_close([new.tolist() for new in our_step(cell, x, h, c, all_weights)], expected)


@pytest.mark.parametrize(("cell", "num_gates"), [("rnn", 1), ("gru", 3), ("lstm", 4)])
def test_steps_equal_the_layer_of_torch(cell: Cell, num_gates: int) -> None:
    all_weights = weights(num_gates)
    layer = TORCH[cell](2, 3, batch_first=True).double()
    for name, weight in zip(("weight_hh_l0", "weight_ih_l0", "bias_hh_l0", "bias_ih_l0"), all_weights, strict=True):
        getattr(layer, name).data.copy_(weight)
    x_BTX, h, c = (torch.randn(size, dtype=torch.float64) for size in ((4, 5, 2), (4, 3), (4, 3)))
    expected_BTD, _ = layer(x_BTX, (h[None], c[None]) if cell == "lstm" else h[None])
    for t in range(5):
        h, *rest = our_step(cell, x_BTX[:, t], h, c, all_weights)
        c = rest[0] if rest else c
        assert_close(h, expected_BTD[:, t])


def stack(cell: Cell, *, bidirectional: bool = False, dropout: float = 0.0) -> RecurrentStack:
    """Two layers, X = 5, D = 6, float64, random biases."""
    layers = RecurrentStack(
        cell, input_size=5, d_model=6, num_layers=2, bidirectional=bidirectional, dropout=dropout
    ).double()
    for weight in layers.parameters():
        weight.data += 0.3 * torch.randn_like(weight)
    return layers


def random_state(cell: Cell, *, batch: int) -> CellState:
    h_BWLD = torch.randn(batch, 1, 2, 6, dtype=torch.float64)
    return CellState(h_BWLD, torch.randn_like(h_BWLD) if cell == "lstm" else h_BWLD[..., :0])


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("dropout", [0.0, 1.0])  # at 1 it is on everywhere and yet nothing is random
def test_the_fused_pass_equals_repeated_steps(cell: Cell, dropout: float) -> None:
    layers = stack(cell, dropout=dropout).train()
    x_BTX = torch.randn(3, 4, 5, dtype=torch.float64)
    state = random_state(cell, batch=3)
    fused_BTD, fused_state = layers(x_BTX, state)
    recurrences = layers.recurrences()
    steps = []
    for t in range(4):
        h_B1D, state = layers.step(layers.project_inputs(x_BTX[:, t : t + 1]), state, recurrences)
        steps.append(h_B1D)
    assert_close(torch.cat(steps, dim=1), fused_BTD)
    assert_close(tuple(state), tuple(fused_state))

    downstream_BTD = torch.randn_like(fused_BTD)
    gradients, expected = (
        torch.autograd.grad((h_BTD * downstream_BTD).sum(), list(layers.parameters()))
        for h_BTD in (torch.cat(steps, dim=1), fused_BTD)
    )
    assert_close(gradients, expected)


def test_projections_of_the_parts_of_an_input_sum_to_that_of_the_whole() -> None:
    layers = stack("lstm")
    x_BTX = torch.randn(3, 4, 5, dtype=torch.float64)
    parts = layers.project_inputs(x_BTX[..., :2]) + layers.project_inputs(x_BTX[..., 2:], first_column=2)
    assert_close(parts, layers.project_inputs(x_BTX))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_reading_a_padded_batch_equals_reading_each_sentence_alone(cell: Cell, bidirectional: bool) -> None:
    layers = stack(cell, bidirectional=bidirectional)
    x_BTX = torch.randn(4, 6, 5, dtype=torch.float64)
    lengths_B = torch.tensor([3, 5, 1, 4])  # not sorted, and nobody as long as the batch
    h_BTD, last = layers.read(x_BTX, lengths_B)
    for b, length in enumerate(lengths_B.tolist()):
        alone_BTD, alone_last = layers.read(x_BTX[b : b + 1, :length], torch.tensor([length]))
        assert_close(h_BTD[b : b + 1, :length], alone_BTD)
        assert not h_BTD[b, length:].any()
        assert_close(last.h_BWLD[b : b + 1], alone_last.h_BWLD)
        assert_close(last.cell_BWLD[b : b + 1], alone_last.cell_BWLD)


@pytest.mark.parametrize("cell", CELLS)
def test_the_last_state_is_where_each_direction_ends(cell: Cell) -> None:
    x_BTX = torch.randn(2, 6, 5, dtype=torch.float64)
    lengths_B = torch.tensor([4, 6])
    h_BTD, last = stack(cell, bidirectional=True).read(x_BTX, lengths_B)
    left_to_right = h_BTD[torch.arange(2), lengths_B - 1, :3]
    right_to_left = h_BTD[:, 0, 3:]
    assert_close(last.h_BWLD[:, 0, -1], torch.cat([left_to_right, right_to_left], dim=-1))


@pytest.mark.parametrize("cell", CELLS)
def test_reading_starts_from_zero_and_steps_in_the_same_equations(cell: Cell) -> None:
    layers = stack(cell)
    x_BTX = torch.randn(2, 4, 5, dtype=torch.float64)
    h_BTD, last = layers.read(x_BTX, torch.tensor([4, 4]))
    state = CellState(*(torch.zeros_like(part) for part in random_state(cell, batch=2)))
    expected_BTD, expected_last = layers(x_BTX, state)
    assert_close(h_BTD, expected_BTD)
    assert_close(tuple(last), tuple(expected_last))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_every_w_starts_orthogonal(cell: Cell, bidirectional: bool) -> None:
    layers = RecurrentStack(cell, input_size=5, d_model=6, num_layers=2, bidirectional=bidirectional)
    d = 3 if bidirectional else 6
    matrices = [gate for name, w in layers.named_parameters() if "weight_hh" in name for gate in w.split(d)]
    assert len(matrices) == {"rnn": 1, "gru": 3, "lstm": 4}[cell] * 2 * (2 if bidirectional else 1)
    for W in matrices:
        assert_close(W @ W.T, torch.eye(d))


@pytest.mark.parametrize("cell", CELLS)
def test_biases_start_at_zero_but_the_forget_gates_at_one(cell: Cell) -> None:
    layers = RecurrentStack(cell, input_size=5, d_model=6, num_layers=2, bidirectional=True)
    biases = dict(layers.layers.named_parameters())
    for which in ("l0", "l0_reverse", "l1", "l1_reverse"):
        both = biases[f"bias_ih_{which}"] + biases[f"bias_hh_{which}"]  # the equation sees their sum
        expected = torch.zeros_like(both)
        if cell == "lstm":
            expected[3:6] = 1.0  # torch's gate order is i, f, u, g
        assert torch.equal(both, expected)


def test_an_unknown_cell_and_an_odd_width_for_two_directions_are_refused() -> None:
    with pytest.raises(ValueError, match="^cell is 'ltsm'; use one of rnn, gru, lstm$"):
        RecurrentStack("ltsm", input_size=5, d_model=6)
    with pytest.raises(ValueError, match="^d_model is 7; two directions share it, so it must be even$"):
        RecurrentStack("gru", input_size=5, d_model=7, bidirectional=True)
