"""Beam search: the W best prefixes of each sentence, extended together. Letters: see `models/interface.py`.

Of the candidates of a step (prefix + token) the best 2W are looked at. Those that end among the first W are set aside
as finished; the first W of the others go on. A sentence is done when W hypotheses have finished and none that is open
is more probable than all of them, or at its maximum length, where what is open counts as it stands. The two rules make
a beam of width 1 exactly the greedy search, and a beam as wide as the space exhaustive; letting any of the 2W
candidates finish, as is widespread, makes neither so.

A sentence is done earlier when nothing that is open can still come among its `num_best`
(`SearchOptions.best_reachable`): what it gives back is the same.
"""

import math

import torch
from torch import Tensor

from seq2seq.decoding.constraints import Constraints
from seq2seq.decoding.coverage import coverage_penalty, covered, nothing_covered
from seq2seq.decoding.hypothesis import Hypothesis, SearchOptions
from seq2seq.models.interface import EncoderDecoder, take_hypotheses, take_sentences
from seq2seq.special_ids import BOS_ID, EOS_ID


@torch.inference_mode()
def beam_search(
    model: EncoderDecoder,
    src_BS: Tensor,
    src_key_padding_mask_BS: Tensor,
    options: SearchOptions,
    prefix_BP: Tensor | None = None,
) -> list[list[Hypothesis]]:
    """The `options.num_best` best finished hypotheses of each sentence, best first.

    Fewer come back only where the space of translations has fewer.

    Args:
        model: in evaluation mode.
        src_BS, src_key_padding_mask_BS: as for `EncoderDecoder.encode`.
        options: see `SearchOptions`.
        prefix_BP: see `Constraints`.

    Raises:
        ValueError: a coverage penalty is asked for, and the model has no attention.
    """
    width = options.beam_width
    memory = model.encode(src_BS, src_key_padding_mask_BS)
    state = model.init_state(memory)
    max_lengths_B = options.max_lengths(src_key_padding_mask_BS, prefix_BP)
    constraints = Constraints(options, prefix_BP)
    # Without the penalty of no source positions, so that it costs nothing to carry along.
    coverage_BWS = nothing_covered(src_key_padding_mask_BS if options.coverage_penalty else src_BS[:, :0])
    ended: list[list[Hypothesis]] = [[] for _ in range(len(src_BS))]
    sentence_B = torch.arange(len(src_BS), device=src_BS.device)  # which sentence each row still in the batch is
    log_probability_BW = torch.zeros(len(src_BS), 1, device=src_BS.device)  # W is 1 before the first step
    tokens_BWT = src_BS.new_full((len(src_BS), 1, 1), BOS_ID)

    for length in range(1, int(max_lengths_B.max()) + 1):
        logits_BWV, state, attention_BWS = model.step(tokens_BWT[:, :, -1], state, memory)
        log_sum_BW = logits_BWV.logsumexp(-1)
        constraints.forbid(logits_BWV, tokens_BWT, sentence_B)
        candidates = _best_candidates(log_probability_BW, logits_BWV, log_sum_BW, num_candidates=2 * width)
        log_probability_BC, parent_BC, y_BC = candidates
        if options.coverage_penalty:
            coverage_BWS = covered(coverage_BWS, attention_BWS)

        ends_BC = y_BC == EOS_ID
        finishes_BC = ends_BC[:, :width] & log_probability_BC[:, :width].isfinite()
        for row, c in finishes_BC.nonzero().tolist():
            w = int(parent_BC[row, c])
            tokens = tokens_BWT[row, w, 1:].tolist()
            one = _hypothesis(tokens, log_probability_BC[row, c], True, coverage_BWS[row, w], options)
            ended[int(sentence_B[row])].append(one)

        # Stable, so that what is equally probable keeps its order, as it does in the greedy search.
        open_BC = log_probability_BC.masked_fill(ends_BC, -torch.inf)
        order_BW = open_BC.argsort(dim=1, descending=True, stable=True)[:, :width]
        log_probability_BW, parent_BW, y_BW = (x.gather(1, order_BW) for x in (open_BC, parent_BC, y_BC))
        state, coverage_BWS = take_hypotheses((state, coverage_BWS), parent_BW)
        tokens_BWT = torch.cat([take_hypotheses(tokens_BWT, parent_BW), y_BW[:, :, None]], dim=2)

        staying = []
        max_lengths = max_lengths_B.tolist()
        best_open = log_probability_BW[:, 0].tolist()
        for row, sentence in enumerate(sentence_B.tolist()):
            done = _is_done(ended[sentence], best_open[row], length, max_lengths[row], options)
            if max_lengths[row] == length and not done:
                for w in log_probability_BW[row].isfinite().nonzero()[:, 0].tolist():
                    tokens = tokens_BWT[row, w, 1:].tolist()
                    one = _hypothesis(tokens, log_probability_BW[row, w], False, coverage_BWS[row, w], options)
                    ended[sentence].append(one)
            elif not done:
                staying.append(row)
        if not staying:
            break
        if len(staying) < len(sentence_B):
            rows_B = torch.tensor(staying, device=src_BS.device)
            tree = (memory, state, coverage_BWS, sentence_B, log_probability_BW, tokens_BWT, max_lengths_B)
            tree = take_sentences(tree, rows_B)
            memory, state, coverage_BWS, sentence_B, log_probability_BW, tokens_BWT, max_lengths_B = tree
    return [sorted(one, key=lambda h: h.score, reverse=True)[: options.num_best] for one in ended]


def _is_done(ended: list[Hypothesis], best_open: float, length: int, max_length: int, options: SearchOptions) -> bool:
    """Whether a sentence needs no more steps, given the log-probability of the best of what is open."""
    if best_open == -math.inf:
        return True
    # A longer one that is more probable than all that have ended is better by any length penalty: wait for it.
    if len(ended) >= options.beam_width and max(h.log_probability for h in ended) >= best_open:
        return True
    if len(ended) < options.num_best:
        return False
    last_of_best = sorted((h.score for h in ended), reverse=True)[options.num_best - 1]
    return last_of_best >= options.best_reachable(best_open, length, max_length)


def _best_candidates(
    log_probability_BW: Tensor, logits_BWV: Tensor, log_sum_BW: Tensor, *, num_candidates: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The best extensions by one token: their log-probabilities, parents and tokens, each (B, C), best first."""
    logit_BWN, y_BWN = _best_tokens(logits_BWV, num_candidates)
    num_per_parent = y_BWN.shape[-1]
    log_p_BWN = log_probability_BW[:, :, None] + (logit_BWN - log_sum_BW[:, :, None])
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


def _hypothesis(
    tokens: list[int], log_probability: Tensor, finished: bool, coverage_S: Tensor, options: SearchOptions
) -> Hypothesis:
    log_p = float(log_probability)
    score = options.penalised(log_p, len(tokens) + finished)
    if options.coverage_penalty:
        score += coverage_penalty(coverage_S, options.coverage_penalty)
    return Hypothesis(tokens, score, log_p, finished)
