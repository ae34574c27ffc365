"""An encoder's recurrence step after step, by the equations of `models/cells.py`.

The fused layers that read a sentence everywhere else keep neither the gates nor what lies between two states, so no
gradient with respect to h_k can be asked of them. Here every state is a tensor of its own.

Letters: see `models/interface.py`; X width of an input, C width of one direction's states.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from seq2seq.models.cells import CellState, RecurrentStack, gru_gates, gru_step, lstm_gates, lstm_step, rnn_step


class Trace(NamedTuple):
    """What one direction of one layer did, in the order in which it reads."""

    h: list[Tensor]  # h_t (B, C), S of them; behind a sentence's end its last one
    cell: list[Tensor]  # c_t (B, C), as many, from which h_t was made; none but for the lstm
    last_cell: Tensor  # c (B, C) at the end of each sentence
    gates: dict[str, Tensor]  # forget, input, output or reset, update -> (B, S, C)


class Unrolled(NamedTuple):
    """What `RecurrentStack.read` gives, and how it came about."""

    h_BSD: Tensor
    last: CellState
    traces: list[list[Trace]]  # of each layer its directions: left to right, right to left


def read_unrolled(
    stack: RecurrentStack, x_BSX: Tensor, key_padding_mask_BS: Tensor, *, along_cells_only: bool = False
) -> Unrolled:
    """Read padded sentences as `RecurrentStack.read` does, without dropout.

    Args:
        stack: the encoder, one direction or two.
        x_BSX: embedded tokens.
        key_padding_mask_BS: True on padding.
        along_cells_only: whether gradients shall flow from c_t to c_{t-1} alone, past the gates and h.
    """
    places_S = torch.arange(x_BSX.shape[1], device=x_BSX.device)
    lengths_B1 = (~key_padding_mask_BS).sum(-1, keepdim=True)
    # Turning a sentence round within its length is its own inverse.
    turned_BS = torch.where(key_padding_mask_BS, places_S, lengths_B1 - 1 - places_S)
    orders = {"": places_S.expand_as(turned_BS)} | ({"_reverse": turned_BS} if stack.layers.bidirectional else {})
    traces: list[list[Trace]] = []
    for layer in range(stack.num_layers):
        x_BSX = x_BSX.detach() if along_cells_only else x_BSX
        traces.append([])
        outputs = []
        for suffix, order_BS in orders.items():
            trace = _walk(stack, f"l{layer}{suffix}", _in_order(x_BSX, order_BS), key_padding_mask_BS, along_cells_only)
            traces[-1].append(trace)
            outputs.append(_in_order(torch.stack(trace.h, dim=1), order_BS))
        x_BSX = torch.cat(outputs, dim=-1).masked_fill(key_padding_mask_BS[..., None], 0)
    h_BLD = torch.stack([torch.cat([trace.h[-1] for trace in of_layer], dim=-1) for of_layer in traces], dim=1)
    cell_BLD = h_BLD[..., :0]
    if stack.cell == "lstm":
        cell_BLD = torch.stack([torch.cat([trace.last_cell for trace in one], dim=-1) for one in traces], dim=1)
    return Unrolled(x_BSX, CellState(h_BLD[:, None], cell_BLD[:, None]), traces)


def gates_of(stack: RecurrentStack, ux: Tensor, wh: Tensor) -> dict[str, Tensor]:
    """The gates of a step, by name; none of an rnn.

    Args:
        stack: tells the cell.
        ux, wh: b + U x_t and b' + W h_{t-1}, as for the steps.
    """
    if stack.cell == "lstm":
        return dict(zip(("forget", "input", "output"), lstm_gates(ux, wh), strict=False))
    return dict(zip(("reset", "update"), gru_gates(ux, wh), strict=True)) if stack.cell == "gru" else {}


def _walk(stack: RecurrentStack, name: str, x_BSX: Tensor, padding_BS: Tensor, along_cells_only: bool) -> Trace:
    """One direction of one layer, whose weights torch calls `weight_ih_{name}` and so on."""
    w_ih, w_hh, b_ih, b_hh = stack.weights(name)
    ux_steps = F.linear(x_BSX, w_ih, b_ih).unbind(1)  # a gradient with zeros for all other steps would cost S times S
    h = x_BSX.new_zeros(len(x_BSX), stack.layers.hidden_size)
    cell = torch.zeros_like(h).requires_grad_()
    h_steps, cell_steps, gates = [], [], []
    for ux, ended_B1 in zip(ux_steps, padding_BS[..., None].unbind(1), strict=True):
        wh = F.linear(h.detach() if along_cells_only else h, w_hh, b_hh)
        gates.append(gates_of(stack, ux.detach(), wh.detach()))
        if stack.cell == "lstm":
            h_new, cell_new = lstm_step(ux, wh, cell)
            cell = torch.where(ended_B1, cell, cell_new)
            cell_steps.append(cell_new)
        else:
            h_new = gru_step(ux, wh, h) if stack.cell == "gru" else rnn_step(ux, wh)
        h = torch.where(ended_B1, h, h_new)
        h_steps.append(h)
    return Trace(
        h_steps, cell_steps, cell, {gate: torch.stack([one[gate] for one in gates], dim=1) for gate in gates[0]}
    )


def _in_order(x_BSX: Tensor, order_BS: Tensor) -> Tensor:
    return x_BSX.gather(1, order_BS[..., None].expand(-1, -1, x_BSX.shape[-1]))
