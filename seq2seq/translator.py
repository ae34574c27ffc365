"""Text in, text out: a bundle and a search. Letters: B batch, S source length, T target length."""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from seq2seq.batching import collate, pad_sources
from seq2seq.bundle import Bundle
from seq2seq.decoding import Hypothesis, SearchOptions, attention_over_source, decode
from seq2seq.out_of_memory import give_back, unless_out_of_memory
from seq2seq.special_ids import EOS_ID

_BEAM_5 = SearchOptions()


class Translation(NamedTuple):
    """One translation of one line, with its `decoding.Hypothesis`'s figures."""

    text: str
    score: float  # log-probability after the length penalty
    log_probability: float
    finished: bool  # False if cut off at the maximum length


class AttentionMap(NamedTuple):
    """Where the decoder looked while it wrote one translation."""

    src_pieces: list[str]  # S, the end of sentence last
    tgt_pieces: list[str]  # T, the end of sentence last
    alpha_TS: Tensor  # rows sum to 1


class TooLong(NamedTuple):
    """What is the matter with a line that is too long, and how much of it may be tried instead."""

    reason: str
    max_tokens: int


class LineLengthError(ValueError):
    """Lines that the model or the memory has no room for.

    Attributes:
        rows: of the lines that came, with the reason.
    """

    def __init__(self, rows: Mapping[int, TooLong]) -> None:
        row, one = next(iter(rows.items()))
        super().__init__(f"line {row + 1}: {one.reason}; split it")
        self.rows = rows


class Translator:
    """Translates lines of raw text.

    A batch that does not fit into the memory is taken in halves, and later ones of such sentences have fewer.

    Args:
        bundle: model and tokenizers; it runs where the model is.
        options: of the search.
        max_tokens_per_batch: source tokens of a batch, padding included. A longer line gets a batch of its own.
        max_tokens_per_line: a longer line raises `LineLengthError`, and so does one that might not get by with learned
            positions; None tries everything.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        options: SearchOptions = _BEAM_5,
        max_tokens_per_batch: int = 4096,
        max_tokens_per_line: int | None = None,
    ) -> None:
        for name, value in (
            ("max_tokens_per_batch", max_tokens_per_batch),
            ("max_tokens_per_line", max_tokens_per_line),
        ):
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
        self._model = bundle.model
        self._tokenizers = bundle.tokenizers
        self._device = next(bundle.model.parameters()).device
        self._options = options
        self._max_tokens_per_batch = max_tokens_per_batch
        self._limit = (math.inf, "")  # tokens of a line, and what allows no more
        if max_tokens_per_line is not None:
            positions = _tokens_within_positions(bundle, options), "and the model's learned positions have room"
            self._limit = min((max_tokens_per_line, "and max_tokens_per_line has room"), positions)
        self._do_not_fit: list[tuple[int, int]] = []  # rows and length of batches that did not

    def translate(self, lines: Sequence[str]) -> list[str]:
        """The best translation of each line, in the order of the lines; a blank line's is empty."""
        return [translations[0].text for translations in self.translate_nbest(lines)]

    def translate_nbest(self, lines: Sequence[str]) -> list[list[Translation]]:
        """The `options.num_best` best translations of each line, best first; a blank line has one, which is empty.

        Raises:
            LineLengthError: see `max_tokens_per_line`; or a line does not fit into the device's memory even alone.
            ValueError: the model's weights are not numbers.
        """
        src = [ids if line.strip() else [] for line, ids in zip(lines, self._tokenizers.src.encode(lines), strict=True)]
        limit, what = self._limit
        if too_long := {row: len(ids) for row, ids in enumerate(src) if len(ids) > limit}:
            reasons = {row: f"{num:,} tokens, {what} for {limit:,}" for row, num in too_long.items()}
            raise LineLengthError({row: TooLong(reason, int(limit)) for row, reason in reasons.items()})
        results = [[Translation("", 0.0, 0.0, True)] for _ in lines]
        for rows_B in self._batches([len(ids) for ids in src]):
            nbests = self._search(src, rows_B)
            if not all(nbests):
                raise ValueError("the model gives no probabilities but NaN: its training diverged; train it anew")
            # All at once: each call starts a thread.
            texts = iter(self._tokenizers.tgt.decode([hypothesis.tokens for nbest in nbests for hypothesis in nbest]))
            for row, nbest in zip(rows_B, nbests, strict=True):
                results[row] = [Translation(next(texts), *hypothesis[1:]) for hypothesis in nbest]
        return results

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

    def shortened(self, line: str, max_tokens: int) -> str:
        """The beginning of a line, with at most so many source tokens."""
        while (num_tokens := len(self._tokenizers.src.encode([line])[0])) > max_tokens:
            line = line[: min(len(line) - 1, len(line) * max_tokens // num_tokens)]
        return line

    def _search(self, src: Sequence[Sequence[int]], rows_B: Sequence[int]) -> list[list[Hypothesis]]:
        """The n best of some rows of `src`, together or in halves."""
        src_BS, src_key_padding_mask_BS = pad_sources([src[row] for row in rows_B])

        def decoded() -> list[list[Hypothesis]]:
            inputs = src_BS.to(self._device), src_key_padding_mask_BS.to(self._device)
            return decode(self._model, *inputs, self._options)

        found = unless_out_of_memory(decoded)
        if found is not None:
            return found
        give_back(self._device)
        num_rows, length = src_BS.shape
        if num_rows == 1:
            reason = f"{length - 1:,} tokens, for which the memory of {self._device} does not suffice"
            raise LineLengthError({rows_B[0]: TooLong(reason, (length - 1) // 2)})
        if not self._do_not_fit:
            print(
                f"seq2seq: {num_rows} lines of up to {length} tokens do not fit into the memory of {self._device} and "
                "are translated in halves, as others will be; a lower max_tokens_per_batch is faster",
                file=sys.stderr,
            )
        self._do_not_fit.append((num_rows, length))
        middle = num_rows // 2
        return self._search(src, rows_B[:middle]) + self._search(src, rows_B[middle:])

    def _batches(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """The numbers of the rows that are not empty, longest first, cut into batches."""
        rows = [row for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]) if lengths[row]]
        start = 0
        while start < len(rows):
            # With its end of sentence the first row is as long as the whole batch will be.
            length = lengths[rows[start]] + 1
            halves = [num_rows // 2 for num_rows, too_long in self._do_not_fit if length >= too_long]
            end = start + max(1, min([self._max_tokens_per_batch // length, *halves]))
            yield rows[start:end]
            start = end


def _tokens_within_positions(bundle: Bundle, options: SearchOptions) -> float:
    """How many tokens a line may have, so that it and its longest translation get by with learned positions."""
    if bundle.config["model"].get("positions") != "learned":
        return math.inf
    positions = bundle.config["model"]["max_positions"]
    steps = (positions - options.max_length_offset) / max(options.max_length_factor, 1e-9)
    return max(0, min(positions, int(steps)) - 1)  # without the end of sentence


def choose_device(name: str, local_rank: int = 0) -> torch.device:
    """The device that a name means: "auto" is a GPU if there is one.

    Args:
        name: auto, cpu, cuda or cuda:N.
        local_rank: number of this process among those of the machine, which take different GPUs under "auto".

    Raises:
        ValueError: PyTorch has no such device here.
    """
    gpus = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if name == "auto":
        return torch.device(gpus[local_rank % len(gpus)] if gpus else "cpu")
    available = ["cpu", *(["cuda"] if gpus else []), *gpus]
    if name not in available:
        raise ValueError(f"there is no device {name!r} here; use auto or {' or '.join(available)}")
    return torch.device(name)
