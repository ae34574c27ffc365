"""Beam search: the W best prefixes of each sentence, extended together. Letters: see `models/interface.py`.

Of the candidates of a step (prefix + token) the best 2W are looked at. Those that end among the first W are set aside
as finished; the first W of the others go on. A sentence is done when W hypotheses have finished and none that is open
is more probable than all of them, or at its maximum length, where what is open counts as it stands. The two rules make
a beam of width 1 exactly the greedy search, and a beam as wide as the space exhaustive; letting any of the 2W
candidates finish, as is widespread, makes neither so.
"""

import torch
from torch import Tensor

from seq2seq.decoding.batch import rows_that_stay
from seq2seq.decoding.hypothesis import Hypothesis, SearchOptions
from seq2seq.decoding.vocabulary import best_extensions
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
    width, batch, device = options.beam_width, len(src_BS), src_BS.device
    memory = model.encode(src_BS, src_key_padding_mask_BS)
    state = model.init_state(memory)
    max_lengths_B = options.max_lengths(src_key_padding_mask_BS)
    found: list[list[Hypothesis]] = [[] for _ in range(batch)]
    sentence_B = torch.arange(batch, device=device)  # which sentence each row still in the batch is
    open_B = torch.ones(batch, dtype=torch.bool, device=device)
    num_ended_B = torch.zeros(batch, dtype=torch.long, device=device)
    log_p_ended_B = torch.full((batch,), -torch.inf, device=device)  # of the most probable that has ended
    log_p_BW = torch.zeros(batch, 1, device=device)  # W is 1 before the first step
    tokens_BWT = src_BS.new_full((batch, 1, 1), BOS_ID)

    def set_aside(chosen_BW: Tensor, parent_BW: Tensor, log_p_BW: Tensor, *, finished: bool) -> None:
        rows_N, w_N = chosen_BW.nonzero(as_tuple=True)
        sentences, log_ps = sentence_B[rows_N].tolist(), log_p_BW[rows_N, w_N].tolist()
        tokens = tokens_BWT[rows_N, parent_BW[rows_N, w_N], 1:].tolist()
        for sentence, y, log_p in zip(sentences, tokens, log_ps, strict=True):
            score = options.penalised(log_p, len(y) + finished)
            found[sentence].append(Hypothesis(y, score, log_p, finished))

    for length in range(1, int(max_lengths_B.max()) + 1):
        logits_BWV, state, _ = model.step(tokens_BWT[:, :, -1], state, memory)
        log_p_BC, parent_BC, y_BC = best_extensions(log_p_BW, logits_BWV, 2 * width)

        ends_BC = y_BC == EOS_ID
        finishes_BW = ends_BC[:, :width] & log_p_BC[:, :width].isfinite() & open_B[:, None]
        set_aside(finishes_BW, parent_BC, log_p_BC, finished=True)
        num_ended_B = num_ended_B + finishes_BW.sum(1)
        log_p_finished_BW = log_p_BC[:, :width].masked_fill(~finishes_BW, -torch.inf)
        log_p_ended_B = torch.maximum(log_p_ended_B, log_p_finished_BW.amax(1))

        # Stable, so that what is equally probable keeps its order, as it does in the greedy search.
        log_p_BC = log_p_BC.masked_fill(ends_BC, -torch.inf)
        order_BW = log_p_BC.argsort(dim=1, descending=True, stable=True)[:, :width]
        log_p_BW, parent_BW, y_BW = (x.gather(1, order_BW) for x in (log_p_BC, parent_BC, y_BC))
        state = take_hypotheses(state, parent_BW)
        tokens_BWT = torch.cat([take_hypotheses(tokens_BWT, parent_BW), y_BW[:, :, None]], dim=2)

        # A longer one that is more probable than all that have ended is better by any length penalty: wait for it.
        done_B = (num_ended_B >= width) & (log_p_ended_B >= log_p_BW[:, 0])
        cut_off_B = open_B & ~done_B & (max_lengths_B == length)
        if cut_off_B.any():
            own_BW = torch.arange(log_p_BW.shape[1], device=device).expand_as(log_p_BW)
            set_aside(cut_off_B[:, None] & log_p_BW.isfinite(), own_BW, log_p_BW, finished=False)
        open_B = open_B & ~done_B & ~cut_off_B
        if not open_B.any():
            break
        if (rows_B := rows_that_stay(open_B)) is not None:
            tree = (memory, state, sentence_B, open_B, num_ended_B, log_p_ended_B, log_p_BW, tokens_BWT, max_lengths_B)
            tree = take_sentences(tree, rows_B)
            memory, state, sentence_B, open_B, num_ended_B, log_p_ended_B, log_p_BW, tokens_BWT, max_lengths_B = tree
    return [sorted(one, key=lambda h: h.score, reverse=True)[: options.num_best] for one in found]
