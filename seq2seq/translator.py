"""Text in, text out: a bundle and a search. Letters: B batch, S source length, T target length."""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from seq2seq.batching import collate, pad_sources
from seq2seq.bundle import Bundle
from seq2seq.decoding import (
    ROWS_TOGETHER,
    Hypothesis,
    SearchOptions,
    Utility,
    attention_over_source,
    decode,
    expected_utilities,
    most_at_once,
    side_by_side,
    token_log_probabilities,
)
from seq2seq.device_memory import give_back, unless_out_of_memory
from seq2seq.special_ids import EOS_ID, PAD_ID

_BEAM_5 = SearchOptions()
_NAN = "the model gives no probabilities but NaN: its training diverged; train it anew"


class Translation(NamedTuple):
    """One translation of one line, with its `decoding.Hypothesis`'s figures."""

    text: str
    score: float  # log-probability after the penalties; with a utility the expected utility
    log_probability: float
    finished: bool  # False if cut off at the maximum length
    tokens: list[int]  # without begin and end of sentence


class Reading(NamedTuple):
    """A given translation as the model reads it, piece by piece."""

    src_pieces: list[str]  # S, the end of sentence last
    tgt_pieces: list[str]  # T, the end of sentence last
    log_probabilities: list[float]  # of each target piece after those before it; natural logarithm
    alpha_TS: Tensor | None  # where the decoder looked, rows sum to 1; None if nobody asked, or without attention


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
    """Translates lines of raw text. Threads may share one.

    A batch that does not fit into the memory is taken in halves, and later ones of such sentences have fewer. On a CPU
    several batches are searched at once, with a part of torch's threads each.

    Args:
        bundle: model and tokenizers; it runs where the model is.
        options: of the search.
        max_tokens_per_batch: source tokens that are searched at once, padding included, once for each sample if there
            are samples. A longer line gets a batch of its own.
        max_tokens_per_line: a longer line raises `LineLengthError`, and so does one that might not get by with learned
            positions; None tries everything.
        utility: if given, the samples or best translations of a line are ordered by their expected utility (minimum
            Bayes risk) instead, equal ones as one.

    Attributes:
        tokenizers: the bundle's.
        has_attention: whether the model looks at its source while it writes.

    Raises:
        ValueError: the batch has no room, or a utility has not two translations to choose from.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        options: SearchOptions = _BEAM_5,
        max_tokens_per_batch: int = 4096,
        max_tokens_per_line: int | None = None,
        utility: Utility | None = None,
    ) -> None:
        if utility and max(options.num_samples, options.num_best) < 2:
            raise ValueError(
                "minimum Bayes risk chooses among several translations; give num_samples, or num_best and beam_width, "
                "above 1"
            )
        for name, value in (
            ("max_tokens_per_batch", max_tokens_per_batch),
            ("max_tokens_per_line", max_tokens_per_line),
        ):
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
        self._model = bundle.model
        self.tokenizers = bundle.tokenizers
        self.has_attention = bundle.model.has_attention
        self._device = next(bundle.model.parameters()).device
        self._num_threads = torch.get_num_threads() if self._device.type == "cpu" else 1
        self._options = options
        self._max_tokens_per_batch = max_tokens_per_batch // max(1, options.num_samples)
        self._utility = utility
        self._limit = (math.inf, "")  # tokens of a line, and what allows no more
        if max_tokens_per_line is not None:
            positions = _tokens_within_positions(bundle, options), "and the model's learned positions have room"
            self._limit = min((max_tokens_per_line, "and max_tokens_per_line has room"), positions)
        self._do_not_fit: list[tuple[int, int]] = []  # rows and length of batches that did not

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
            LineLengthError: see `max_tokens_per_line`; or a line does not fit into the device's memory even alone.
            ValueError: the model's weights are not numbers, or there are more or fewer prefixes than lines.
        """
        if prefixes is not None and len(prefixes) != len(lines):
            raise ValueError(f"{len(prefixes)} prefixes for {len(lines)} lines; give one for each, blank for nothing")
        prefix = [[] for _ in lines] if prefixes is None else self.tokenizers.tgt.encode(prefixes)
        src = self._encode(lines)
        limit, what = self._limit
        if too_long := {row: len(ids) for row, ids in enumerate(src) if len(ids) > limit}:
            reasons = {row: f"{num:,} tokens, {what} for {limit:,}" for row, num in too_long.items()}
            raise LineLengthError({row: TooLong(reason, int(limit)) for row, reason in reasons.items()})
        results = [[Translation("", 0.0, 0.0, True, [])] for _ in lines]
        for rows_B, nbests in self._found(src, prefix):
            if any(not nbest or math.isnan(nbest[0].log_probability) for nbest in nbests):
                raise ValueError(_NAN)
            # All at once: each call starts a thread.
            texts = iter(self.tokenizers.tgt.decode([hypothesis.tokens for nbest in nbests for hypothesis in nbest]))
            for row, nbest in zip(rows_B, nbests, strict=True):
                results[row] = [
                    Translation(next(texts), h.score, h.log_probability, h.finished, h.tokens) for h in nbest
                ]
                if self._utility:
                    results[row] = self._by_utility(results[row], self._utility)
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

    def shortened(self, line: str, max_tokens: int) -> str:
        """The beginning of a line, with at most so many source tokens."""
        while (num_tokens := len(self.tokenizers.src.encode([line])[0])) > max_tokens:
            line = line[: min(len(line) - 1, len(line) * max_tokens // num_tokens)]
        return line

    def _encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Pieces of the source; none of a blank line, whatever the tokenizer makes of it."""
        if isinstance(lines, str):  # a sequence of strings as well, of its letters
            raise ValueError(f"{lines[:40]!r} is one string; give a list of lines")
        return [ids if line.strip() else [] for line, ids in zip(lines, self.tokenizers.src.encode(lines), strict=True)]

    def _found(
        self, src: Sequence[Sequence[int]], prefix: Sequence[Sequence[int]]
    ) -> Iterator[tuple[list[int], list[list[Hypothesis]]]]:
        """Rows of `src` and `prefix`, batch by batch, and the n best of each."""
        at_once = most_at_once(self._num_threads)

        def search(rows_B: list[int]) -> list[list[Hypothesis]] | None:
            try:
                return self._search(src, prefix, rows_B)
            except LineLengthError:
                if at_once == 1:
                    raise
                return None  # what runs beside it took memory too

        again = []
        batches = self._batches([len(ids) for ids in src], self._max_tokens_per_batch // at_once)
        for rows_B, nbests in side_by_side(search, batches, self._num_threads):
            if nbests is None:
                again.append(rows_B)
            else:
                yield rows_B, nbests
        for rows_B in again:
            yield rows_B, self._search(src, prefix, rows_B)

    def _search(
        self, src: Sequence[Sequence[int]], prefix: Sequence[Sequence[int]], rows_B: Sequence[int]
    ) -> list[list[Hypothesis]]:
        """The n best of some rows of `src` and `prefix`, together or in halves."""
        src_BS, src_key_padding_mask_BS = pad_sources([src[row] for row in rows_B])

        def decoded() -> list[list[Hypothesis]]:
            inputs = src_BS.to(self._device), src_key_padding_mask_BS.to(self._device)
            begun = [torch.tensor(prefix[row], dtype=torch.long) for row in rows_B]
            prefix_BP = pad_sequence(begun, True, PAD_ID).to(self._device) if any(map(len, begun)) else None
            return decode(self._model, *inputs, self._options, prefix_BP)

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
        return self._search(src, prefix, rows_B[:middle]) + self._search(src, prefix, rows_B[middle:])

    def _by_utility(self, translations: list[Translation], utility: Utility) -> list[Translation]:
        """The different translations with their expected utilities, highest first."""
        weights = [1.0] * len(translations)
        if not self._options.num_samples:  # relative to the most probable, for all may be too small for a number
            best = max(one.log_probability for one in translations)
            weights = [math.exp(one.log_probability - best) for one in translations]
        by_text = {one.text: one for one in reversed(translations)}  # the first of equal ones
        expected = expected_utilities([one.text for one in translations], weights, utility)
        return [by_text[text]._replace(score=score) for text, score in expected.items()]

    def _batches(self, lengths: Sequence[int], max_tokens: int) -> Iterator[list[int]]:
        """The numbers of the rows that are not empty, longest first, cut into batches."""
        rows = [row for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]) if lengths[row]]
        start = 0
        while start < len(rows):
            # With its end of sentence the first row is as long as the whole batch will be.
            length = lengths[rows[start]] + 1
            halves = [num_rows // 2 for num_rows, too_long in self._do_not_fit if length >= too_long]
            num_rows = max(1, min([max_tokens // length, *halves]))
            if num_rows > ROWS_TOGETHER:  # numbers of rows that come again are multiplied faster
                num_rows -= num_rows % ROWS_TOGETHER
            yield rows[start : start + num_rows]
            start += num_rows


def _tokens_within_positions(bundle: Bundle, options: SearchOptions) -> float:
    """How many tokens a line may have, so that it and its longest translation get by with learned positions."""
    members = bundle.config["ensemble"]["models"] if "ensemble" in bundle.config else [bundle.config["model"]]
    learned = [member["max_positions"] for member in members if member.get("positions") == "learned"]
    if not learned:
        return math.inf
    steps = (min(learned) - options.max_length_offset) / max(options.max_length_factor, 1e-9)
    return max(0, min(*learned, int(steps)) - 1)  # without the end of sentence


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
