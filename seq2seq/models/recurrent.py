"""Recurrent encoder-decoder with one fixed context vector z.

    h_t = f_1(h_{t-1}, x_t)            encoder; z is its last state (both directions' last states, side by side)
    d_t = f_2(d_{t-1}, y_{t-1}, z)     decoder; z enters every step
    y_t ~ softmax(g(d_t, y_{t-1}, z))  readout g over all three

Source: Cho et al. 2014, eqs. 1 to 3 and appendix A.1 (z at every step and in the readout); Sutskever et al. 2014
(layers of LSTMs). The readout here is tanh where Cho et al. use maxout. Letters: see `interface.py`; X is the width of
an input.
"""

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from seq2seq.models.cells import Cell, CellState, RecurrentStack
from seq2seq.models.dropout import Dropout
from seq2seq.models.embeddings import Tie, make_embeddings
from seq2seq.models.interface import EncoderDecoder, Step
from seq2seq.models.products import Linear, StepProduct

BridgeName = Literal["zeros", "last", "dense", "learned"]


class RecurrentMemory(NamedTuple):
    """All that the decoder ever sees of the source."""

    z_BD: Tensor
    start: CellState  # the decoder's state before the first token


class Bridge(nn.Module):
    """The decoder's first state.

    zeros: d_0 = 0 · last: d_0 = the encoder's last state, layer by layer · dense: d_0 = tanh(W z), one W per layer
    and, for the lstm, per cell (Bahdanau et al. 2015, appendix A.2.2) · learned: d_0 = b, a parameter per layer and,
    for the lstm, per cell, the same for all sentences; it begins at zero.
    """

    def __init__(self, name: BridgeName, *, cell: Cell, d_model: int, num_layers: int) -> None:
        super().__init__()
        if name not in ("zeros", "last", "dense", "learned"):
            raise ValueError(f"bridge is {name!r}; use zeros, last, dense or learned")
        self.name = name
        width = num_layers * d_model
        self.h = Linear(d_model, width) if name == "dense" else None
        self.cell = Linear(d_model, width) if name == "dense" and cell == "lstm" else None
        # Vectors of all layers, not matrices (L, D): weight decay spares vectors.
        self.first_h = nn.Parameter(torch.zeros(width)) if name == "learned" else None
        self.first_cell = nn.Parameter(torch.zeros(width)) if name == "learned" and cell == "lstm" else None

    def forward(self, z_BD: Tensor, last: CellState) -> CellState:
        if self.name == "zeros":
            return CellState(torch.zeros_like(last.h_BWLD), torch.zeros_like(last.cell_BWLD))
        if self.first_h is not None:
            h_LD = self.first_h.view(last.h_BWLD.shape[2:])
            cell_LD = last.cell_BWLD[0, 0] if self.first_cell is None else self.first_cell.view_as(h_LD)
            return CellState(h_LD.expand_as(last.h_BWLD), cell_LD.expand_as(last.cell_BWLD))
        if self.h is None:
            return last
        h = torch.tanh(self.h(z_BD)).view_as(last.h_BWLD)
        cell = torch.tanh(self.cell(z_BD)).view_as(last.cell_BWLD) if self.cell is not None else last.cell_BWLD
        return CellState(h, cell)


class Readout(nn.Module):
    """g(d_t, y_{t-1}, z_t) = projection(tanh(W [d_t; y_{t-1}; z_t])), at any number of positions at once."""

    def __init__(self, projection: nn.Linear, *, d_model: int, d_embedding: int, dropout: float) -> None:
        super().__init__()
        self.w = Linear(2 * d_model + d_embedding, d_embedding)
        self.dropout = Dropout(dropout)
        self.projection = projection

    def product(self) -> StepProduct:
        """W x, for the steps of one loop."""
        return StepProduct(self.w.weight, self.w.bias)

    def features(self, d: Tensor, y: Tensor, z: Tensor, product: StepProduct | None = None) -> Tensor:
        """What is projected to the vocabulary, width E; in a loop with the `product` of its beginning."""
        hidden: Tensor = torch.tanh((product or self.w)(self.dropout(torch.cat([d, y, z], dim=-1))))
        return self.dropout(hidden)

    def forward(self, d: Tensor, y: Tensor, z: Tensor) -> Tensor:
        return self.projection(self.features(d, y, z))


class RecurrentEncoderDecoder(EncoderDecoder):
    """Encoder-decoder whose decoder knows the source through one vector z of fixed size.

    Args:
        src_vocab_size, tgt_vocab_size: V of either side.
        cell: "rnn", "gru" or "lstm", in encoder and decoder.
        d_embedding: E.
        d_model: D, of z and of the decoder state; a bidirectional encoder gives each direction D / 2.
        num_layers: L, of encoder and decoder alike.
        bidirectional: whether the encoder also reads right to left.
        bridge: the decoder's first state, see `Bridge`.
        dropout: on embeddings, between layers and in the readout.
        tie_embeddings: see `embeddings.py`.
        bptt_steps: after so many steps the gradient through time is cut, see `truncation.py`; None for never.
    """

    has_attention = False

    def __init__(
        self,
        src_vocab_size: int,
        tgt_vocab_size: int,
        *,
        cell: Cell = "lstm",
        d_embedding: int = 256,
        d_model: int = 512,
        num_layers: int = 1,
        bidirectional: bool = True,
        bridge: BridgeName = "dense",
        dropout: float = 0.1,
        tie_embeddings: Tie = "none",
        bptt_steps: int | None = None,
    ) -> None:
        super().__init__()
        self.src_embedding, self.tgt_embedding, projection = make_embeddings(
            src_vocab_size, tgt_vocab_size, d_embedding=d_embedding, tie=tie_embeddings, projection_bias=True
        )
        layers: dict[str, Any] = dict(
            cell=cell, d_model=d_model, num_layers=num_layers, dropout=dropout, bptt_steps=bptt_steps
        )
        self.encoder = RecurrentStack(**layers, input_size=d_embedding, bidirectional=bidirectional)
        self.bridge = Bridge(bridge, cell=cell, d_model=d_model, num_layers=num_layers)
        self.decoder = RecurrentStack(**layers, input_size=d_embedding + d_model)
        self.readout = Readout(projection, d_model=d_model, d_embedding=d_embedding, dropout=dropout)
        self.dropout = Dropout(dropout)

    def encode(self, src_BS: Tensor, src_key_padding_mask_BS: Tensor) -> RecurrentMemory:
        x_BSE = self.dropout(self.src_embedding(src_BS))
        h_BSD, last = self.encoder.read(x_BSE, (~src_key_padding_mask_BS).sum(-1).cpu())
        return self.remember(h_BSD, last, src_key_padding_mask_BS)

    def remember(self, h_BSD: Tensor, last: CellState, src_key_padding_mask_BS: Tensor) -> RecurrentMemory:
        """The memory from what the encoder has read: of all its states the last."""
        z_BD = last.h_BWLD[:, 0, -1]
        return RecurrentMemory(z_BD, self.bridge(z_BD, last))

    def init_state(self, memory: RecurrentMemory) -> CellState:
        return memory.start

    def step(self, y_BW: Tensor, state: CellState, memory: RecurrentMemory) -> Step:
        y_BWE = self.dropout(self.tgt_embedding(y_BW))
        z_B1D = memory.z_BD[:, None]
        ux = self.decoder.project_inputs(y_BWE) + self.decoder.project_inputs(z_B1D, y_BWE.shape[-1])
        d_BWD, state = self.decoder.step(ux, state, self.decoder.recurrences())
        return Step(self.readout(d_BWD, y_BWE, z_B1D.expand_as(d_BWD)), state, None)

    def features(self, src_BS: Tensor, src_key_padding_mask_BS: Tensor, tgt_BT: Tensor) -> Tensor:
        memory = self.encode(src_BS, src_key_padding_mask_BS)
        y_BTE = self.dropout(self.tgt_embedding(tgt_BT))
        z_BTD = memory.z_BD[:, None].expand(-1, tgt_BT.shape[1], -1)
        # z is known and so is every y_{t-1}: nothing but d_{t-1} links the steps, and one fused call runs them all.
        d_BTD, _ = self.decoder(torch.cat([y_BTE, z_BTD], dim=-1), self.init_state(memory))
        return self.readout.features(d_BTD, y_BTE, z_BTD)

    def output_layer(self) -> nn.Linear:
        return self.readout.projection
