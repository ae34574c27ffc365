"""Searches over any `EncoderDecoder`, and reading given translations; none of them knows an architecture."""

from torch import Tensor

from seq2seq.decoding.beam import beam_search
from seq2seq.decoding.forced import attention_over_source, token_log_probabilities
from seq2seq.decoding.hypothesis import Hypothesis, SearchOptions
from seq2seq.decoding.left_to_right import greedy_search
from seq2seq.decoding.minimum_bayes_risk import Utility, expected_utilities
from seq2seq.decoding.sampling import sample
from seq2seq.decoding.side_by_side import most_at_once, side_by_side
from seq2seq.models.interface import EncoderDecoder
from seq2seq.models.products import ROWS_TOGETHER

__all__ = [
    "ROWS_TOGETHER",
    "Hypothesis",
    "SearchOptions",
    "Utility",
    "attention_over_source",
    "beam_search",
    "decode",
    "expected_utilities",
    "greedy_search",
    "most_at_once",
    "sample",
    "side_by_side",
    "token_log_probabilities",
]


def decode(
    model: EncoderDecoder,
    src_BS: Tensor,
    src_key_padding_mask_BS: Tensor,
    options: SearchOptions,
    prefix_BP: Tensor | None = None,
) -> list[list[Hypothesis]]:
    """Search as the options say: greedy at beam width 1, beam search beyond, best hypothesis first; or draw samples.

    Args:
        model: in evaluation mode.
        src_BS, src_key_padding_mask_BS: as for `EncoderDecoder.encode`.
        options: see `SearchOptions`.
        prefix_BP: what each translation begins with, padded on the right.
    """
    search = sample if options.num_samples else greedy_search if options.beam_width == 1 else beam_search
    return search(model, src_BS, src_key_padding_mask_BS, options, prefix_BP)
