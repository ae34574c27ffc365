"""Reading a translation that is given: how probable each of its tokens is, and where the decoder looks.

Letters: see `models/interface.py`.
"""

import torch
from torch import Tensor

from seq2seq.decoding.vocabulary import log_sum
from seq2seq.models.interface import EncoderDecoder


@torch.inference_mode()
def token_log_probabilities(
    model: EncoderDecoder, src_BS: Tensor, src_key_padding_mask_BS: Tensor, tgt_in_BT: Tensor, tgt_out_BT: Tensor
) -> Tensor:
    """log p(y_t | y_1 .. y_{t-1}, x) of each token of a given translation, (B, T): teacher forcing, all t at once.

    Args:
        model: in evaluation mode.
        src_BS, src_key_padding_mask_BS: as for `EncoderDecoder.encode`.
        tgt_in_BT: the translations behind their begin of sentence.
        tgt_out_BT: the translations with their end of sentence; what stands at its padding means nothing.
    """
    logits_BTV = model(src_BS, src_key_padding_mask_BS, tgt_in_BT)
    logit_BT = logits_BTV.gather(2, tgt_out_BT[:, :, None])[:, :, 0]
    return logit_BT - log_sum(logits_BTV)


@torch.inference_mode()
def attention_over_source(
    model: EncoderDecoder, src_BS: Tensor, src_key_padding_mask_BS: Tensor, tgt_in_BT: Tensor
) -> Tensor | None:
    """Where the decoder looks while it writes a given translation: weights `alpha_BTS`, None without attention.

    Step by step, as a search does: teacher forcing at once keeps no weights.

    Args:
        model: in evaluation mode.
        src_BS, src_key_padding_mask_BS: as for `EncoderDecoder.encode`.
        tgt_in_BT: the translations behind their begin of sentence; row t is the attention with which the token after
            `tgt_in_BT[:, t]` is chosen.
    """
    memory = model.encode(src_BS, src_key_padding_mask_BS)
    state = model.init_state(memory)
    steps = []
    for y_B1 in tgt_in_BT.split(1, dim=1):
        _, state, attention_BWS = model.step(y_B1, state, memory)
        if attention_BWS is None:
            return None
        steps.append(attention_BWS)
    return torch.cat(steps, dim=1)
