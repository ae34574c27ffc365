"""Recurrent cells: one step as an equation, and whole layers that run the same weights through torch's fused kernels.

With a_t = b + W h_{t-1} + U x_t, one such sum per gate (`ux` below is b + U x_t, the part that does not depend on the
previous step and can be computed for all t at once, `wh` is b' + W h_{t-1}; torch has a bias for each of them):

    rnn    h_t = tanh(a_t)
    gru    r, v = sigmoid(a_r), sigmoid(a_v);  n = tanh(U_n x_t + b_n + r * (W_n h_{t-1} + b'_n))
           h_t = (1 - v) * n + v * h_{t-1}
    lstm   f, i, g = sigmoid(a_f), sigmoid(a_i), sigmoid(a_g);  u = tanh(a_u)
           c_t = f * c_{t-1} + i * u;  h_t = g * tanh(c_t)

f is the forget gate, i the input gate, g the output gate and u the candidate for the cell. Torch stores the LSTM's
gates in the order i, f, u, g and the GRU's in the order r, v, n; so do we, and the fused layers share the weights.

Sources: Elman 1990; Hochreiter & Schmidhuber 1997, Gers et al. 2000 (forget gate); Cho et al. 2014 (GRU, in the form of
torch and cuDNN, where r acts after the matrix product). Letters: B batch, W hypotheses, T time, L layers, D hidden, X
input.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seq2seq.models.dropout import dropout
from seq2seq.models.products import StepProduct, linear
from seq2seq.models.truncation import detached, read_in_pieces

Cell = Literal["rnn", "gru", "lstm"]
_LAYERS: dict[str, Callable[..., nn.RNNBase]] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class CellState(NamedTuple):
    """State of a stack of layers; `cell_BWLD` has width 0 for the cells that have no c_t."""

    h_BWLD: Tensor
    cell_BWLD: Tensor


def rnn_step(ux: Tensor, wh: Tensor) -> Tensor:
    """h_t = tanh(b + W h_{t-1} + U x_t)."""
    return torch.tanh(ux + wh)


def gru_step(ux: Tensor, wh: Tensor, h_prev: Tensor) -> Tensor:
    """h_t = (1 - v) n + v h_{t-1}: the update gate v keeps the old state, the reset gate r hides it from n."""
    r, v = gru_gates(ux, wh)
    n = torch.tanh(ux.chunk(3, dim=-1)[2] + r * wh.chunk(3, dim=-1)[2])
    return n + v * (h_prev - n)


def gru_gates(ux: Tensor, wh: Tensor) -> tuple[Tensor, Tensor]:
    """Reset gate r and update gate v."""
    (ux_r, ux_v, _), (wh_r, wh_v, _) = ux.chunk(3, dim=-1), wh.chunk(3, dim=-1)
    return torch.sigmoid(ux_r + wh_r), torch.sigmoid(ux_v + wh_v)


def lstm_step(ux: Tensor, wh: Tensor, cell_prev: Tensor) -> tuple[Tensor, Tensor]:
    """c_t = f * c_{t-1} + i * u and h_t = g * tanh(c_t). Returns h_t, c_t."""
    f, i, g, u = lstm_gates(ux, wh)
    cell = f * cell_prev + i * u
    return g * torch.tanh(cell), cell


def lstm_gates(ux: Tensor, wh: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Forget gate f, input gate i, output gate g and the candidate u."""
    a_i, a_f, a_u, a_g = (ux + wh).chunk(4, dim=-1)
    return torch.sigmoid(a_f), torch.sigmoid(a_i), torch.sigmoid(a_g), torch.tanh(a_u)


class RecurrentStack(nn.Module):
    """L recurrent layers of one cell, dropout between them, run fused over a sequence or step by step.

    Args:
        cell: "rnn", "gru" or "lstm".
        input_size: width X of the inputs.
        d_model: width D of the states. A bidirectional stack gives each direction D / 2, so its outputs have width D.
        num_layers: L.
        bidirectional: also read right to left; such a stack has no `step`.
        dropout: between layers.
        bptt_steps: after so many steps the gradient is cut, see `truncation.py`; None for never.
    """

    def __init__(
        self,
        cell: Cell,
        *,
        input_size: int,
        d_model: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        bptt_steps: int | None = None,
    ) -> None:
        super().__init__()
        if cell not in _LAYERS:
            raise ValueError(f"cell is {cell!r}; use one of {', '.join(_LAYERS)}")
        if bidirectional and d_model % 2:
            raise ValueError(f"d_model is {d_model}; two directions share it, so it must be even")
        if bptt_steps is not None and bptt_steps < 1:
            raise ValueError(f"bptt_steps is {bptt_steps}; it must be at least 1, or null for the whole sequence")
        self.cell = cell
        self.num_layers = num_layers
        self.bptt_steps = bptt_steps
        self.layers = _LAYERS[cell](
            input_size,
            d_model // 2 if bidirectional else d_model,
            num_layers=num_layers,
            bidirectional=bidirectional,
            dropout=dropout if num_layers > 1 else 0.0,
            batch_first=True,
        )
        self._initialise()

    def _initialise(self) -> None:
        """Orthogonal W (keeps the norm of what flows through time), Glorot U, zero b but 1 for the forget gate."""
        for name, weight in self.layers.named_parameters():
            if name.startswith("weight"):
                for gate in weight.data.split(self.layers.hidden_size):
                    (nn.init.orthogonal_ if "_hh" in name else nn.init.xavier_uniform_)(gate)
            else:
                nn.init.zeros_(weight)
                if self.cell == "lstm" and "_ih" in name:
                    weight.data[self.layers.hidden_size : 2 * self.layers.hidden_size] = 1.0

    def read(self, x_BTX: Tensor, lengths_B: Tensor) -> tuple[Tensor, CellState]:
        """Read padded sequences; neither the outputs nor the last states see the padding.

        Args:
            x_BTX: inputs.
            lengths_B: number of real positions of each sequence, on the CPU.

        Returns:
            Outputs (B, T, D), zero on padding, and the last states of each layer at W = 1, directions side by side.
        """
        packed = pack_padded_sequence(x_BTX, lengths_B, batch_first=True, enforce_sorted=False)
        steps = self._steps_of_pieces(x_BTX)
        outputs, last = self.layers(packed) if steps is None else read_in_pieces(self.layers, packed, steps)
        h_BTD, _ = pad_packed_sequence(outputs, batch_first=True, total_length=x_BTX.shape[1])
        return h_BTD, self._unpack(last)

    def forward(self, x_BTX: Tensor, state: CellState) -> tuple[Tensor, CellState]:
        """Fused steps over time from `state` at W = 1; outputs (B, T, D) and the state after the last one."""
        steps = self._steps_of_pieces(x_BTX)
        if steps is None:
            return self._run(x_BTX, state)
        outputs: list[Tensor] = []
        for x in x_BTX.split(steps, dim=1):
            h, state = self._run(x, detached(state) if outputs else state)
            outputs.append(h)
        return torch.cat(outputs, dim=1), state

    def _steps_of_pieces(self, x_BTX: Tensor) -> int | None:
        """`bptt_steps` where they cut anything; None where all steps may run at once."""
        is_longer = self.bptt_steps is not None and x_BTX.shape[1] > self.bptt_steps
        return self.bptt_steps if is_longer and torch.is_grad_enabled() else None

    def _run(self, x_BTX: Tensor, state: CellState) -> tuple[Tensor, CellState]:
        h_LBD = state.h_BWLD[:, 0].transpose(0, 1).contiguous()
        if self.cell == "lstm":
            outputs, last = self.layers(x_BTX, (h_LBD, state.cell_BWLD[:, 0].transpose(0, 1).contiguous()))
        else:
            outputs, last = self.layers(x_BTX, h_LBD)
        return outputs, self._unpack(last)

    def recurrences(self) -> list[StepProduct]:
        """b' + W h of each layer, for the steps of one loop."""
        layers = range(self.num_layers)
        return [StepProduct(self._weight("weight_hh", k), self._weight("bias_hh", k)) for k in layers]

    def input_product(self, first_column: int) -> StepProduct:
        """U x of the first layer for its inputs from `first_column` on, where they too are known step by step only."""
        return StepProduct(self._weight("weight_ih", 0)[:, first_column:].contiguous())

    def step(self, ux: Tensor, state: CellState, recurrences: list[StepProduct]) -> tuple[Tensor, CellState]:
        """One step of all layers by the equations above.

        Args:
            ux: b + U x_t of the first layer, (B, W, gates * D); see `project_inputs`.
            state: the previous state.
            recurrences: what `recurrences` gave for the loop that this step belongs to.

        Returns:
            The top layer's h_t (B, W, D) and the new state.
        """
        h_layers: list[Tensor] = []
        cell_layers: list[Tensor] = []
        for layer in range(self.num_layers):
            if layer > 0:
                x = dropout(h_layers[-1], self.layers.dropout, self.training)
                ux = linear(x, self._weight("weight_ih", layer), self._weight("bias_ih", layer))
            h_prev, cell_prev = state.h_BWLD[:, :, layer], state.cell_BWLD[:, :, layer]
            wh = recurrences[layer](h_prev)
            if self.cell == "lstm":
                h, cell_prev = lstm_step(ux, wh, cell_prev)
            elif self.cell == "gru":
                h = gru_step(ux, wh, h_prev)
            else:
                h = rnn_step(ux, wh)
            h_layers.append(h)
            cell_layers.append(cell_prev)
        return h_layers[-1], CellState(torch.stack(h_layers, dim=2), torch.stack(cell_layers, dim=2))

    def project_inputs(self, x: Tensor, first_column: int = 0) -> Tensor:
        """b + U x of the first layer for a slice of its inputs, columns `first_column` onwards; b with column 0 only.

        Inputs that are known for all steps (embeddings) are projected once, before the loop, the others inside it.
        """
        weight = self._weight("weight_ih", 0)[:, first_column : first_column + x.shape[-1]]
        return linear(x, weight, self._weight("bias_ih", 0) if first_column == 0 else None)

    def weights(self, name: str) -> list[Tensor]:
        """U, W, b and b' of one layer in one direction, "l0" or "l0_reverse"."""
        parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return [getattr(self.layers, f"{part}_{name}") for part in parts]

    def _weight(self, name: str, layer: int) -> Tensor:
        return getattr(self.layers, f"{name}_l{layer}")

    def _unpack(self, last: Tensor | tuple[Tensor, Tensor]) -> CellState:
        """Torch's (L * directions, B, width) states as (B, 1, L, D)."""
        h, cell = last if isinstance(last, tuple) else (last, last[..., :0])

        def batch_first(x: Tensor) -> Tensor:
            layers = x.unflatten(0, (self.num_layers, -1))  # L, directions, B, width
            return layers.permute(2, 0, 1, 3).flatten(2).unsqueeze(1)

        return CellState(batch_first(h), batch_first(cell))
