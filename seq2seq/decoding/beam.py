"""Beam search: the W best prefixes of each sentence, extended together. Letters: see `models/interface.py`.

Of the candidates of a step (prefix + token) the best 2W are looked at. Those that end among the first W are set aside
as finished; the first W of the others go on. A sentence is done when W hypotheses have finished and none that is open
is more probable than all of them, or at its maximum length, where what is open counts as it stands. The two rules make
a beam of width 1 exactly the greedy search, and a beam as wide as the space exhaustive; letting any of the 2W
candidates finish, as is widespread, makes neither so.
"""

import torch
from torch import Tensor

from seq2seq.decoding.hypothesis import Hypothesis, SearchOptions
from seq2seq.models.interface import EncoderDecoder, take_hypotheses, take_sentences
from seq2seq.special_ids import BOS_ID, EOS_ID


@torch.inference_mode()
def beam_search(
    model: EncoderDecoder, src_BS: Tensor, src_key_padding_mask_BS: Tensor, options: SearchOptions
) -> list[list[Hypothesis]]:
    """The `options.num_best` best finished hypotheses of each sentence, best first.

    Fewer come back only where the space of translations has fewer.

    Args:
        model: in evaluation mode.
        src_BS, src_key_padding_mask_BS: as for `EncoderDecoder.encode`.
        options: see `SearchOptions`.
    """
    width = options.beam_width
    memory = model.encode(src_BS, src_key_padding_mask_BS)
    state = model.init_state(memory)
    max_lengths_B = options.max_lengths(src_key_padding_mask_BS)
    ended: list[list[Hypothesis]] = [[] for _ in range(len(src_BS))]
    sentence_B = torch.arange(len(src_BS), device=src_BS.device)  # which sentence each row still in the batch is
    log_probability_BW = torch.zeros(len(src_BS), 1, device=src_BS.device)  # W is 1 before the first step
    tokens_BWT = src_BS.new_full((len(src_BS), 1, 1), BOS_ID)

    for length in range(1, int(max_lengths_B.max()) + 1):
        logits_BWV, state, _ = model.step(tokens_BWT[:, :, -1], state, memory)
        candidates = _best_candidates(log_probability_BW, logits_BWV, num_candidates=2 * width)
        log_probability_BC, parent_BC, y_BC = candidates

        ends_BC = y_BC == EOS_ID
        finishes_BC = ends_BC[:, :width] & log_probability_BC[:, :width].isfinite()
        for row, c in finishes_BC.nonzero().tolist():
            tokens = tokens_BWT[row, parent_BC[row, c], 1:].tolist()
            ended[int(sentence_B[row])].append(_hypothesis(tokens, log_probability_BC[row, c], True, options))

        # Stable, so that what is equally probable keeps its order, as it does in the greedy search.
        open_BC = log_probability_BC.masked_fill(ends_BC, -torch.inf)
        order_BW = open_BC.argsort(dim=1, descending=True, stable=True)[:, :width]
        log_probability_BW, parent_BW, y_BW = (x.gather(1, order_BW) for x in (open_BC, parent_BC, y_BC))
        state = take_hypotheses(state, parent_BW)
        tokens_BWT = torch.cat([take_hypotheses(tokens_BWT, parent_BW), y_BW[:, :, None]], dim=2)

        staying = []
        at_limit = (max_lengths_B == length).tolist()
        best_open = log_probability_BW[:, 0].tolist()
        for row, sentence in enumerate(sentence_B.tolist()):
            # A longer one that is more probable than all that have ended is better by any length penalty: wait for it.
            done = len(ended[sentence]) >= width and max(h.log_probability for h in ended[sentence]) >= best_open[row]
            if at_limit[row] and not done:
                for w in log_probability_BW[row].isfinite().nonzero()[:, 0].tolist():
                    tokens = tokens_BWT[row, w, 1:].tolist()
                    ended[sentence].append(_hypothesis(tokens, log_probability_BW[row, w], False, options))
            elif not done:
                staying.append(row)
        if not staying:
            break
        if len(staying) < len(sentence_B):
            rows_B = torch.tensor(staying, device=src_BS.device)
            tree = (memory, state, sentence_B, log_probability_BW, tokens_BWT, max_lengths_B)
            memory, state, sentence_B, log_probability_BW, tokens_BWT, max_lengths_B = take_sentences(tree, rows_B)
    return [sorted(one, key=lambda h: h.score, reverse=True)[: options.num_best] for one in ended]


def _best_candidates(
    log_probability_BW: Tensor, logits_BWV: Tensor, *, num_candidates: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The best extensions by one token: their log-probabilities, parents and tokens, each (B, C), best first."""
    logit_BWN, y_BWN = _best_tokens(logits_BWV, num_candidates)
    num_per_parent = y_BWN.shape[-1]
    log_p_BWN = log_probability_BW[:, :, None] + (logit_BWN - logits_BWV.logsumexp(-1, keepdim=True))
    log_p_BC, order_BC = log_p_BWN.flatten(1).sort(dim=1, descending=True, stable=True)
    log_p_BC, order_BC = log_p_BC[:, :num_candidates], order_BC[:, :num_candidates]
    return log_p_BC, order_BC // num_per_parent, y_BWN.flatten(1).gather(1, order_BC)


def _best_tokens(logits_BWV: Tensor, num_tokens: int) -> tuple[Tensor, Tensor]:
    """The best logits and their tokens, best first, the smaller id first among equals.

    `topk` alone takes any among equals, others for another k, and so would not agree with the greedy search.
    """
    best, y = logits_BWV.topk(min(num_tokens + 1, logits_BWV.shape[-1]))  # one more shows equals across the edge
    if (best[..., 1:] == best[..., :-1]).any():  # rare, for sorting the vocabulary takes long
        best, y = logits_BWV.sort(descending=True, stable=True)
    return best[..., :num_tokens], y[..., :num_tokens]


def _hypothesis(tokens: list[int], log_probability: Tensor, finished: bool, options: SearchOptions) -> Hypothesis:
    log_p = float(log_probability)
    return Hypothesis(tokens, options.penalised(log_p, len(tokens) + finished), log_p, finished)
