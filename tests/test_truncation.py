"""Truncated backpropagation through time, against the equations with an explicit detach between pieces."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from seq2seq.models import ARCHITECTURES, EncoderDecoder
from seq2seq.models.cells import Cell, CellState, RecurrentStack, gru_step, lstm_step, rnn_step

CELLS: tuple[Cell, ...] = ("rnn", "gru", "lstm")
DECODERS = [("lstm", {})] + [("attention", {"placement": p}) for p in ("previous", "current", "input_feeding")]
STEPS = 3  # of a piece
LENGTHS = [4, 8, 1, 6, 3]
V = 13


def stack(cell: Cell, *, bptt_steps: int | None = STEPS, num_layers: int = 2, **keywords: bool) -> RecurrentStack:
    """X = 5, D = 6, float64, random biases; the same weights whatever `bptt_steps`."""
    torch.manual_seed(1)
    made = RecurrentStack(cell, input_size=5, d_model=6, num_layers=num_layers, bptt_steps=bptt_steps, **keywords)
    for weight in made.double().parameters():
        weight.data += 0.3 * torch.randn_like(weight)
    return made


def by_equations(
    layers: RecurrentStack, x_TX: Tensor, first: Sequence[tuple[Tensor, Tensor]] | None = None
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """One sentence, one step at a time: outputs (T, D) and the last h and c of each layer, directions side by side."""
    last_h, last_c = [], []
    for layer in range(layers.num_layers):
        outputs, ends_h, ends_c = [], [], []
        for suffix in ("", "_reverse") if layers.layers.bidirectional else ("",):
            W, U, b_W, b_U = (
                getattr(layers.layers, f"{name}_l{layer}{suffix}")
                for name in ("weight_hh", "weight_ih", "bias_hh", "bias_ih")
            )
            zeros = x_TX.new_zeros(W.shape[1])
            h, c = first[layer] if first is not None else (zeros, zeros)
            h_steps = []
            for t, x in enumerate(x_TX.flip(0) if suffix else x_TX):
                if t > 0 and t % STEPS == 0:
                    h, c = h.detach(), c.detach()
                ux, wh = U @ x + b_U, W @ h + b_W
                if layers.cell == "lstm":
                    h, c = lstm_step(ux, wh, c)
                else:
                    h = gru_step(ux, wh, h) if layers.cell == "gru" else rnn_step(ux, wh)
                h_steps.append(h)
            h_TD = torch.stack(h_steps)
            outputs.append(h_TD.flip(0) if suffix else h_TD)
            ends_h.append(h)
            ends_c.append(c)
        x_TX = torch.cat(outputs, dim=-1)
        last_h.append(torch.cat(ends_h))
        last_c.append(torch.cat(ends_c))
    return x_TX, last_h, last_c


def gradients(value: Tensor, *of: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(value, of, retain_graph=True, allow_unused=True, materialize_grads=True))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_reading_has_the_gradient_of_the_equations_with_a_detach(cell: Cell, bidirectional: bool) -> None:
    """Of padded sentences; pieces begin at a sentence's own first token, and its own last one the other way."""
    layers = stack(cell, bidirectional=bidirectional)
    x_BTX = torch.randn(5, 8, 5, dtype=torch.float64, requires_grad=True)
    h_BTD, last = layers.read(x_BTX, torch.tensor(LENGTHS))
    one_by_one = [by_equations(layers, x_BTX[b, :length]) for b, length in enumerate(LENGTHS)]

    value = expected = torch.zeros((), dtype=torch.float64)
    for b, (h_TD, last_h, last_c) in enumerate(one_by_one):
        found = [h_BTD[b, : LENGTHS[b]], last.h_BWLD[b, 0]] + ([last.cell_BWLD[b, 0]] if cell == "lstm" else [])
        wanted = [h_TD, torch.stack(last_h)] + ([torch.stack(last_c)] if cell == "lstm" else [])
        for ours, theirs in zip(found, wanted, strict=True):
            assert_close(ours, theirs)
            weight = torch.randn_like(theirs)
            value, expected = value + (weight * ours).sum(), expected + (weight * theirs).sum()
    of = [x_BTX, *layers.parameters()]
    assert_close(gradients(value, *of), gradients(expected, *of))


@pytest.mark.parametrize("cell", CELLS)
def test_a_fused_decoder_has_the_gradient_of_the_equations_with_a_detach(cell: Cell) -> None:
    """Its first state is no piece's border: the gradient of the first piece flows into it."""
    layers = stack(cell)
    x_BTX, h_BWLD = (torch.randn(size, dtype=torch.float64, requires_grad=True) for size in ((2, 8, 5), (2, 1, 2, 6)))
    cell_BWLD = torch.randn_like(h_BWLD, requires_grad=True)
    h_BTD, _ = layers(x_BTX, CellState(h_BWLD, cell_BWLD if cell == "lstm" else cell_BWLD[..., :0]))
    expected_BTD = torch.stack(
        [by_equations(layers, x_BTX[b], list(zip(h_BWLD[b, 0], cell_BWLD[b, 0], strict=True)))[0] for b in range(2)]
    )
    assert_close(h_BTD, expected_BTD)
    weight_BTD = torch.randn_like(h_BTD)
    of = [x_BTX, h_BWLD, cell_BWLD, *layers.parameters()]
    found, expected = (gradients((weight_BTD * x).sum(), *of) for x in (h_BTD, expected_BTD))
    assert_close(found, expected)
    assert found[1].any()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("direction", ["left_to_right", "right_to_left"])
def test_the_gradient_is_zero_past_the_window_and_the_full_one_inside(cell: Cell, direction: str) -> None:
    """dh_t/dx_s of one layer, in the first sentence of a padded batch, whose pieces have 3, 3 and 1 steps."""
    x_BTX = torch.randn(2, 9, 5, dtype=torch.float64, requires_grad=True)
    lengths_B = torch.tensor([7, 9])
    columns = slice(0, 3) if direction == "left_to_right" else slice(3, 6)
    jacobians = {}
    for steps in (STEPS, None):
        h_BTD, _ = stack(cell, num_layers=1, bidirectional=True, bptt_steps=steps).read(x_BTX, lengths_B)
        jacobians[steps] = [gradients(h_BTD[0, t, columns].sum(), x_BTX)[0][0] for t in range(7)]
    for t in range(7):
        for s in range(7):
            begin_t, begin_s = (t, s) if direction == "left_to_right" else (6 - t, 6 - s)
            is_past = begin_s <= begin_t
            full_X = jacobians[None][t][s]
            assert bool(full_X.any()) == is_past
            if is_past and begin_t // STEPS == begin_s // STEPS:
                assert_close(jacobians[STEPS][t][s], full_X)
            else:
                assert not jacobians[STEPS][t][s].any()


@pytest.mark.parametrize("cell", CELLS)
def test_pieces_of_a_layer_that_the_last_state_does_not_depend_on_have_no_backward_pass(cell: Cell) -> None:
    def flops_of_backward(length: int) -> int:
        x_BTX, lengths_B = torch.randn(2, length, 5, dtype=torch.float64), torch.tensor([length, length])
        _, last = stack(cell, num_layers=1).read(x_BTX, lengths_B)
        with FlopCounterMode(display=False) as counter:
            last.h_BWLD.sum().backward()
        return counter.get_total_flops()

    assert flops_of_backward(4 * STEPS) == flops_of_backward(STEPS) > 0


def model(architecture: str, bptt_steps: int | None, **keywords: object) -> EncoderDecoder:
    torch.manual_seed(1)
    sizes = {"d_embedding": 6, "d_model": 8, "num_layers": 2}
    made = ARCHITECTURES[architecture](V, V, **sizes, bptt_steps=bptt_steps, **keywords).double().eval()
    for parameter in made.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return made


def batch() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    src_BS, tgt_BT = (torch.randint(4, V, (5, 8), generator=generator) for _ in range(2))
    padding_BS = torch.arange(8) >= torch.tensor(LENGTHS)[:, None]
    return src_BS.masked_fill(padding_BS, 0), padding_BS, tgt_BT


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("architecture", "keywords"), DECODERS, ids=str)
def test_teacher_forcing_has_the_gradient_of_steps_with_a_detach(architecture: str, keywords: dict, cell: Cell) -> None:
    m = model(architecture, STEPS, cell=cell, **keywords)
    src_BS, padding_BS, tgt_BT = batch()
    memory = m.encode(src_BS, padding_BS)
    state, steps = m.init_state(memory), []
    for t, y_B1 in enumerate(tgt_BT.split(1, dim=1)):
        if t > 0 and t % STEPS == 0:
            state = type(state)(*(part.detach() for part in state))
        logits_B1V, state, _ = m.step(y_B1, state, memory)
        steps.append(logits_B1V)
    logits_BTV = m(src_BS, padding_BS, tgt_BT)
    assert_close(logits_BTV, torch.cat(steps, dim=1))
    weight_BTV = torch.randn_like(logits_BTV)
    found, expected = (
        gradients((weight_BTV * x).sum(), *m.parameters()) for x in (logits_BTV, torch.cat(steps, dim=1))
    )
    assert_close(found, expected)
    whole = model(architecture, None, cell=cell, **keywords)
    full = gradients((weight_BTV * whole(src_BS, padding_BS, tgt_BT)).sum(), *whole.parameters())
    assert any((a - b).abs().max() > 1e-3 for a, b in zip(found, full, strict=True))


@pytest.mark.parametrize(("architecture", "keywords"), DECODERS, ids=str)
def test_pieces_as_long_as_the_longest_sentence_leave_the_gradient_whole(architecture: str, keywords: dict) -> None:
    found, expected = (
        gradients(m(*batch()).square().sum(), *m.parameters())
        for m in (model(architecture, 8, **keywords), model(architecture, None, **keywords))
    )
    assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize(("architecture", "keywords"), DECODERS, ids=str)
def test_the_gradient_of_a_batch_is_the_sum_of_its_sentences_gradients(architecture: str, keywords: dict) -> None:
    m = model(architecture, STEPS, **keywords)
    src_BS, padding_BS, tgt_BT = batch()
    alone = [
        gradients(m(src_BS[b, None, :n], padding_BS[b, None, :n], tgt_BT[b, None]).square().sum(), *m.parameters())
        for b, n in enumerate(LENGTHS)
    ]
    found = gradients(m(src_BS, padding_BS, tgt_BT).square().sum(), *m.parameters())
    assert_close(found, [sum(parts) for parts in zip(*alone, strict=True)])


@pytest.mark.parametrize("architecture", ["lstm", "attention"])
@pytest.mark.parametrize("bptt_steps", [0, -3])
def test_pieces_without_a_step_are_refused(architecture: str, bptt_steps: int) -> None:
    with pytest.raises(
        ValueError, match=f"^bptt_steps is {bptt_steps}; it must be at least 1, or null for the whole sequence$"
    ):
        model(architecture, bptt_steps)
