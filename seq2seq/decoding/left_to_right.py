"""Greedy search: the most probable next token, one after the other.

Letters: see `models/interface.py`.
"""

import torch
from torch import Tensor

from seq2seq.decoding.hypothesis import Hypothesis, SearchOptions
from seq2seq.models.interface import EncoderDecoder, take_sentences
from seq2seq.special_ids import BOS_ID, EOS_ID


@torch.inference_mode()
def greedy_search(
    model: EncoderDecoder, src_BS: Tensor, src_key_padding_mask_BS: Tensor, options: SearchOptions
) -> list[list[Hypothesis]]:
    """The greedy translation of each sentence, as a list of one.

    Args:
        model: in evaluation mode.
        src_BS, src_key_padding_mask_BS: as for `EncoderDecoder.encode`.
        options: its beam width is not used.
    """
    memory = model.encode(src_BS, src_key_padding_mask_BS)
    state = model.init_state(memory)
    max_lengths_B = options.max_lengths(src_key_padding_mask_BS)
    results: list[list[Hypothesis]] = [[] for _ in range(len(src_BS))]
    sentence_B = torch.arange(len(src_BS), device=src_BS.device)  # which sentence each row still in the batch is
    log_probability_B = torch.zeros(len(src_BS), device=src_BS.device)
    tokens_BT = src_BS.new_full((len(src_BS), 1), BOS_ID)

    for length in range(1, int(max_lengths_B.max()) + 1):
        logits_BWV, state, _ = model.step(tokens_BT[:, -1:], state, memory)
        logit_B1, y_B1 = logits_BWV[:, 0].max(dim=-1, keepdim=True)  # the smallest id among equals
        log_probability_B = log_probability_B + (logit_B1 - logits_BWV.logsumexp(-1))[:, 0]
        tokens_BT = torch.cat([tokens_BT, y_B1], dim=1)

        finished_B = y_B1[:, 0] == EOS_ID
        ended_B = finished_B | (max_lengths_B == length)
        if not ended_B.any():
            continue
        for row in ended_B.nonzero()[:, 0].tolist():
            finished = bool(finished_B[row])
            tokens = tokens_BT[row, 1:-1] if finished else tokens_BT[row, 1:]
            log_probability = float(log_probability_B[row])
            score = options.penalised(log_probability, length)
            results[int(sentence_B[row])].append(Hypothesis(tokens.tolist(), score, log_probability, finished))
        rows_B = (~ended_B).nonzero()[:, 0]
        if len(rows_B) == 0:
            break
        # Sentences that have ended leave the batch: this, not the form of the caches, is what makes decoding fast.
        tree = (memory, state, sentence_B, log_probability_B, tokens_BT, max_lengths_B)
        memory, state, sentence_B, log_probability_B, tokens_BT, max_lengths_B = take_sentences(tree, rows_B)
    return results
