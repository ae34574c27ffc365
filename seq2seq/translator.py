"""Text in, text out: a bundle and a search. Letters: B batch, S source length, T target length."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from seq2seq.batching import collate, pad_sources
from seq2seq.bundle import Bundle
from seq2seq.decoding import SearchOptions, Utility, attention_over_source, decode, expected_utilities
from seq2seq.special_ids import EOS_ID, PAD_ID

_BEAM_5 = SearchOptions()


class Translation(NamedTuple):
    """One translation of one line, with its `decoding.Hypothesis`'s figures."""

    text: str
    score: float  # log-probability after the penalties; with a utility the expected utility
    log_probability: float
    finished: bool  # False if cut off at the maximum length


class AttentionMap(NamedTuple):
    """Where the decoder looked while it wrote one translation."""

    src_pieces: list[str]  # S, the end of sentence last
    tgt_pieces: list[str]  # T, the end of sentence last
    alpha_TS: Tensor  # rows sum to 1


class Translator:
    """Translates lines of raw text.

    Args:
        bundle: model and tokenizers; it runs where the model is.
        options: of the search.
        max_tokens_per_batch: source tokens of a batch, padding included, once for each sample if there are samples. A
            longer line gets a batch of its own.
        utility: if given, the samples or best translations of a line are ordered by their expected utility (minimum
            Bayes risk) instead, equal ones as one.

    Raises:
        ValueError: the batch has no room, or a utility has not two translations to choose from.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        options: SearchOptions = _BEAM_5,
        max_tokens_per_batch: int = 4096,
        utility: Utility | None = None,
    ) -> None:
        if utility and max(options.num_samples, options.num_best) < 2:
            raise ValueError(
                "minimum Bayes risk chooses among several translations; give num_samples, or num_best and beam_width, "
                "above 1"
            )
        if max_tokens_per_batch < 1:
            raise ValueError(f"max_tokens_per_batch is {max_tokens_per_batch}; it must be at least 1")
        self._model = bundle.model
        self._tokenizers = bundle.tokenizers
        self._device = next(bundle.model.parameters()).device
        self._options = options
        self._max_tokens_per_batch = max_tokens_per_batch // max(1, options.num_samples)
        self._utility = utility

    def translate(self, lines: Sequence[str], prefixes: Sequence[str] | None = None) -> list[str]:
        """The best translation of each line, or its first sample, in the order of the lines; a blank line's is empty.

        Args:
            lines: raw text.
            prefixes: what the translation of each line begins with, blank for nothing. A word that it breaks off goes
                on as the model likes.
        """
        return [translations[0].text for translations in self.translate_nbest(lines, prefixes)]

    def translate_nbest(self, lines: Sequence[str], prefixes: Sequence[str] | None = None) -> list[list[Translation]]:
        """The `options.num_best` best translations of each line, best first; a blank line has one, which is empty.

        Or its `options.num_samples` samples, as they were drawn. Arguments as of `translate`.

        Raises:
            ValueError: a batch does not fit into the device's memory, the model's weights are not numbers, or there are
                more or fewer prefixes than lines.
        """
        if prefixes is not None and len(prefixes) != len(lines):
            raise ValueError(f"{len(prefixes)} prefixes for {len(lines)} lines; give one for each, blank for nothing")
        prefix = None if prefixes is None else self._tokenizers.tgt.encode(prefixes)
        src = [ids if line.strip() else [] for line, ids in zip(lines, self._tokenizers.src.encode(lines), strict=True)]
        results = [[Translation("", 0.0, 0.0, True)] for _ in lines]
        for rows_B in self._batches([len(ids) for ids in src]):
            src_BS, src_key_padding_mask_BS = pad_sources([src[row] for row in rows_B])
            src_BS, src_key_padding_mask_BS = src_BS.to(self._device), src_key_padding_mask_BS.to(self._device)
            prefix_BP = None if prefix is None else _padded([prefix[row] for row in rows_B]).to(self._device)
            try:
                nbests = decode(self._model, src_BS, src_key_padding_mask_BS, self._options, prefix_BP)
            except torch.OutOfMemoryError:
                raise ValueError(
                    f"a batch of {src_BS.shape[0]} lines of up to {src_BS.shape[1]} tokens does not fit into the memory"
                    f" of {self._device}; lower max_tokens_per_batch or "
                    f"{'num_samples' if self._options.num_samples else 'beam_width'}"
                ) from None
            for row, nbest in zip(rows_B, nbests, strict=True):
                if not nbest or math.isnan(nbest[0].log_probability):
                    raise ValueError("the model gives no probabilities but NaN: its training diverged; train it anew")
                texts = self._tokenizers.tgt.decode([hypothesis.tokens for hypothesis in nbest])
                results[row] = [Translation(text, *h[1:]) for text, h in zip(texts, nbest, strict=True)]
                if self._utility:
                    results[row] = self._by_utility(results[row], self._utility)
        return results

    def _by_utility(self, translations: list[Translation], utility: Utility) -> list[Translation]:
        """The different translations with their expected utilities, highest first."""
        weights = [1.0] * len(translations)
        if not self._options.num_samples:  # relative to the most probable, for all may be too small for a number
            best = max(one.log_probability for one in translations)
            weights = [math.exp(one.log_probability - best) for one in translations]
        by_text = {one.text: one for one in reversed(translations)}  # the first of equal ones
        expected = expected_utilities([one.text for one in translations], weights, utility)
        return [by_text[text]._replace(score=score) for text, score in expected.items()]

    def attention(self, sources: Sequence[str], translations: Sequence[str]) -> list[AttentionMap] | None:
        """Attention over each source while its translation, the model's or any other, is written; None without any.

        A blank line's map is empty.
        """
        pairs = zip(self._tokenizers.src.encode(sources), self._tokenizers.tgt.encode(translations), strict=True)
        src, tgt = zip(*pairs, strict=True) if sources else ((), ())
        maps = [AttentionMap([], [], torch.empty(0, 0)) for _ in sources]
        lengths = [len(ids) if source.strip() else 0 for ids, source in zip(src, sources, strict=True)]
        for rows_B in self._batches(lengths):
            batch = collate([src[row] for row in rows_B], [tgt[row] for row in rows_B], rows_B)
            inputs = batch.src_BS, batch.src_key_padding_mask_BS, batch.tgt_in_BT
            alpha_BTS = attention_over_source(self._model, *(tensor.to(self._device) for tensor in inputs))
            if alpha_BTS is None:
                return None
            for row, alpha_TS in zip(rows_B, alpha_BTS.cpu(), strict=True):
                src_pieces = self._tokenizers.src.pieces([*src[row], EOS_ID])
                tgt_pieces = self._tokenizers.tgt.pieces([*tgt[row], EOS_ID])
                maps[row] = AttentionMap(src_pieces, tgt_pieces, alpha_TS[: len(tgt_pieces), : len(src_pieces)])
        return maps

    def _batches(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """The numbers of the rows that are not empty, longest first, cut into batches."""
        rows = [row for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]) if lengths[row]]
        start = 0
        while start < len(rows):
            # With its end of sentence the first row is as long as the whole batch will be.
            end = start + max(1, self._max_tokens_per_batch // (lengths[rows[start]] + 1))
            yield rows[start:end]
            start = end


def _padded(rows: Sequence[Sequence[int]]) -> Tensor:
    return pad_sequence([torch.tensor(row, dtype=torch.long) for row in rows], True, PAD_ID)


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
