"""The encoder step after step, against the fused layers and against the chain rule by hand."""

import pytest
import torch
from torch.testing import assert_close

from seq2seq.analysis.unrolled import read_unrolled
from seq2seq.models.cells import Cell, RecurrentStack

PADDING_BS = torch.tensor([[False] * 5, [False] * 2 + [True] * 3, [False] * 4 + [True]])


def stack(cell: Cell, **options: object) -> RecurrentStack:
    torch.manual_seed(2)
    layers = RecurrentStack(cell, input_size=3, d_model=4, **options).double().eval()  # type: ignore[arg-type]
    for weight in layers.parameters():
        weight.data += 0.4 * torch.randn_like(weight)
    return layers


def inputs() -> torch.Tensor:
    return torch.randn(3, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(4), requires_grad=True)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_it_reads_as_the_fused_layers_do(cell: Cell, bidirectional: bool) -> None:
    layers, x_BSX = stack(cell, num_layers=2, bidirectional=bidirectional), inputs()
    h_BSD, last, traces = read_unrolled(layers, x_BSX, PADDING_BS)
    fused_BSD, fused_last = layers.read(x_BSX, (~PADDING_BS).sum(-1))
    assert_close(h_BSD, fused_BSD)
    assert_close(tuple(last), tuple(fused_last))
    assert [len(of_layer) for of_layer in traces] == [1 + bidirectional] * 2
    up_BSD = torch.randn_like(h_BSD)
    found, expected = (torch.autograd.grad((h * up_BSD).sum(), x_BSX) for h in (h_BSD, fused_BSD))
    assert_close(found, expected)


def test_gradients_of_states_are_the_chain_rule_of_the_rnn() -> None:
    layers = stack("rnn")
    _, last, [[trace]] = read_unrolled(layers, inputs(), PADDING_BS)
    W = layers.weights("l0")[1]
    up_BD = torch.randn(3, 4, dtype=torch.float64)
    found = torch.autograd.grad((last.h_BWLD[:, 0, 0] * up_BD).sum(), trace.h)
    for b, length in enumerate((~PADDING_BS).sum(-1).tolist()):
        expected_D = up_BD[b]
        for k in range(length - 1, -1, -1):
            assert_close(found[k][b], expected_D)
            expected_D = W.T @ ((1 - trace.h[k][b] ** 2) * expected_D)  # h = tanh(a), a = W h_prev + ...


def test_along_cells_alone_a_gradient_passes_no_gate() -> None:
    layers, x_BSX = stack("lstm", num_layers=2), inputs()
    free, alone = (read_unrolled(layers, x_BSX, PADDING_BS, along_cells_only=only) for only in (False, True))
    assert_close(free.h_BSD, alone.h_BSD)
    assert not torch.autograd.grad(alone.h_BSD.sum(), x_BSX, allow_unused=True)[0]
    trace = alone.traces[1][0]
    [dc_BC] = torch.autograd.grad(trace.cell[4][0].sum(), [trace.cell[3]])
    assert_close(dc_BC[0], trace.gates["forget"][0, 4])
    trace = free.traces[1][0]
    [dc_BC] = torch.autograd.grad(trace.cell[4][0].sum(), [trace.cell[3]])
    assert (dc_BC[0] - trace.gates["forget"][0, 4]).abs().max() > 1e-3
