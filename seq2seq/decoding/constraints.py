"""What a search may choose. Letters: see `models/interface.py`; P is the length of the longest prefix.

The begin of sentence and padding are no part of a translation, whatever the model thinks of them. What is forbidden
loses its logit after the model's distribution was normalised: the log-probabilities of the rest stay the model's own.
"""

import torch
from torch import Tensor

from seq2seq.decoding.hypothesis import SearchOptions
from seq2seq.special_ids import BOS_ID, EOS_ID, PAD_ID, UNK_ID


class Constraints:
    """Which tokens may come next.

    Args:
        options: see `SearchOptions`.
        prefix_BP: what the translation of each sentence begins with, padded on the right; None: nothing. It is taken as
            it is: the other constraints hold from its end on.
    """

    def __init__(self, options: SearchOptions, prefix_BP: Tensor | None = None) -> None:
        self._never = (PAD_ID, BOS_ID) if options.allow_unk else (PAD_ID, BOS_ID, UNK_ID)
        self._min_length = options.min_length
        self._ngram_size = options.no_repeat_ngram_size
        self._prefix_BP = prefix_BP

    def forbid(self, logits_BWV: Tensor, tokens_BWT: Tensor, sentence_B: Tensor) -> None:
        """Set the logits of what may not come next to minus infinity, in place.

        Args:
            logits_BWV: of the next token.
            tokens_BWT: the begin of sentence and what has been chosen.
            sentence_B: which row of the prefixes each sentence has.
        """
        num_chosen = tokens_BWT.shape[2] - 1
        forced = self._forced(logits_BWV, num_chosen, sentence_B)
        for token in self._never:
            logits_BWV[..., token] = -torch.inf
        if self._ngram_size:
            forbid_repeated(logits_BWV, tokens_BWT[:, :, 1:], self._ngram_size)
        if num_chosen < self._min_length:
            end_BW = logits_BWV[..., EOS_ID].clone()
            logits_BWV[..., EOS_ID] = -torch.inf
            if self._ngram_size:  # nothing but repetitions may be left in a small vocabulary: then the end is allowed
                is_stuck_BW = logits_BWV.amax(-1) == -torch.inf
                logits_BWV[..., EOS_ID] = end_BW.masked_fill(~is_stuck_BW, -torch.inf)
        if forced is not None:
            rows, y, logit = forced
            logits_BWV[rows] = torch.full_like(logits_BWV[rows], -torch.inf).scatter(2, y, logit)

    def _forced(self, logits_BWV: Tensor, num_chosen: int, sentence_B: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
        """The rows whose prefix has not ended, its next token for all their hypotheses, and that token's logits."""
        if self._prefix_BP is None or num_chosen >= self._prefix_BP.shape[1]:
            return None
        y_B = self._prefix_BP[sentence_B, num_chosen]
        rows = (y_B != PAD_ID).nonzero()[:, 0]
        y = y_B[rows, None, None].expand(-1, logits_BWV.shape[1], -1)
        return rows, y, logits_BWV[rows].gather(2, y)


def forbid_repeated(logits_BWV: Tensor, chosen_BWT: Tensor, size: int) -> None:
    """Forbid, in place, each token that would complete an n-gram of this size for the second time."""
    if chosen_BWT.shape[2] < size:
        return
    ngrams_BWTN = chosen_BWT.unfold(2, size, 1)
    begun_BWN = chosen_BWT[:, :, chosen_BWT.shape[2] - (size - 1) :]  # what the next token goes on from
    is_again_BWT = (ngrams_BWTN[..., :-1] == begun_BWN[:, :, None]).all(-1)
    limit_BWT = torch.zeros_like(is_again_BWT, dtype=logits_BWV.dtype).masked_fill_(is_again_BWT, -torch.inf)
    limit_BWT.masked_fill_(~is_again_BWT, torch.inf)
    logits_BWV.scatter_reduce_(2, ngrams_BWTN[..., -1], limit_BWT, "amin")
