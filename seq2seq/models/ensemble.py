"""Several models over one vocabulary as one: at each step the members' next-token probabilities are averaged.

    linear       p(y_t) = sum_m w_m p_m(y_t)
    log_linear   p(y_t) = prod_m p_m(y_t)^{w_m} / Z, the weighted mean of the log-probabilities

with weights w_m that sum to 1. A memory is the tuple of the members' memories and a state that of their states, so
every search runs over an ensemble as over a model. The two names are Sockeye's (Hieber et al. 2017).
Letters: see `interface.py`.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from seq2seq.models.interface import EncoderDecoder, Step

Average = Literal["linear", "log_linear"]
AVERAGES: tuple[Average, ...] = ("linear", "log_linear")


class Ensemble(EncoderDecoder):
    """An average of models.

    Args:
        members: on one device, in evaluation mode, over one vocabulary.
        average: "linear" or "log_linear".
        weights: positive, one a member; only their proportions matter. Equal if None.

    Raises:
        ValueError: an unknown average, or weights that are none.
    """

    members: Iterable[EncoderDecoder]  # a module list, whose items torch types as any module

    def __init__(
        self, members: Sequence[EncoderDecoder], *, average: Average = "linear", weights: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        if average not in AVERAGES:
            raise ValueError(f"ensemble is {average!r}; use linear or log_linear")
        weights = [1.0] * len(members) if weights is None else weights
        if len(weights) != len(members):
            raise ValueError(f"there are {len(weights)} weights for {len(members)} models; give one for each")
        if not all(0 < weight < math.inf for weight in weights):
            raise ValueError(f"weights are {', '.join(f'{weight:g}' for weight in weights)}; each must be above 0")
        self.members = nn.ModuleList(members)  # type: ignore[assignment]
        self.has_attention = any(member.has_attention for member in members)
        self.average = average
        self.weights = [weight / sum(weights) for weight in weights]

    def encode(self, src_BS: Tensor, src_key_padding_mask_BS: Tensor) -> tuple:
        return tuple(member.encode(src_BS, src_key_padding_mask_BS) for member in self.members)

    def init_state(self, memory: tuple) -> tuple:
        return tuple(member.init_state(own) for member, own in zip(self.members, memory, strict=True))

    def step(self, y_BW: Tensor, state: tuple, memory: tuple) -> Step:
        steps = [
            member.step(y_BW, own, source) for member, own, source in zip(self.members, state, memory, strict=True)
        ]
        logits_BWV = self._mean([step.logits_BWV for step in steps])
        return Step(logits_BWV, tuple(step.state for step in steps), self._attention(steps))

    def forward(self, src_BS: Tensor, src_key_padding_mask_BS: Tensor, tgt_BT: Tensor) -> Tensor:
        # Not through features: a mean of probabilities is no projection of anything.
        return self._mean([member(src_BS, src_key_padding_mask_BS, tgt_BT) for member in self.members])

    def features(self, src_BS: Tensor, src_key_padding_mask_BS: Tensor, tgt_BT: Tensor) -> Tensor:
        raise AssertionError("an ensemble is not trained, its members are")

    def output_layer(self) -> nn.Linear:
        raise AssertionError("an ensemble is not trained, its members are")

    def _mean(self, logits: list[Tensor]) -> Tensor:
        """The average's log-probabilities, but for a constant at each position."""
        weighted = zip(self.weights, (one.log_softmax(-1) for one in logits), strict=True)
        if self.average == "log_linear":
            return torch.stack([weight * log_p for weight, log_p in weighted]).sum(0)
        return torch.stack([math.log(weight) + log_p for weight, log_p in weighted]).logsumexp(0)

    def _attention(self, steps: list[Step]) -> Tensor | None:
        """The weighted mean over those members that have attention."""
        found = zip(self.weights, (step.attention_BWS for step in steps), strict=True)
        weighted = [(weight, alpha_BWS) for weight, alpha_BWS in found if alpha_BWS is not None]
        if not weighted:
            return None
        total = sum(weight for weight, _ in weighted)
        return torch.stack([weight / total * alpha_BWS for weight, alpha_BWS in weighted]).sum(0)
