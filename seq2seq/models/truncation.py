"""Truncated backpropagation through time: the state goes on from piece to piece of a sequence, its gradient does not.

A sequence is cut into pieces of k steps, and the state that a piece begins with counts as given. What is computed stays
the same; of a layer's gradient dh_t/dx_s all is left where s and t lie in one piece, nothing where s lies before it.

Pieces are counted from where a direction begins: to the right from the first token, to the left from a sentence's own
last one. So padding moves no piece. Every layer is cut by itself. Where decoder and encoder meet, at the decoder's
first state and in attention, nothing is cut.

What it saves: of an encoder of one layer whose last state alone is used (no attention), the backward pass of all pieces
but the last. Elsewhere every state has a gradient of its own, and all is computed as without it.

Source: Williams & Peng 1990, BPTT(h; h') with both numbers k.
Letters: see `interface.py`; N tokens of all sentences in the order of torch's packed sequences, by time, then by
sentence, the longest first; X width of an input.
"""

from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from seq2seq.models.dropout import dropout

State = TypeVar("State", bound=tuple[Tensor, ...])  # a named tuple of tensors
_FUSED: dict[str, Any] = {"RNN_TANH": torch.rnn_tanh, "GRU": torch.gru, "LSTM": torch.lstm}


def cut(state: State, t: int, bptt_steps: int | None) -> State:
    """The state that step t (from 0) begins with: without its past where a piece begins."""
    return detached(state) if bptt_steps is not None and t > 0 and t % bptt_steps == 0 else state


def detached(state: State) -> State:
    """The state as if it were given."""
    return type(state)(*(part.detach() for part in state))


def read_in_pieces(layers: nn.RNNBase, packed: PackedSequence, bptt_steps: int) -> tuple[PackedSequence, Any]:
    """What `layers(packed)` gives, the gradient cut every `bptt_steps` steps of each layer and direction."""
    x_NX, sizes_S = packed.data, packed.batch_sizes
    backwards_N = _backwards(sizes_S).to(x_NX.device)
    last_states: list[tuple[Tensor, ...]] = []
    for layer in range(layers.num_layers):
        if layer > 0:
            x_NX = dropout(x_NX, layers.dropout, layers.training)
        directions = []
        for to_the_left in (False, True)[: 1 + layers.bidirectional]:
            weights = layers.all_weights[len(last_states)]
            x = x_NX.index_select(0, backwards_N) if to_the_left else x_NX
            h_ND, last = _run(layers.mode, weights, x, sizes_S, bptt_steps)
            directions.append(h_ND.index_select(0, backwards_N) if to_the_left else h_ND)
            last_states.append(last)
        x_NX = torch.cat(directions, dim=-1)
    parts = [torch.cat(part)[:, packed.unsorted_indices] for part in zip(*last_states, strict=True)]
    return packed._replace(data=x_NX), tuple(parts) if layers.mode == "LSTM" else parts[0]


def _run(
    mode: str, weights: list[nn.Parameter], x_NX: Tensor, sizes_S: Tensor, bptt_steps: int
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """One layer in one direction from zeros: outputs, and h (and c) (1, B, D) after each sentence's own last step."""
    num_parts = 2 if mode == "LSTM" else 1
    state = (x_NX.new_zeros(1, int(sizes_S[0]), weights[1].shape[1]),) * num_parts
    outputs: list[Tensor] = []
    ended: list[tuple[Tensor, ...]] = []
    pieces = sizes_S.split(bptt_steps)
    for x, sizes in zip(x_NX.split([int(sizes.sum()) for sizes in pieces]), pieces, strict=True):
        still = int(sizes[0])  # sentences that are not over yet
        if still < state[0].shape[1]:  # or an empty part would let a gradient of nothing into this piece
            ended.append(tuple(part[:, still:] for part in state))
        given = tuple(part[:, :still].detach() for part in state)
        # With biases, one layer, no dropout, in training, not bidirectional.
        h_ND, *state = _FUSED[mode](x, sizes, given if mode == "LSTM" else given[0], weights, True, 1, 0.0, True, False)
        outputs.append(h_ND)
    last = tuple(torch.cat(part, dim=1) for part in zip(state, *reversed(ended), strict=True))
    return torch.cat(outputs), last


def _backwards(sizes_S: Tensor) -> Tensor:
    """For each token the one that is as far from its sentence's other end, as an index of N.

    Args:
        sizes_S: number of sentences that have a token at each time.
    """
    times_S1, sentences_B = torch.arange(len(sizes_S))[:, None], torch.arange(int(sizes_S[0]))
    is_token_SB = sentences_B < sizes_S[:, None]
    mirrored_SB = (is_token_SB.sum(0) - 1 - times_S1).clamp(min=0)
    first_S = sizes_S.cumsum(0) - sizes_S
    return (first_S[mirrored_SB] + sentences_B)[is_token_SB]
