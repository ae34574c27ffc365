"""The most probable of many tokens. A search spends much of its time on logits: they are read as seldom as can be.

The V logits of a hypothesis are cut into blocks. The k best of them lie in the k blocks whose highest logits are the
highest, for any other block has k better ones in front of it; so only these blocks are sorted. Log-probabilities need
the sum over all V: log p = logit - log sum_v exp(logit_v), which for the highest logit is the log of the highest p.

Letters: see `models/interface.py`; C candidates.
"""

import math

import torch
from torch import Tensor

_NARROWEST_BLOCK = 16


def best_token(logits_BV: Tensor) -> tuple[Tensor, Tensor]:
    """The most probable token of each row, the smallest id among equals, and its log-probability: `y_B, log_p_B`."""
    highest_BN, log_sum_B, y_B = _read(logits_BV)
    return y_B, highest_BN.amax(-1) - log_sum_B


def best_extensions(log_p_BW: Tensor, logits_BWV: Tensor, num_candidates: int) -> tuple[Tensor, Tensor, Tensor]:
    """The most probable extensions of W hypotheses by one token.

    Among equals come those of the first hypothesis first, then those with the higher logit, then the smaller id.

    Args:
        log_p_BW: log-probabilities of the hypotheses.
        logits_BWV: of the next token.
        num_candidates: C.

    Returns:
        Their log-probabilities, parents and tokens, each (B, C), best first; fewer than C if there are fewer.
    """
    highest_BWN, log_sum_BW, _ = _read(logits_BWV)
    num_blocks = highest_BWN.shape[-1]
    width = logits_BWV.shape[-1] // num_blocks

    wanted = num_candidates + 1  # one more shows equals across the edge
    reach_BN = (log_p_BW[:, :, None] + (highest_BWN - log_sum_BW[:, :, None])).flatten(1)
    if width > 1 and reach_BN.shape[1] >= wanted:
        block_BC = reach_BN.topk(wanted).indices
        parent_BC = block_BC // num_blocks
        first_B1 = torch.arange(0, reach_BN.numel(), reach_BN.shape[1], device=block_BC.device)[:, None]
        blocks_nw = logits_BWV.reshape(-1, width)
        logits_BCw = blocks_nw.index_select(0, (first_B1 + block_BC).flatten()).unflatten(0, block_BC.shape)
        log_p_BC, log_sum_BC = log_p_BW.gather(1, parent_BC), log_sum_BW.gather(1, parent_BC)
        best_BC, place_BC = (log_p_BC[:, :, None] + (logits_BCw - log_sum_BC[:, :, None])).flatten(1).topk(wanted)
        if not (best_BC[:, 1:] == best_BC[:, :-1]).any():
            best_BC, place_BC = best_BC[:, :-1], place_BC[:, :-1]
            block_BC, parent_BC = (x.gather(1, place_BC // width) for x in (block_BC, parent_BC))
            return best_BC, parent_BC, block_BC % num_blocks * width + place_BC % width
    logits_BWC, y_BWC = _best_tokens(logits_BWV, num_candidates)
    log_p_BWC = log_p_BW[:, :, None] + (logits_BWC - log_sum_BW[:, :, None])
    best_BC, place_BC = log_p_BWC.flatten(1).sort(dim=1, descending=True, stable=True)
    best_BC, place_BC = best_BC[:, :num_candidates], place_BC[:, :num_candidates]
    return best_BC, place_BC // y_BWC.shape[-1], y_BWC.flatten(1).gather(1, place_BC)


def _read(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of logits (..., V) the highest in each block (..., N), log sum_v exp(logit_v) (...), and the best token (...)."""
    blocks = logits.unflatten(-1, (-1, _block_width(logits.shape[-1])))
    highest = blocks.amax(-1)
    block = highest.argmax(-1, keepdim=True)
    within = blocks.take_along_dim(block[..., None], -2).argmax(-1)
    y = block * blocks.shape[-1] + within
    log_p = logits.softmax(-1).gather(-1, y).log()  # a third of the time of `logsumexp`
    return highest, highest.amax(-1) - log_p.squeeze(-1), y.squeeze(-1)


def _best_tokens(logits_BWV: Tensor, num_tokens: int) -> tuple[Tensor, Tensor]:
    """The best logits and their tokens, best first, the smaller id first among equals; `topk` takes any of these."""
    best, y = logits_BWV.topk(min(num_tokens + 1, logits_BWV.shape[-1]))
    if (best[..., 1:] == best[..., :-1]).any():  # rare, for sorting the vocabulary takes long
        best, y = logits_BWV.sort(descending=True, stable=True)
    return best[..., :num_tokens], y[..., :num_tokens]


def _block_width(num_tokens: int) -> int:
    """The divisor nearest below the root, with which there are about as many blocks as tokens in each; or 1."""
    widths = range(math.isqrt(num_tokens), _NARROWEST_BLOCK - 1, -1)
    return next((width for width in widths if num_tokens % width == 0), 1)
