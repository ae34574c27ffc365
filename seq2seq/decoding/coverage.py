"""The coverage penalty: what a translation has not attended to costs (Wu et al. 2016, eq. 14). Letters: see `beam.py`.

cp(X; Y) = beta * sum_i log min(sum_t alpha_ti, 1), over the source positions i and the target positions t.
"""

import torch
from torch import Tensor


def nothing_covered(src_key_padding_mask_BS: Tensor) -> Tensor:
    """The sums of attention before the first step, (B, W, S) at W = 1. Padding counts as covered: it costs nothing."""
    return src_key_padding_mask_BS[:, None].float()


def covered(coverage_BWS: Tensor, attention_BWS: Tensor | None) -> Tensor:
    """The sums with one step's attention weights in them.

    Raises:
        ValueError: the model has no attention.
    """
    if attention_BWS is None:
        raise ValueError("coverage_penalty needs a model with attention, and this one has none; leave it out")
    return coverage_BWS + attention_BWS


def coverage_penalty(coverage_S: Tensor, beta: float) -> float:
    """cp of one translation: 0 if each position got a weight of at least 1 in all."""
    # A weight may be so small that it is 0 in floating point, but never is in truth.
    return beta * float(coverage_S.clamp(torch.finfo(coverage_S.dtype).tiny, 1).log().sum())
