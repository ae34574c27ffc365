"""A model that can be computed by hand: what comes next depends on the previous token alone."""

import torch
from torch import Tensor, nn

from seq2seq.models import EncoderDecoder, Step
from seq2seq.special_ids import BOS_ID, EOS_ID

W1, W2 = 4, 5


class Markov(EncoderDecoder):
    """p(y_t | y_{t-1}) in a matrix of transitions; it looks at `looks_at` of the source, or nowhere.

    Args:
        transitions: {previous token: probabilities of W1, W2 and the end of sentence}.
        looks_at: position of the source that has all attention.
    """

    def __init__(self, transitions: dict[int, tuple[float, float, float]], looks_at: int | None = None) -> None:
        super().__init__()
        p_VV = torch.zeros(6, 6, dtype=torch.float64)
        for previous, row in transitions.items():
            p_VV[previous, [W1, W2, EOS_ID]] = torch.tensor(row, dtype=torch.float64)
        self.logits_VV = nn.Parameter(p_VV.log() + 0.7)  # a constant says nothing
        self.looks_at = looks_at

    def encode(self, src_BS: Tensor, src_key_padding_mask_BS: Tensor) -> tuple:
        return (src_BS,)

    def init_state(self, memory: tuple) -> tuple:
        return (memory[0].new_zeros(len(memory[0]), 1),)

    def step(self, y_BW: Tensor, state: tuple, memory: tuple) -> Step:
        (src_BS,) = memory
        alpha_BWS = torch.zeros(*y_BW.shape, src_BS.shape[1], dtype=torch.float64)
        if self.looks_at is not None:
            alpha_BWS[..., self.looks_at] = 1.0
        return Step(self.logits_VV[y_BW], state, alpha_BWS if self.looks_at is not None else None)

    def forward(self, src_BS: Tensor, src_key_padding_mask_BS: Tensor, tgt_BT: Tensor) -> Tensor:
        return self.logits_VV[tgt_BT]

    def features(self, src_BS: Tensor, src_key_padding_mask_BS: Tensor, tgt_BT: Tensor) -> Tensor:
        raise AssertionError("its logits are no projection")

    def output_layer(self) -> nn.Linear:
        raise AssertionError("its logits are no projection")


WEATHER = Markov({BOS_ID: (0.5, 0.3, 0.2), W1: (0.1, 0.8, 0.1), W2: (0.4, 0.2, 0.4)}).eval()
OTHER_WEATHER = Markov({BOS_ID: (0.1, 0.1, 0.8), W1: (0.3, 0.3, 0.4), W2: (0.25, 0.25, 0.5)}, looks_at=1).eval()
