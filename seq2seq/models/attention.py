"""Recurrent encoder-decoder with attention: a context vector z_t of its own for every target position.

    h_i = f_1(h_{i-1}, x_i)                encoder, both directions
    e_it = f_e(d_{t-1}, h_i)               energy, see `energies.py`
    a_it = softmax_i(e_it)                 weights
    z_t = sum_i a_it h_i                   context
    d_t = f_2(d_{t-1}, y_{t-1}, z_t)       decoder
    y_t ~ softmax(g(d_t, y_{t-1}, z_t))    readout

Source: Bahdanau et al. 2015, section 3 and appendix A. The query is d_{t-1}, so z_t enters both the state and the
readout; the price is that training has to walk over t as well. What the walk needs not do is taken out of it: f_2 takes
z_t through U z_t = sum_i a_it U h_i, so h is multiplied by U once, and z_t itself waits for the readout.
Letters: see `interface.py`; G for the gates of a cell side by side.
"""

from typing import Any, NamedTuple

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


class AttentionMemory(NamedTuple):
    """The whole source, position by position."""

    h_BSD: Tensor
    keys_BSA: Tensor  # what the energy needs of h, computed once
    uh_BSG: Tensor  # U h: what the decoder's first layer needs of h, computed once
    src_key_padding_mask_BS: Tensor
    start: CellState  # the decoder's state before the first token


class LoopProducts(NamedTuple):
    """The products of the decoder's loop that every step computes with the same matrices."""

    uz: StepProduct  # U z_t = sum_i a_it U h_i of the weights
    recurrences: list[StepProduct]  # b' + W d_{t-1} of each layer


class AttentionEncoderDecoder(EncoderDecoder):
    """Encoder-decoder whose decoder looks at all encoder states through an energy.

    Args:
        src_vocab_size, tgt_vocab_size: V of either side.
        cell: "rnn", "gru" or "lstm", in encoder and decoder.
        energy: "additive", "dot", "scaled_dot", "general" or "cosine".
        d_embedding: E.
        d_model: D, of encoder and decoder states; a bidirectional encoder gives each direction D / 2.
        num_layers: L, of encoder and decoder alike; the top layer's d_{t-1} is the query, z_t enters the first layer.
        bidirectional: whether the encoder also reads right to left.
        bridge: the decoder's first state, see `Bridge`.
        dropout: on embeddings, between layers and in the readout.
        tie_embeddings: see `embeddings.py`.
    """

    def __init__(
        self,
        src_vocab_size: int,
        tgt_vocab_size: int,
        *,
        cell: Cell = "lstm",
        energy: EnergyName = "additive",
        d_embedding: int = 256,
        d_model: int = 512,
        num_layers: int = 1,
        bidirectional: bool = True,
        bridge: BridgeName = "dense",
        dropout: float = 0.1,
        tie_embeddings: Tie = "none",
    ) -> None:
        super().__init__()
        self.src_embedding, self.tgt_embedding, projection = make_embeddings(
            src_vocab_size, tgt_vocab_size, d_embedding=d_embedding, tie=tie_embeddings, projection_bias=True
        )
        layers: dict[str, Any] = dict(cell=cell, d_model=d_model, num_layers=num_layers, dropout=dropout)
        self.encoder = RecurrentStack(**layers, input_size=d_embedding, bidirectional=bidirectional)
        self.energy = make_energy(energy, d_query=d_model, d_key=d_model)
        self.bridge = Bridge(bridge, cell=cell, d_model=d_model, num_layers=num_layers)
        self.decoder = RecurrentStack(**layers, input_size=d_embedding + d_model)
        self.readout = Readout(projection, d_model=d_model, d_embedding=d_embedding, dropout=dropout)
        self.dropout = Dropout(dropout)

    def encode(self, src_BS: Tensor, src_key_padding_mask_BS: Tensor) -> AttentionMemory:
        x_BSE = self.dropout(self.src_embedding(src_BS))
        h_BSD, last = self.encoder.read(x_BSE, (~src_key_padding_mask_BS).sum(-1).cpu())
        return self.remember(h_BSD, last, src_key_padding_mask_BS)

    def remember(self, h_BSD: Tensor, last: CellState, src_key_padding_mask_BS: Tensor) -> AttentionMemory:
        """The memory from what the encoder has read."""
        start = self.bridge(last.h_BWLD[:, 0, -1], last)
        uh_BSG = self.decoder.project_inputs(h_BSD, first_column=self.tgt_embedding.embedding_dim)
        return AttentionMemory(h_BSD, self.energy.project_keys(h_BSD), uh_BSG, src_key_padding_mask_BS, start)

    def init_state(self, memory: AttentionMemory) -> CellState:
        return memory.start

    def step(self, y_BW: Tensor, state: CellState, memory: AttentionMemory) -> Step:
        y_BWE = self.dropout(self.tgt_embedding(y_BW))
        products = LoopProducts(StepProduct(memory.uh_BSG), self.decoder.recurrences())
        d_BWD, alpha_BWS, state = self._attend_and_step(self.decoder.project_inputs(y_BWE), state, memory, products)
        return Step(self.readout(d_BWD, y_BWE, alpha_BWS @ memory.h_BSD), state, alpha_BWS)

    def features(self, src_BS: Tensor, src_key_padding_mask_BS: Tensor, tgt_BT: Tensor) -> Tensor:
        memory = self.encode(src_BS, src_key_padding_mask_BS)
        state = self.init_state(memory)
        y_BTE = self.dropout(self.tgt_embedding(tgt_BT))
        # Only the chain d_{t-1} -> a_t -> d_t must walk; what comes before and after it is done for all t at once.
        products = LoopProducts(StepProduct(memory.uh_BSG), self.decoder.recurrences())
        d_steps, alpha_steps = [], []
        for uy in self.decoder.project_inputs(y_BTE).split(1, dim=1):
            d_B1D, alpha_B1S, state = self._attend_and_step(uy, state, memory, products)
            d_steps.append(d_B1D)
            alpha_steps.append(alpha_B1S)
        z_BTD = torch.cat(alpha_steps, dim=1) @ memory.h_BSD
        return self.readout.features(torch.cat(d_steps, dim=1), y_BTE, z_BTD)

    def output_layer(self) -> nn.Linear:
        return self.readout.projection

    def _attend_and_step(
        self, uy: Tensor, state: CellState, memory: AttentionMemory, products: LoopProducts
    ) -> tuple[Tensor, Tensor, CellState]:
        """d_t, the weights a_t and the new state from uy = b + U y_{t-1}, which lacks only the context's part."""
        d_prev_BWD = state.h_BWLD[:, :, -1]
        e_BWS = mask_energies(self.energy(d_prev_BWD, memory.keys_BSA), memory.src_key_padding_mask_BS)
        alpha_BWS = e_BWS.softmax(-1)
        d_BWD, state = self.decoder.step(uy + products.uz(alpha_BWS), state, products.recurrences)
        return d_BWD, alpha_BWS, state
