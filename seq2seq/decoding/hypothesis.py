"""What a search is asked for and what it gives back."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

LengthPenalty = Literal["none", "average", "gnmt"]


class Hypothesis(NamedTuple):
    """One translation of one sentence."""

    tokens: list[int]  # without begin and end of sentence
    score: float  # log-probability after the length penalty; what the search ranks by
    log_probability: float  # of the tokens and, if finished, the end of sentence; natural logarithm
    finished: bool  # False if cut off at the maximum length


@dataclass(frozen=True)
class SearchOptions:
    """How to search.

    Args:
        beam_width: hypotheses kept per sentence; 1 is greedy search.
        length_penalty: what a log-probability is divided by: "none" 1, "average" the length |y|, "gnmt"
            ((5 + |y|) / 6)^alpha (Wu et al. 2016, eq. 14). |y| counts the end of sentence.
        alpha: exponent of "gnmt".
        max_length_factor, max_length_offset: a translation has at most factor * source length + offset tokens, both
            with their end of sentence.
        num_best: hypotheses returned per sentence, best first; at most `beam_width`.
    """

    beam_width: int = 5
    length_penalty: LengthPenalty = "average"
    alpha: float = 0.6
    max_length_factor: float = 2.0
    max_length_offset: int = 10
    num_best: int = 1

    def __post_init__(self) -> None:
        if self.beam_width < 1:
            raise ValueError(f"beam_width is {self.beam_width}; it must be at least 1")
        if not 1 <= self.num_best <= self.beam_width:
            raise ValueError(f"num_best is {self.num_best}; it must lie between 1 and beam_width {self.beam_width}")
        if self.length_penalty not in ("none", "average", "gnmt"):
            raise ValueError(f"length_penalty is {self.length_penalty!r}; use none, average or gnmt")
        if self.max_length_factor < 0 or self.max_length_factor + self.max_length_offset < 1:
            raise ValueError(
                f"max_length_factor {self.max_length_factor} and max_length_offset {self.max_length_offset} leave no "
                "room for a token; raise one of them"
            )

    def max_lengths(self, src_key_padding_mask_BS: Tensor) -> Tensor:
        """Largest number of steps of each sentence, (B,)."""
        lengths_B = (~src_key_padding_mask_BS).sum(-1)
        return (self.max_length_factor * lengths_B + self.max_length_offset).to(torch.long).clamp(min=1)

    def penalised(self, log_probability: float, length: int) -> float:
        """The score of a hypothesis of `length` tokens, its end of sentence among them."""
        match self.length_penalty:
            case "average":
                return log_probability / length
            case "gnmt":
                return log_probability / ((5 + length) / 6) ** self.alpha
        return log_probability
