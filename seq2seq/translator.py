"""Text in, text out: a bundle and a search. Letters: B batch, S source length, T target length."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from seq2seq.batching import collate, pad_sources
from seq2seq.bundle import Bundle
from seq2seq.decoding import SearchOptions, attention_over_source, decode, token_log_probabilities
from seq2seq.special_ids import EOS_ID

_BEAM_5 = SearchOptions()
_NAN = "the model gives no probabilities but NaN: its training diverged; train it anew"


class Translation(NamedTuple):
    """One translation of one line, with its `decoding.Hypothesis`'s figures."""

    text: str
    score: float  # log-probability after the length penalty
    log_probability: float
    finished: bool  # False if cut off at the maximum length
    tokens: list[int]  # without begin and end of sentence


class Reading(NamedTuple):
    """A given translation as the model reads it, piece by piece."""

    src_pieces: list[str]  # S, the end of sentence last
    tgt_pieces: list[str]  # T, the end of sentence last
    log_probabilities: list[float]  # of each target piece after those before it; natural logarithm
    alpha_TS: Tensor | None  # where the decoder looked, rows sum to 1; None if nobody asked, or without attention


class Translator:
    """Translates lines of raw text.

    Args:
        bundle: model and tokenizers; it runs where the model is.
        options: of the search.
        max_tokens_per_batch: source tokens of a batch, padding included. A longer line gets a batch of its own.

    Threads may share a translator: nothing of a call is kept on it.
    """

    def __init__(self, bundle: Bundle, *, options: SearchOptions = _BEAM_5, max_tokens_per_batch: int = 4096) -> None:
        if max_tokens_per_batch < 1:
            raise ValueError(f"max_tokens_per_batch is {max_tokens_per_batch}; it must be at least 1")
        self._model = bundle.model
        self.tokenizers = bundle.tokenizers
        self._device = next(bundle.model.parameters()).device
        self._options = options
        self._max_tokens_per_batch = max_tokens_per_batch

    def translate(self, lines: Sequence[str]) -> list[str]:
        """The best translation of each line, in the order of the lines; a blank line's is empty."""
        return [translations[0].text for translations in self.translate_nbest(lines)]

    def translate_nbest(self, lines: Sequence[str]) -> list[list[Translation]]:
        """The `options.num_best` best translations of each line, best first; a blank line has one, which is empty.

        Raises:
            ValueError: a batch does not fit into the device's memory, or the model's weights are not numbers.
        """
        src = self._encode(lines)
        results = [[Translation("", 0.0, 0.0, True, [])] for _ in lines]
        for rows_B in self._batches([len(ids) for ids in src], self._max_tokens_per_batch):
            src_BS, src_key_padding_mask_BS = pad_sources([src[row] for row in rows_B])
            src_BS, src_key_padding_mask_BS = src_BS.to(self._device), src_key_padding_mask_BS.to(self._device)
            try:
                nbests = decode(self._model, src_BS, src_key_padding_mask_BS, self._options)
            except torch.OutOfMemoryError:
                raise ValueError(
                    f"a batch of {src_BS.shape[0]} lines of up to {src_BS.shape[1]} tokens does not fit into the memory"
                    f" of {self._device}; lower max_tokens_per_batch or beam_width"
                ) from None
            for row, nbest in zip(rows_B, nbests, strict=True):
                if not nbest:
                    raise ValueError(_NAN)
                texts = self.tokenizers.tgt.decode([hypothesis.tokens for hypothesis in nbest])
                results[row] = [
                    Translation(text, h.score, h.log_probability, h.finished, h.tokens)
                    for text, h in zip(texts, nbest, strict=True)
                ]
        return results

    def read(
        self, sources: Sequence[str], translations: Sequence[str | Sequence[int]], *, attention: bool = False
    ) -> list[Reading]:
        """How probable given translations are, the model's or any other; a pair of blank lines has no pieces.

        Args:
            sources: raw text.
            translations: one a source, as raw text or as the token ids that a search has given.
            attention: also keep where the decoder looks, for which it has to go step by step.

        Raises:
            ValueError: the model's weights are not numbers.
        """
        src = self._encode(sources)
        tgt = [self.tokenizers.tgt.encode([one])[0] if isinstance(one, str) else list(one) for one in translations]
        readings = [Reading([], [], [], None)] * len(src)
        lengths = [max(len(x), len(y)) for x, y in zip(src, tgt, strict=True)]
        # Smaller batches than those of a search, which never has the logits of all positions at once.
        for rows_B in self._batches(lengths, self._max_tokens_per_batch // 4):
            batch = collate([src[row] for row in rows_B], [tgt[row] for row in rows_B], rows_B).to(self._device)
            inputs = batch.src_BS, batch.src_key_padding_mask_BS, batch.tgt_in_BT
            log_p_BT = token_log_probabilities(self._model, *inputs, batch.tgt_out_BT).cpu()
            if log_p_BT.isnan().any():
                raise ValueError(_NAN)
            found = attention_over_source(self._model, *inputs) if attention else None
            alpha_BTS = None if found is None else found.cpu()
            for b, row in enumerate(rows_B):
                src_pieces = self.tokenizers.src.pieces([*src[row], EOS_ID])
                tgt_pieces = self.tokenizers.tgt.pieces([*tgt[row], EOS_ID])
                alpha_TS = None if alpha_BTS is None else alpha_BTS[b, : len(tgt_pieces), : len(src_pieces)]
                readings[row] = Reading(src_pieces, tgt_pieces, log_p_BT[b, : len(tgt_pieces)].tolist(), alpha_TS)
        return readings

    @property
    def has_attention(self) -> bool:
        """Whether the model looks at its source while it writes."""
        src_BS, src_key_padding_mask_BS = (x.to(self._device) for x in pad_sources([[]]))
        return attention_over_source(self._model, src_BS, src_key_padding_mask_BS, src_BS) is not None

    def _encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Pieces of the source; none of a blank line, whatever the tokenizer makes of it."""
        if isinstance(lines, str):  # a sequence of strings as well, of its letters
            raise ValueError(f"{lines[:40]!r} is one string; give a list of lines")
        return [ids if line.strip() else [] for line, ids in zip(lines, self.tokenizers.src.encode(lines), strict=True)]

    def _batches(self, lengths: Sequence[int], max_tokens: int) -> Iterator[list[int]]:
        """The numbers of the rows that are not empty, longest first, cut into batches."""
        rows = [row for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]) if lengths[row]]
        start = 0
        while start < len(rows):
            # With its end of sentence the first row is as long as the whole batch will be.
            end = start + max(1, max_tokens // (lengths[rows[start]] + 1))
            yield rows[start:end]
            start = end


def choose_device(name: str) -> torch.device:
    """The device that a name means: "auto" is a GPU if there is one.

    Raises:
        ValueError: PyTorch has no such device here.
    """
    gpus = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if name == "auto":
        return torch.device(gpus[0] if gpus else "cpu")
    available = ["cpu", *(["cuda"] if gpus else []), *gpus]
    if name not in available:
        raise ValueError(f"there is no device {name!r} here; use auto or {' or '.join(available)}")
    return torch.device(name)
