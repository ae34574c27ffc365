"""What a search is asked for and what it gives back."""

import math
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from seq2seq.special_ids import PAD_ID

LengthPenalty = Literal["none", "average", "gnmt"]


class Hypothesis(NamedTuple):
    """One translation of one sentence."""

    tokens: list[int]  # without begin and end of sentence
    score: float  # log-probability after the penalties; what a beam ranks by
    log_probability: float  # the model's, of the tokens and, if finished, the end of sentence; natural logarithm
    finished: bool  # False if cut off at the maximum length


@dataclass(frozen=True)
class SearchOptions:
    """How to search, what may be chosen, and how to draw.

    Args:
        beam_width: hypotheses kept per sentence; 1 is greedy search.
        length_penalty: what a log-probability is divided by: "none" 1, "average" the length |y|, "gnmt"
            ((5 + |y|) / 6)^alpha (Wu et al. 2016, eq. 14). |y| counts the end of sentence.
        alpha: exponent of "gnmt".
        coverage_penalty: beta of the same equation, which adds beta * sum_i log min(sum_t alpha_ti, 1) over the source
            positions i: attention weights alpha_ti that leave some of them out cost. 0 is none.
        max_length_factor, max_length_offset: a translation has at most factor * source length + offset tokens, both
            with their end of sentence.
        num_best: hypotheses returned per sentence, best first; at most `beam_width`.
        min_length: tokens before the end of sentence; the maximum goes first.
        no_repeat_ngram_size: no n-gram of this size comes twice in a translation (Paulus et al. 2018); 0 is off.
        allow_unk: whether the unknown token may be chosen.
        num_samples: instead of searching, draw so many translations per sentence from the model; 0 searches.
        temperature: what logits are divided by before a token is drawn.
        top_k: draw among the k most probable tokens only; 0 is all.
        top_p: draw among the fewest tokens that are together at least so probable (Holtzman et al. 2020).
        seed: of the draws, together with the source sentence.
    """

    beam_width: int = 5
    length_penalty: LengthPenalty = "average"
    alpha: float = 0.6
    coverage_penalty: float = 0.0
    max_length_factor: float = 2.0
    max_length_offset: int = 10
    num_best: int = 1

    min_length: int = 0
    no_repeat_ngram_size: int = 0
    allow_unk: bool = False

    num_samples: int = 0
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("num_samples", "min_length", "no_repeat_ngram_size", "top_k", "coverage_penalty"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 0, which is off")
        if self.num_samples:
            self._check_sampling()
        elif given := [n for n in ("temperature", "top_k", "top_p", "seed") if getattr(self, n) != _DEFAULTS[n]]:
            raise ValueError(f"{given[0]} is of no use to a search; give num_samples to draw translations")
        if self.beam_width < 1:
            raise ValueError(f"beam_width is {self.beam_width}; it must be at least 1")
        if not 1 <= self.num_best <= self.beam_width:
            raise ValueError(f"num_best is {self.num_best}; it must lie between 1 and beam_width {self.beam_width}")
        if self.length_penalty not in ("none", "average", "gnmt"):
            raise ValueError(f"length_penalty is {self.length_penalty!r}; use none, average or gnmt")
        if self.coverage_penalty and self.beam_width == 1:
            raise ValueError("coverage_penalty chooses among the translations of a beam; give a beam_width above 1")
        if self.max_length_factor < 0 or self.max_length_factor + self.max_length_offset < 1:
            raise ValueError(
                f"max_length_factor {self.max_length_factor} and max_length_offset {self.max_length_offset} leave no "
                "room for a token; raise one of them"
            )

    def _check_sampling(self) -> None:
        if (self.beam_width, self.num_best) != (1, 1):
            raise ValueError(
                f"num_samples {self.num_samples} draws, beam_width {self.beam_width} and num_best {self.num_best} "
                "search for the best; set both to 1, or leave num_samples out"
            )
        if not 0 < self.temperature < math.inf:
            raise ValueError(
                f"temperature is {self.temperature}; it must be above 0 (always the most probable token: beam_width 1 "
                "without num_samples)"
            )
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; it must be above 0 and at most 1, which is off")

    def max_lengths(self, src_key_padding_mask_BS: Tensor, prefix_BP: Tensor | None = None) -> Tensor:
        """Largest number of steps of each sentence, (B,): enough for its prefix and the end of sentence at least."""
        lengths_B = (~src_key_padding_mask_BS).sum(-1)
        max_lengths_B = (self.max_length_factor * lengths_B + self.max_length_offset).to(torch.long).clamp(min=1)
        return max_lengths_B if prefix_BP is None else max_lengths_B.maximum((prefix_BP != PAD_ID).sum(-1) + 1)

    def penalised(self, log_probability: float, length: int) -> float:
        """The score of a hypothesis of `length` tokens, its end of sentence among them, before a coverage penalty."""
        match self.length_penalty:
            case "average":
                return log_probability / length
            case "gnmt":
                return log_probability / ((5 + length) / 6) ** self.alpha
        return log_probability

    def best_reachable(self, log_probability: float, length: int, max_length: int) -> float:
        """A score that nothing which goes on from an open hypothesis of `length` tokens exceeds.

        Proof. What is appended has a log-probability of at most 0, so the sum can only fall, and the penalised score,
        which rises with it, too. The final length lies between length + 1 and `max_length` (at `max_length` the
        hypothesis is cut as it stands), and the score is monotone in it, so it is highest at one of the two ends. A
        coverage penalty, a sum of logarithms of at most 1, adds nothing above 0.
        """
        return max(self.penalised(log_probability, n) for n in (min(length + 1, max_length), max_length))


_DEFAULTS = {field.name: field.default for field in fields(SearchOptions)}
