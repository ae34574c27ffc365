"""Recurrent encoder-decoder with attention: a context vector z_t of its own for every target position.

    h_i = f_1(h_{i-1}, x_i)                encoder, both directions
    e_it = f_e(q_t, h_i)                   energy, see `energies.py`
    a_it = softmax_i(e_it)                 weights
    z_t = sum_i a_it h_i                   context
    y_t ~ softmax(g(d_t, y_{t-1}, z_t))    readout

This is simple attention: weights alone are computed, and what they weigh, the values, are the states h_i themselves.
Extended attention has values of their own, v_i = W_v h_i: `MultiHeadAttention` in `transformer.py`.

What remains is where the query stands, the decoder's state before or after its step f_2:

    previous         q_t = d_{t-1}    d_t = f_2(d_{t-1}, y_{t-1}, z_t)
    current          q_t = d_t        d_t = f_2(d_{t-1}, y_{t-1})
    input_feeding    q_t = d_t        d_t = f_2(d_{t-1}, y_{t-1}, r_{t-1}),  r_t the hidden layer of g, r_0 = 0

Sources: "previous" Bahdanau et al. 2015, section 3 and appendix A; the others Luong et al. 2015, sections 3 and 3.3,
whose attentional vector is our r_t (theirs does not see y_{t-1}; ours does, so that the placement alone differs).

With "previous" z_t enters both the state and the readout; the price is that training has to walk over t as well. What
the walk needs not do is taken out of it: f_2 takes z_t through U z_t = sum_i a_it U h_i, so h is multiplied by U once,
and z_t itself waits for the readout. With "input_feeding" the readout walks too. With "current" nothing does: no d_t
depends on attention, so training runs all of them in one fused call, then all queries at once.
Letters: see `interface.py`; G for the gates of a cell side by side.
"""

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from seq2seq.models.cells import Cell, CellState, RecurrentStack
from seq2seq.models.dropout import Dropout
from seq2seq.models.embeddings import Tie, make_embeddings
from seq2seq.models.energies import EnergyName, make_energy
from seq2seq.models.interface import EncoderDecoder, Step
from seq2seq.models.masks import mask_energies
from seq2seq.models.products import StepProduct
from seq2seq.models.recurrent import Bridge, BridgeName, Readout
from seq2seq.models.truncation import cut

Placement = Literal["previous", "current", "input_feeding"]


class AttentionMemory(NamedTuple):
    """The whole source, position by position."""

    h_BSD: Tensor  # the values
    keys_BSA: Tensor  # what the energy needs of h, computed once
    uh_BSG: Tensor  # U h: what the decoder's first layer needs of h, computed once; width 0 if z_t does not enter it
    src_key_padding_mask_BS: Tensor
    start: CellState  # the decoder's state before the first token


class FedState(NamedTuple):
    """The decoder's state with input feeding."""

    h_BWLD: Tensor
    cell_BWLD: Tensor
    r_BWE: Tensor  # r_{t-1}, the hidden layer of the last readout


class LoopProducts(NamedTuple):
    """The products of the decoder's loop that every step computes with the same matrices."""

    uz: StepProduct  # U z_t = sum_i a_it U h_i of the weights
    recurrences: list[StepProduct]  # b' + W d_{t-1} of each layer


class FedProducts(NamedTuple):
    """The same with input feeding, but for U r_{t-1}."""

    z: StepProduct  # z_t = sum_i a_it h_i of the weights
    recurrences: list[StepProduct]
    readout: StepProduct


class AttentionEncoderDecoder(EncoderDecoder):
    """Encoder-decoder whose decoder looks at all encoder states through an energy.

    Args:
        src_vocab_size, tgt_vocab_size: V of either side.
        cell: "rnn", "gru" or "lstm", in encoder and decoder.
        energy: "additive", "dot", "scaled_dot", "general" or "cosine".
        placement: "previous", "current" or "input_feeding": which state is the query, and what f_2 takes.
        d_embedding: E.
        d_model: D, of encoder and decoder states; a bidirectional encoder gives each direction D / 2.
        num_layers: L, of encoder and decoder alike; the top layer's state asks, z_t or r_{t-1} enters the first.
        bidirectional: whether the encoder also reads right to left.
        bridge: the decoder's first state, see `Bridge`.
        dropout: on embeddings, between layers and in the readout.
        tie_embeddings: see `embeddings.py`.
        bptt_steps: after so many steps the gradient through time is cut, see `truncation.py`; None for never.
    """

    def __init__(
        self,
        src_vocab_size: int,
        tgt_vocab_size: int,
        *,
        cell: Cell = "lstm",
        energy: EnergyName = "additive",
        placement: Placement = "previous",
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
        widths = {"previous": d_model, "current": 0, "input_feeding": d_embedding}  # of z_t, nothing, r_{t-1}
        if placement not in widths:
            raise ValueError(f"placement is {placement!r}; use previous, current or input_feeding")
        self.placement = placement
        self.src_embedding, self.tgt_embedding, projection = make_embeddings(
            src_vocab_size, tgt_vocab_size, d_embedding=d_embedding, tie=tie_embeddings, projection_bias=True
        )
        layers: dict[str, Any] = dict(
            cell=cell, d_model=d_model, num_layers=num_layers, dropout=dropout, bptt_steps=bptt_steps
        )
        self.encoder = RecurrentStack(**layers, input_size=d_embedding, bidirectional=bidirectional)
        self.energy = make_energy(energy, d_query=d_model, d_key=d_model)
        self.bridge = Bridge(bridge, cell=cell, d_model=d_model, num_layers=num_layers)
        self.decoder = RecurrentStack(**layers, input_size=d_embedding + widths[placement])
        self.readout = Readout(projection, d_model=d_model, d_embedding=d_embedding, dropout=dropout)
        self.dropout = Dropout(dropout)

    def encode(self, src_BS: Tensor, src_key_padding_mask_BS: Tensor) -> AttentionMemory:
        x_BSE = self.dropout(self.src_embedding(src_BS))
        h_BSD, last = self.encoder.read(x_BSE, (~src_key_padding_mask_BS).sum(-1).cpu())
        return self.remember(h_BSD, last, src_key_padding_mask_BS)

    def remember(self, h_BSD: Tensor, last: CellState, src_key_padding_mask_BS: Tensor) -> AttentionMemory:
        """The memory from what the encoder has read."""
        start = self.bridge(last.h_BWLD[:, 0, -1], last)
        uh_BSG = (
            self.decoder.project_inputs(h_BSD, first_column=self.tgt_embedding.embedding_dim)
            if self.placement == "previous"
            else h_BSD[..., :0]
        )
        return AttentionMemory(h_BSD, self.energy.project_keys(h_BSD), uh_BSG, src_key_padding_mask_BS, start)

    def init_state(self, memory: AttentionMemory) -> CellState | FedState:
        if self.placement == "input_feeding":
            r_BWE = memory.h_BSD.new_zeros(len(memory.h_BSD), 1, self.tgt_embedding.embedding_dim)
            return FedState(*memory.start, r_BWE)
        return memory.start

    def step(self, y_BW: Tensor, state: CellState | FedState, memory: AttentionMemory) -> Step:
        y_BWE = self.dropout(self.tgt_embedding(y_BW))
        if isinstance(state, FedState):
            ux = self.decoder.project_inputs(y_BWE) + self.decoder.project_inputs(state.r_BWE, y_BWE.shape[-1])
            alpha_BWS, state = self._step_and_attend(ux, y_BWE, state, memory, self._fed_products(memory))
            return Step(self.output_layer()(state.r_BWE), state, alpha_BWS)
        if self.placement == "current":
            ux = self.decoder.project_inputs(y_BWE)
            d_BWD, state = self.decoder.step(ux, state, self.decoder.recurrences())
            alpha_BWS = self._attend(d_BWD, memory)
            return Step(self.readout(d_BWD, y_BWE, alpha_BWS @ memory.h_BSD), state, alpha_BWS)
        products = LoopProducts(StepProduct(memory.uh_BSG), self.decoder.recurrences())
        d_BWD, alpha_BWS, state = self._attend_and_step(self.decoder.project_inputs(y_BWE), state, memory, products)
        return Step(self.readout(d_BWD, y_BWE, alpha_BWS @ memory.h_BSD), state, alpha_BWS)

    def features(self, src_BS: Tensor, src_key_padding_mask_BS: Tensor, tgt_BT: Tensor) -> Tensor:
        memory = self.encode(src_BS, src_key_padding_mask_BS)
        state = self.init_state(memory)
        y_BTE = self.dropout(self.tgt_embedding(tgt_BT))
        if isinstance(state, FedState):
            return self._fed_features(y_BTE, state, memory)
        if self.placement == "current":
            d_BTD, _ = self.decoder(y_BTE, state)
            return self.readout.features(d_BTD, y_BTE, self._attend(d_BTD, memory) @ memory.h_BSD)
        # Only the chain d_{t-1} -> a_t -> d_t must walk; what comes before and after it is done for all t at once.
        products = LoopProducts(StepProduct(memory.uh_BSG), self.decoder.recurrences())
        d_steps, alpha_steps = [], []
        for t, uy in enumerate(self.decoder.project_inputs(y_BTE).split(1, dim=1)):
            state = cut(state, t, self.decoder.bptt_steps)
            d_B1D, alpha_B1S, state = self._attend_and_step(uy, state, memory, products)
            d_steps.append(d_B1D)
            alpha_steps.append(alpha_B1S)
        z_BTD = torch.cat(alpha_steps, dim=1) @ memory.h_BSD
        return self.readout.features(torch.cat(d_steps, dim=1), y_BTE, z_BTD)

    def output_layer(self) -> nn.Linear:
        return self.readout.projection

    def _attend(self, q_BWD: Tensor, memory: AttentionMemory) -> Tensor:
        """The weights a_t (B, W, S) of every query."""
        e_BWS = mask_energies(self.energy(q_BWD, memory.keys_BSA), memory.src_key_padding_mask_BS)
        return e_BWS.softmax(-1)

    def _attend_and_step(
        self, uy: Tensor, state: CellState, memory: AttentionMemory, products: LoopProducts
    ) -> tuple[Tensor, Tensor, CellState]:
        """d_t, the weights a_t and the new state from uy = b + U y_{t-1}, which lacks only the context's part."""
        alpha_BWS = self._attend(state.h_BWLD[:, :, -1], memory)
        d_BWD, state = self.decoder.step(uy + products.uz(alpha_BWS), state, products.recurrences)
        return d_BWD, alpha_BWS, state

    def _fed_features(self, y_BTE: Tensor, state: FedState, memory: AttentionMemory) -> Tensor:
        ur = self.decoder.input_product(first_column=y_BTE.shape[-1])
        products = self._fed_products(memory)
        r_steps = []
        uy_steps = self.decoder.project_inputs(y_BTE).split(1, dim=1)
        for t, (uy, y_B1E) in enumerate(zip(uy_steps, y_BTE.split(1, dim=1), strict=True)):
            state = cut(state, t, self.decoder.bptt_steps)
            _, state = self._step_and_attend(uy + ur(state.r_BWE), y_B1E, state, memory, products)
            r_steps.append(state.r_BWE)
        return torch.cat(r_steps, dim=1)

    def _fed_products(self, memory: AttentionMemory) -> FedProducts:
        return FedProducts(StepProduct(memory.h_BSD), self.decoder.recurrences(), self.readout.product())

    def _step_and_attend(
        self, ux: Tensor, y_BWE: Tensor, state: FedState, memory: AttentionMemory, products: FedProducts
    ) -> tuple[Tensor, FedState]:
        """The weights a_t and the new state, whose r_t is all that the last layer needs."""
        d_BWD, cells = self.decoder.step(ux, CellState(state.h_BWLD, state.cell_BWLD), products.recurrences)
        alpha_BWS = self._attend(d_BWD, memory)
        r_BWE = self.readout.features(d_BWD, y_BWE, products.z(alpha_BWS), products.readout)
        return alpha_BWS, FedState(*cells, r_BWE)
