"""Greedy search: the most probable next token, one after the other.

Letters: see `models/interface.py`.
"""

import torch
from torch import Tensor

from seq2seq.decoding.batch import rows_that_stay
from seq2seq.decoding.constraints import Constraints
from seq2seq.decoding.hypothesis import Hypothesis, SearchOptions
from seq2seq.decoding.vocabulary import best_token, log_sum
from seq2seq.models.interface import EncoderDecoder, take_sentences
from seq2seq.special_ids import BOS_ID, EOS_ID


@torch.inference_mode()
def greedy_search(
    model: EncoderDecoder,
    src_BS: Tensor,
    src_key_padding_mask_BS: Tensor,
    options: SearchOptions,
    prefix_BP: Tensor | None = None,
) -> list[list[Hypothesis]]:
    """The greedy translation of each sentence, as a list of one.

    Args:
        model: in evaluation mode.
        src_BS, src_key_padding_mask_BS: as for `EncoderDecoder.encode`.
        options: its beam width is not used.
        prefix_BP: see `Constraints`.
    """
    batch, device = len(src_BS), src_BS.device
    memory = model.encode(src_BS, src_key_padding_mask_BS)
    state = model.init_state(memory)
    max_lengths_B = options.max_lengths(src_key_padding_mask_BS, prefix_BP)
    constraints = Constraints(options, prefix_BP)
    found: list[list[Hypothesis]] = [[] for _ in range(batch)]
    sentence_B = torch.arange(batch, device=device)  # which sentence each row still in the batch is
    open_B = torch.ones(batch, dtype=torch.bool, device=device)
    log_p_B = torch.zeros(batch, device=device)
    tokens_BT = src_BS.new_full((batch, 1), BOS_ID)

    for length in range(1, int(max_lengths_B.max()) + 1):
        logits_BWV, state, _ = model.step(tokens_BT[:, -1:], state, memory)
        log_sum_BW = log_sum(logits_BWV)
        constraints.forbid(logits_BWV, tokens_BT[:, None], sentence_B)
        y_B1, logit_B1 = best_token(logits_BWV[:, 0])
        log_p_B = log_p_B + (logit_B1 - log_sum_BW)[:, 0]
        tokens_BT = torch.cat([tokens_BT, y_B1], dim=1)

        finished_B = y_B1[:, 0] == EOS_ID
        ends_B = open_B & (finished_B | (max_lengths_B == length))
        if not ends_B.any():
            continue
        columns = (x[ends_B].tolist() for x in (sentence_B, tokens_BT, log_p_B, finished_B))
        for sentence, tokens, log_p, finished in zip(*columns, strict=True):
            score = options.penalised(log_p, length)
            found[sentence].append(Hypothesis(tokens[1 : length + 1 - finished], score, log_p, finished))
        open_B = open_B & ~ends_B
        if not open_B.any():
            break
        if (rows_B := rows_that_stay(open_B)) is not None:
            tree = take_sentences((memory, state, sentence_B, open_B, log_p_B, tokens_BT, max_lengths_B), rows_B)
            memory, state, sentence_B, open_B, log_p_B, tokens_BT, max_lengths_B = tree
    return found
