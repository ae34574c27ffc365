"""The contract between an architecture and everything that trains it or searches with it.

Letters of tensor shapes, used as suffixes of names throughout `models` and `decoding`:
B batch, S source length, T target length, V vocabulary, E embedding, D model or hidden, L layers, H heads, K head size,
F feed-forward, W beam width. `alpha_BS` is a tensor of shape (B, S).

A search keeps W hypotheses per sentence. They are W queries on the same `Memory`, as the T positions are in training,
so what the source contributes is computed once per sentence and neither copied nor reordered. `Memory` and `State` are
named tuples of tensors, opaque to the searches: a memory leads with (B,), a state with (B, W); what is the same for all
sentences may be a number. Nothing is kept on the module between calls. A step may write into the state that it is
given, behind what this one holds: of two steps from one state, the second uses up what the first has given back.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

Tree = TypeVar("Tree", Tensor, tuple, int)  # a tensor, a number, or a (named) tuple of trees


class Step(NamedTuple):
    """What one decoder step gives back."""

    logits_BWV: Tensor  # unnormalised scores of the next token
    state: tuple  # the state after this token
    attention_BWS: Tensor | None  # weights over the source positions, rows sum to 1; None without attention


class EncoderDecoder(nn.Module, ABC):
    """p(y | x) = prod_t p(y_t | y_1 .. y_{t-1}, x), as an encoder and a decoder step.

    `forward` (teacher forcing: all positions at once) and repeated `step` calls give the same logits.
    """

    has_attention = True  # whether a step says where it looked

    @abstractmethod
    def encode(self, src_BS: Tensor, src_key_padding_mask_BS: Tensor) -> tuple:
        """Read the source sentences.

        Args:
            src_BS: token ids.
            src_key_padding_mask_BS: True where `src_BS` is padding.

        Returns:
            The memory: a named tuple of tensors that lead with (B,), fixed over target time.
        """

    @abstractmethod
    def init_state(self, memory: tuple) -> tuple:
        """The decoder state before the first token (s_0 of the lecture), leading with (B, W) at W = 1."""

    @abstractmethod
    def step(self, y_BW: Tensor, state: tuple, memory: tuple) -> Step:
        """Read one token per hypothesis and score the next one.

        Args:
            y_BW: ids of the previous token y_{t-1}, the begin-of-sentence id at first.
            state: from `init_state` or the previous step, reordered by the takes below if the search wishes.
            memory: from `encode`, for the same sentences.
        """

    @abstractmethod
    def features(self, src_BS: Tensor, src_key_padding_mask_BS: Tensor, tgt_BT: Tensor) -> Tensor:
        """Teacher forcing up to the last layer: `x_BTE`, where position t has read `tgt_BT[:, : t + 1]`."""

    @abstractmethod
    def output_layer(self) -> nn.Linear:
        """The last layer, the projection of features to the vocabulary (E -> V)."""

    def forward(self, src_BS: Tensor, src_key_padding_mask_BS: Tensor, tgt_BT: Tensor) -> Tensor:
        """Teacher forcing: `logits_BTV`, where position t has read `tgt_BT[:, : t + 1]`."""
        logits_BTV: Tensor = self.output_layer()(self.features(src_BS, src_key_padding_mask_BS, tgt_BT))
        return logits_BTV


def take_hypotheses(state: Tree, parent_BW: Tensor) -> Tree:
    """Reorder, widen or narrow the hypotheses of each sentence: new hypothesis w continues `parent_BW[b, w]`.

    Args:
        state: a tree of tensors that lead with (B, W).
        parent_BW: index into the old W; its own W may differ.
    """
    if isinstance(state, Tensor):
        # Whole rows are copied at once; `gather` would look up every single number.
        batch, width = state.shape[:2]
        first_B1 = torch.arange(0, batch * width, width, device=parent_BW.device)[:, None]
        rows = (first_B1 + parent_BW).flatten()
        return state.flatten(0, 1).index_select(0, rows).unflatten(0, parent_BW.shape)
    if isinstance(state, int):
        return state
    return _rebuild(state, [take_hypotheses(leaf, parent_BW) for leaf in state])


def take_sentences(tree: Tree, rows_B: Tensor) -> Tree:
    """Keep, drop or reorder sentences: row b of the result is row `rows_B[b]` of every tensor of a memory or state."""
    if isinstance(tree, Tensor):
        return tree.index_select(0, rows_B)
    if isinstance(tree, int):
        return tree
    return _rebuild(tree, [take_sentences(leaf, rows_B) for leaf in tree])


def _rebuild(tree: tuple, leaves: list) -> tuple:
    return tuple(leaves) if type(tree) is tuple else type(tree)(*leaves)  # named tuples take their fields one by one
