"""The most probable of many tokens. A search spends much of its time on logits: they are read as seldom as can be.

The V logits of a hypothesis are cut into blocks. The k best of them lie in the k blocks whose highest logits are the
highest, for any other block has k better ones in front of it; so only these blocks are sorted.

Letters: see `models/interface.py`; C candidates.
"""

import math

import torch
from torch import Tensor

_NARROWEST_BLOCK = 16
_WHOLE_VECTORS = 32  # numbers that torch's reductions take at a time


def log_sum(logits: Tensor) -> Tensor:
    """log sum_v exp(z_v) of logits z (..., V), in half the time of `logsumexp`: max z - log max softmax(z)."""
    return logits.amax(-1) - logits.softmax(-1).amax(-1).log()


def best_token(logits_BV: Tensor) -> tuple[Tensor, Tensor]:
    """The most probable token of each row, the smallest id among equals, and its logit: `y_B1, logit_B1`."""
    blocks_BNw = _blocks(logits_BV)
    highest_BN = blocks_BNw.amax(-1)
    block_B1 = highest_BN.argmax(-1, keepdim=True)
    within_B1 = blocks_BNw.take_along_dim(block_B1[:, :, None], 1).argmax(-1)
    return block_B1 * blocks_BNw.shape[-1] + within_B1, highest_BN.gather(1, block_B1)


def best_extensions(
    log_p_BW: Tensor, logits_BWV: Tensor, log_sum_BW: Tensor, num_candidates: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The most probable extensions of W hypotheses by one token.

    Among equals come those of the first hypothesis first, then those with the higher logit, then the smaller id.

    Args:
        log_p_BW: log-probabilities of the hypotheses.
        logits_BWV: of the next token, minus infinity where it may not come.
        log_sum_BW: what makes log-probabilities of them, see `log_sum`.
        num_candidates: C.

    Returns:
        Their log-probabilities, parents and tokens, each (B, C), best first; fewer than C if there are fewer.
    """
    blocks_BWNw = _blocks(logits_BWV)
    highest_BWN = blocks_BWNw.amax(-1)
    num_blocks, width = blocks_BWNw.shape[2:]

    wanted = num_candidates + 1  # one more shows equals across the edge
    reach_BN = (log_p_BW[:, :, None] + (highest_BWN - log_sum_BW[:, :, None])).flatten(1)
    if width > 1 and reach_BN.shape[1] >= wanted:
        block_BC = reach_BN.topk(wanted).indices
        parent_BC = block_BC // num_blocks
        first_B1 = torch.arange(0, reach_BN.numel(), reach_BN.shape[1], device=block_BC.device)[:, None]
        chosen_n = (first_B1 + block_BC).flatten()
        logits_BCw = blocks_BWNw.flatten(0, 2).index_select(0, chosen_n).unflatten(0, block_BC.shape)
        log_p_BC, log_sum_BC = log_p_BW.gather(1, parent_BC), log_sum_BW.gather(1, parent_BC)
        best_BC, place_BC = (log_p_BC[:, :, None] + (logits_BCw - log_sum_BC[:, :, None])).flatten(1).topk(wanted)
        if not _has_equals(best_BC):
            best_BC, place_BC = best_BC[:, :-1], place_BC[:, :-1]
            block_BC, parent_BC = (x.gather(1, place_BC // width) for x in (block_BC, parent_BC))
            return best_BC, parent_BC, block_BC % num_blocks * width + place_BC % width
    logits_BWC, y_BWC = _best_tokens(logits_BWV, num_candidates)
    log_p_BWC = log_p_BW[:, :, None] + (logits_BWC - log_sum_BW[:, :, None])
    best_BC, place_BC = log_p_BWC.flatten(1).sort(dim=1, descending=True, stable=True)
    best_BC, place_BC = best_BC[:, :num_candidates], place_BC[:, :num_candidates]
    return best_BC, place_BC // y_BWC.shape[-1], y_BWC.flatten(1).gather(1, place_BC)


def _best_tokens(logits_BWV: Tensor, num_tokens: int) -> tuple[Tensor, Tensor]:
    """The best logits and their tokens, best first, the smaller id first among equals; `topk` takes any of these."""
    best, y = logits_BWV.topk(min(num_tokens + 1, logits_BWV.shape[-1]))
    if _has_equals(best):  # rare, for sorting the vocabulary takes long
        best, y = logits_BWV.sort(descending=True, stable=True)
    return best[..., :num_tokens], y[..., :num_tokens]


def _has_equals(best: Tensor) -> bool:
    """Whether two in order (..., C) are the same; what is impossible may come in any order."""
    return bool(((best[..., 1:] == best[..., :-1]) & best[..., 1:].isfinite()).any())


def _blocks(logits: Tensor) -> Tensor:
    """(..., V) as (..., N, w), about as many blocks as tokens in each; of width 1 if V has no such divisor."""
    num_tokens = logits.shape[-1]
    widths = [width for width in range(math.isqrt(num_tokens), _NARROWEST_BLOCK - 1, -1) if num_tokens % width == 0]
    # The highest of 64 is found in a third of the time that those of 80 take: whole vectors.
    width = next((width for width in widths if width % _WHOLE_VECTORS == 0), next(iter(widths), 1))
    return logits.unflatten(-1, (-1, width))
