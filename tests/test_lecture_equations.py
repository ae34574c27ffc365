"""What docs/lecture.md says in equations and no other test writes out: the definitions number by number.

Letters: see `seq2seq/models/interface.py`.
"""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from seq2seq.analysis.unrolled import read_unrolled
from seq2seq.evaluation.metrics import bleu_statistics, score
from seq2seq.models.cells import RecurrentStack
from seq2seq.models.energies import make_energy
from seq2seq.models.transformer import (
    FeedForward,
    MultiHeadAttention,
    Residual,
    Transformer,
    sinusoid_frequencies,
    sinusoids,
)
from seq2seq.training.schedules import Optimization, make_optimizer, make_schedule

D = 6


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(1)


def randn(*size: int) -> Tensor:
    return torch.randn(*size, dtype=torch.float64)


def rnn(length: int, *, width: int = D) -> tuple[RecurrentStack, list[Tensor], Tensor]:
    """A vanilla network that reads from left to right, its U, W, b and b', and one sentence (1, S, X)."""
    stack = RecurrentStack("rnn", input_size=4, d_model=width).double()
    weights = stack.weights("l0")
    for bias in weights[2:]:
        bias.data = 0.1 * randn(width)
    return stack, weights, randn(1, length, 4)


# Learning


def test_an_update_goes_against_the_gradient_by_the_rate() -> None:
    """w - lr dL/dw, with the loss (w - 3)^2 / 2, whose gradient is w - 3."""
    layer = nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(1.0)
    plain = Optimization(optimizer="sgd", lr=0.25, schedule="constant", warmup_steps=0)
    optimizer = make_optimizer(layer, plain, fused=False)
    schedule = make_schedule(optimizer, plain, total_steps=math.inf)
    w = 1.0
    for _ in range(4):
        optimizer.zero_grad()
        ((layer.weight - 3) ** 2 / 2).sum().backward()
        optimizer.step()
        schedule.step()
        w = w - 0.25 * (w - 3)
        assert layer.weight.item() == pytest.approx(w)


def test_backpropagation_through_time_adds_up_what_each_step_gives() -> None:
    """From the last step to the first: delta_t = dL/da_t; dL/dW = sum_t delta_t h_{t-1}^T, and so on."""
    stack, weights, x_1SX = rnn(5)
    dh_SD = randn(5, D)  # what the loss of each step gives to its h_t
    h_1SD, _ = stack.read(x_1SX, torch.tensor([5]))
    found = torch.autograd.grad((h_1SD[0] * dh_SD).sum(), weights)

    U, W, b, b_W = (weight.tolist() for weight in weights)
    x_SX = x_1SX[0].tolist()
    h = [[0.0] * D]
    for x in x_SX:
        a = [
            b[i] + b_W[i] + sum(W[i][j] * h[-1][j] for j in range(D)) + sum(U[i][j] * x[j] for j in range(4))
            for i in range(D)
        ]
        h.append([math.tanh(a_i) for a_i in a])
    dU, dW, db = [[0.0] * 4 for _ in range(D)], [[0.0] * D for _ in range(D)], [0.0] * D
    from_later = [0.0] * D  # sum_i delta_{t+1, i} W_ij
    for t in range(5, 0, -1):
        dh = [float(dh_SD[t - 1, i]) + from_later[i] for i in range(D)]
        delta = [(1 - h[t][i] ** 2) * dh[i] for i in range(D)]
        for i in range(D):
            db[i] += delta[i]
            for j in range(D):
                dW[i][j] += delta[i] * h[t - 1][j]
            for j in range(4):
                dU[i][j] += delta[i] * x_SX[t - 1][j]
        from_later = [sum(delta[i] * W[i][j] for i in range(D)) for j in range(D)]
    for ours, by_hand in zip(found, (dU, dW, db, db), strict=True):
        assert_close(ours, torch.tensor(by_hand, dtype=torch.float64))


@pytest.mark.parametrize("stretch", [0.5, 1.0, 1.5])
def test_a_gradient_vanishes_stays_or_explodes_with_what_w_does_to_lengths(stretch: float) -> None:
    """W is an orthogonal matrix times `stretch` and all h are near 0, where tanh has the slope 1."""
    stack, (U, W, *biases), x_1SX = rnn(21)
    W.data *= stretch  # orthogonal before: every W begins so
    for small in (U, *biases):
        small.data *= 1e-9
    _, last, [[trace]] = read_unrolled(stack, x_1SX, torch.zeros(1, 21, dtype=torch.bool))
    of_states = torch.autograd.grad((last.h_BWLD * randn(D)).sum(), trace.h)
    norms = [float(gradient.norm()) for gradient in of_states]
    assert norms[-11] / norms[-1] == pytest.approx(stretch**10, rel=1e-6)
    assert norms[0] / norms[-1] == pytest.approx(stretch**20, rel=1e-6)


# Attention


def test_a_dot_product_varies_with_the_width_and_a_scaled_one_does_not() -> None:
    """Of queries and keys with variance 1."""
    for width in (16, 256):
        q_1WD, k_1SD = randn(1, 300, width), randn(1, 300, width)
        variance = {
            name: float(energy(q_1WD, energy.project_keys(k_1SD)).var())
            for name in ("dot", "scaled_dot")
            for energy in [make_energy(name, d_query=width, d_key=width)]
        }
        assert variance == pytest.approx({"dot": width, "scaled_dot": 1}, rel=0.1)


def attention(num_heads: int) -> tuple[MultiHeadAttention, Tensor, Tensor]:
    """Three queries and five positions to look at."""
    layer = MultiHeadAttention(D, num_heads=num_heads, dropout=0.0).double().eval()
    for bias in (layer.w_q.bias, layer.w_kv.bias, layer.w_o.bias):
        bias.data = randn(*bias.shape)
    return layer, randn(1, 3, D), randn(1, 5, D)


EVERYWHERE = torch.ones(1, 1, 1, 5, dtype=torch.bool)


def test_without_projections_extended_attention_is_simple_attention() -> None:
    """Queries, keys and values are then the states themselves, of one head, and the energy the scaled dot product."""
    layer, d_1TD, h_1SD = attention(num_heads=1)
    for linear in (layer.w_q, layer.w_kv, layer.w_o):
        linear.weight.data = torch.eye(D, dtype=torch.float64).repeat(len(linear.weight) // D, 1)
        linear.bias.data.zero_()
    energy = make_energy("scaled_dot", d_query=D, d_key=D)
    simple_1TD = energy(d_1TD, energy.project_keys(h_1SD)).softmax(-1) @ h_1SD
    assert_close(layer(d_1TD, layer.project_keys(h_1SD), EVERYWHERE), simple_1TD)


@pytest.mark.parametrize("num_heads", [1, 2, 3])
def test_multi_head_attention_is_its_definition(num_heads: int) -> None:
    layer, x_1TD, h_1SD = attention(num_heads)
    W_k, W_v = layer.w_kv.weight.chunk(2)
    b_k, b_v = layer.w_kv.bias.chunk(2)
    n_k = D // num_heads
    for t in range(3):
        heads = []
        for head in range(num_heads):
            rows = slice(head * n_k, (head + 1) * n_k)
            q = layer.w_q.weight[rows] @ x_1TD[0, t] + layer.w_q.bias[rows]
            k = [W_k[rows] @ h_D + b_k[rows] for h_D in h_1SD[0]]
            v = [W_v[rows] @ h_D + b_v[rows] for h_D in h_1SD[0]]
            e = [sum(q[i] * k_i[i] for i in range(n_k)) / math.sqrt(n_k) for k_i in k]
            total = sum(e_i.exp() for e_i in e)
            heads.append(sum(e_i.exp() / total * v_i for e_i, v_i in zip(e, v, strict=True)))
        expected_D = layer.w_o.weight @ torch.cat(heads) + layer.w_o.bias
        kv = layer.project_keys(h_1SD)
        assert_close(layer(x_1TD, kv, EVERYWHERE)[0, t], expected_D)
        assert_close(layer.step(x_1TD, kv)[0][0, t], expected_D)


# The transformer's layers


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_sum_has_its_layer_norm_before_the_function_or_behind(norm: str) -> None:
    """With f the feed-forward layer W_2 relu(W_1 x + b_1) + b_2."""
    around = Residual(D, norm=norm, dropout=0.0).double().eval()
    f = FeedForward(D, d_ff=7, dropout=0.0).double().eval()
    around.norm.weight.data, around.norm.bias.data = randn(D), randn(D)
    (W_1, b_1), (W_2, b_2) = ((linear.weight, linear.bias) for linear in (f[0], f[2]))
    x_D = randn(D)

    def normed(x: Tensor) -> Tensor:
        mean = sum(x) / D
        variance = sum((x_i - mean) ** 2 for x_i in x) / D
        return around.norm.weight * (x - mean) / torch.sqrt(variance + 1e-5) + around.norm.bias

    def feed_forward(x: Tensor) -> Tensor:
        return W_2 @ torch.stack([max(a, torch.zeros_like(a)) for a in W_1 @ x + b_1]) + b_2

    expected_D = x_D + feed_forward(normed(x_D)) if norm == "pre" else normed(x_D + feed_forward(x_D))
    assert_close(around.leave(x_D, f(around.enter(x_D))), expected_D)


def test_without_positions_an_encoder_does_not_see_the_order() -> None:
    model = Transformer(9, 9, d_model=D, d_ff=8, num_heads=2, num_encoder_layers=2, dropout=0.0).double().eval()
    src_BS, order_S = torch.tensor([[4, 8, 5, 7, 6]]), torch.tensor([3, 0, 4, 1, 2])
    without, with_positions = (
        [model.read(read(src_BS[:, places_S]), EVERYWHERE) for places_S in (torch.arange(5), order_S)]
        for read in (model.src_embedding, lambda ids: model.embed(model.src_embedding, ids))
    )
    assert_close(without[0][:, order_S], without[1])
    assert (with_positions[0][:, order_S] - with_positions[1]).abs().max() > 1e-3


@pytest.mark.parametrize("distance", [1, 5, -3])
def test_from_one_position_to_another_at_the_same_distance_leads_the_same_rotation(distance: int) -> None:
    """Each pair (sin, cos) turns by distance times its frequency, wherever it stands."""
    table = sinusoids(40, D).double()
    sines, cosines = table.chunk(2, dim=1)
    for i, frequency in enumerate(sinusoid_frequencies(D).tolist()):
        turn = distance * frequency
        for pos in range(5, 30):
            sine = math.cos(turn) * sines[pos, i] + math.sin(turn) * cosines[pos, i]
            cosine = math.cos(turn) * cosines[pos, i] - math.sin(turn) * sines[pos, i]
            assert float(sine) == pytest.approx(float(sines[pos + distance, i]), abs=1e-5)
            assert float(cosine) == pytest.approx(float(cosines[pos + distance, i]), abs=1e-5)


# Comparing


def test_bleu_is_the_brevity_penalty_times_the_geometric_mean_of_four_precisions() -> None:
    """Counted by hand: one sentence of 9 words, of which the translation has 8, one of them wrong, the fourth."""
    reference, hypothesis = "a b c d e f g h i", "a b c x e f g h"
    matching, totals = [7, 5, 3, 1], [8, 7, 6, 5]
    assert bleu_statistics([hypothesis], [reference]) == [*matching, *totals, 8, 9]
    precisions = [m / n for m, n in zip(matching, totals, strict=True)]
    bleu = math.exp(1 - 9 / 8) * math.prod(precisions) ** (1 / 4)
    assert score([hypothesis], [reference])[0].value == pytest.approx(100 * bleu)
