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

from seq2seq.decoding.batch import rows_that_stay
from seq2seq.decoding.constraints import Constraints
from seq2seq.decoding.coverage import coverage_penalty, covered, nothing_covered
from seq2seq.decoding.hypothesis import Hypothesis, SearchOptions
from seq2seq.decoding.vocabulary import best_extensions, log_sum
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
    width, batch, device = options.beam_width, len(src_BS), src_BS.device
    memory = model.encode(src_BS, src_key_padding_mask_BS)
    state = model.init_state(memory)
    max_lengths_B = options.max_lengths(src_key_padding_mask_BS, prefix_BP)
    constraints = Constraints(options, prefix_BP)
    # Without the penalty of no source positions, so that it costs nothing to carry along.
    coverage_BWS = nothing_covered(src_key_padding_mask_BS if options.coverage_penalty else src_BS[:, :0])
    ended: list[list[Hypothesis]] = [[] for _ in range(batch)]
    sentence_B = torch.arange(batch, device=device)  # which sentence each row still in the batch is
    open_B = torch.ones(batch, dtype=torch.bool, device=device)
    log_p_BW = torch.zeros(batch, 1, device=device)  # W is 1 before the first step
    tokens_BWT = src_BS.new_full((batch, 1, 1), BOS_ID)

    def set_aside(chosen_BW: Tensor, log_p_BW: Tensor, parent_BW: Tensor, *, finished: bool) -> None:
        rows_N, w_N = (chosen_BW & log_p_BW.isfinite() & open_B[:, None]).nonzero(as_tuple=True)
        parents_N = parent_BW[rows_N, w_N]
        tokens = tokens_BWT[rows_N, parents_N, 1:].tolist()
        columns = sentence_B[rows_N].tolist(), tokens, log_p_BW[rows_N, w_N].tolist(), coverage_BWS[rows_N, parents_N]
        for sentence, y, log_p, coverage_S in zip(*columns, strict=True):
            score = options.penalised(log_p, len(y) + finished)
            if options.coverage_penalty:
                score += coverage_penalty(coverage_S, options.coverage_penalty)
            ended[sentence].append(Hypothesis(y, score, log_p, finished))

    for length in range(1, int(max_lengths_B.max()) + 1):
        logits_BWV, state, attention_BWS = model.step(tokens_BWT[:, :, -1], state, memory)
        log_sum_BW = log_sum(logits_BWV)
        constraints.forbid(logits_BWV, tokens_BWT, sentence_B)
        log_p_BC, parent_BC, y_BC = best_extensions(log_p_BW, logits_BWV, log_sum_BW, 2 * width)
        if options.coverage_penalty:
            coverage_BWS = covered(coverage_BWS, attention_BWS)

        ends_BC = y_BC == EOS_ID
        set_aside(ends_BC[:, :width], log_p_BC[:, :width], parent_BC, finished=True)

        # Stable, so that what is equally probable keeps its order, as it does in the greedy search.
        log_p_BC = log_p_BC.masked_fill(ends_BC, -torch.inf)
        order_BW = log_p_BC.argsort(dim=1, descending=True, stable=True)[:, :width]
        log_p_BW, parent_BW, y_BW = (x.gather(1, order_BW) for x in (log_p_BC, parent_BC, y_BC))
        state, coverage_BWS = take_hypotheses((state, coverage_BWS), parent_BW)
        tokens_BWT = torch.cat([take_hypotheses(tokens_BWT, parent_BW), y_BW[:, :, None]], dim=2)

        rows = zip(sentence_B.tolist(), log_p_BW[:, 0].tolist(), max_lengths_B.tolist(), strict=True)
        done = [_is_done(ended[sentence], best, length, longest, options) for sentence, best, longest in rows]
        open_B = open_B & ~torch.tensor(done, device=device)
        at_limit_B = max_lengths_B == length
        if at_limit_B.any():
            own_BW = torch.arange(log_p_BW.shape[1], device=device).expand_as(log_p_BW)
            set_aside(at_limit_B[:, None], log_p_BW, own_BW, finished=False)
            open_B = open_B & ~at_limit_B
        if not open_B.any():
            break
        if (rows_B := rows_that_stay(open_B)) is not None:
            tree = (memory, state, coverage_BWS, sentence_B, open_B, log_p_BW, tokens_BWT, max_lengths_B)
            tree = take_sentences(tree, rows_B)
            memory, state, coverage_BWS, sentence_B, open_B, log_p_BW, tokens_BWT, max_lengths_B = tree
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
