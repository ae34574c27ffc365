"""Searches over any `EncoderDecoder`, and reading given translations; none of them knows an architecture."""

from torch import Tensor

from seq2seq.decoding.beam import beam_search
from seq2seq.decoding.forced import attention_over_source, token_log_probabilities
from seq2seq.decoding.hypothesis import Hypothesis, SearchOptions
from seq2seq.decoding.left_to_right import greedy_search
from seq2seq.models.interface import EncoderDecoder

__all__ = [
    "Hypothesis",
    "SearchOptions",
    "attention_over_source",
    "beam_search",
    "decode",
    "greedy_search",
    "token_log_probabilities",
]


def decode(
    model: EncoderDecoder, src_BS: Tensor, src_key_padding_mask_BS: Tensor, options: SearchOptions
) -> list[list[Hypothesis]]:
    """Search as the options say: greedy at beam width 1, beam search beyond. Per sentence, best hypothesis first."""
    search = greedy_search if options.beam_width == 1 else beam_search
    return search(model, src_BS, src_key_padding_mask_BS, options)
