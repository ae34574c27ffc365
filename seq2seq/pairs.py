"""Tokenised sentence pairs on disk: written once, memory-mapped, read as batches.

Letters: N rows of the corpus.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pyarrow.compute
import torch
from filelock import FileLock
from torch import Tensor
from torch.utils.data import Dataset

from seq2seq.batching import Batch, collate, mix, round_up
from seq2seq.tokenizer import TokenizerPair


def write_once(folder: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill `folder` unless it exists: whole or not at all, and by one process while the others wait."""
    if folder.is_dir():
        return
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{folder}.lock")
        lock.acquire()
    except OSError as error:
        reason = f"cannot write to the cache {folder.parent} ({error.strerror})"
        raise ValueError(f"{reason}; set cache_dir or the variable SEQ2SEQ_CACHE") from None
    with lock, tempfile.TemporaryDirectory(dir=folder.parent, prefix="unfinished-") as temporary:
        if not folder.is_dir():
            part = Path(temporary) / folder.name
            part.mkdir()
            write(part)
            os.replace(part, folder)


def write_pairs(
    folder: Path,
    pairs: Iterable[tuple[Sequence[str], Sequence[str]]],
    tokenizers: TokenizerPair,
    max_length: int | None,
    spec: str,
) -> None:
    """Tokenise into pairs.arrow, and count into counts.json.

    Args:
        folder: to write into.
        pairs: source and target sentences, some thousands at a time.
        tokenizers: of both sides.
        max_length: pieces of a side, end of sentence included, above which a pair is dropped; None: nothing is dropped.
        spec: of the corpus, for messages.
    """
    kinds = dict.fromkeys(("src", "tgt"), pyarrow.string()) | dict.fromkeys(
        ("src_ids", "tgt_ids"), pyarrow.list_(pyarrow.int32())
    )
    schema = pyarrow.schema(kinds)
    counts = {"pairs": 0, "empty": 0, "long": 0}
    with pyarrow.OSFile(str(folder / "pairs.arrow"), "wb") as file, pyarrow.ipc.new_stream(file, schema) as stream:
        for src, tgt in pairs:
            ids = tokenizers.src.encode(src), tokenizers.tgt.encode(tgt)
            kept = []
            for i, (src_ids, tgt_ids) in enumerate(zip(*ids, strict=True)):
                wrong = what_is_wrong(src_ids, tgt_ids, max_length)
                counts[wrong or "pairs"] += 1
                if wrong is None:
                    kept.append(i)
            arrays = [[column[i] for i in kept] for column in (src, tgt, *ids)]
            stream.write_batch(pyarrow.record_batch(arrays, schema=schema))
    if counts["pairs"] == 0:
        reason = f"{spec} has no usable pairs: {describe(counts, max_length)}"
        raise ValueError(f"{reason}; check the files or raise max_length")
    (folder / "counts.json").write_text(json.dumps(counts), encoding="utf-8")


def what_is_wrong(src_ids: Sequence[int], tgt_ids: Sequence[int], max_length: int | None) -> str | None:
    """ "empty" or "long" if a pair is to be dropped; for `max_length` see `write_pairs`."""
    if max_length is None:
        return None
    if not (src_ids and tgt_ids):
        return "empty"
    return "long" if max(len(src_ids), len(tgt_ids)) + 1 > max_length else None


def describe(counts: dict[str, int], max_length: int | None) -> str:
    """The counts of `write_pairs` for people: "28988 pairs, 12 dropped (3 empty, 9 longer than 256 pieces)"."""
    dropped = counts["empty"] + counts["long"]
    text = f"{counts['pairs']} pairs"
    if dropped:
        text += f", {dropped} dropped ({counts['empty']} empty, {counts['long']} longer than {max_length} pieces)"
    return text


class Pairs(Dataset[Batch]):
    """What `write_pairs` wrote into some folders; an item (epoch, rows) is a Batch, the same in every epoch.

    Args:
        folders: as `write_pairs` left them.
        pad_to_multiple_of: what the padded lengths of both sides are multiples of.
    """

    def __init__(self, *folders: Path, pad_to_multiple_of: int = 1) -> None:
        self.pad_to_multiple_of = pad_to_multiple_of
        tables = [datasets.Dataset.from_file(str(folder / "pairs.arrow")) for folder in folders]
        self._arrow = datasets.concatenate_datasets(tables)
        self._ids = self._arrow.select_columns(["src_ids", "tgt_ids"])

    def __len__(self) -> int:
        return len(self._arrow)

    def __getitem__(self, epoch_and_rows: tuple[int, list[int]]) -> Batch:
        _, rows = epoch_and_rows
        taken = self._ids[rows]
        return collate(taken["src_ids"], taken["tgt_ids"], rows, pad_to_multiple_of=self.pad_to_multiple_of)

    def lengths(self) -> Tensor:
        """(N, 2), int32: number of pieces and end of sentence of each row's source and target, rounded up."""
        lengths = torch.empty(len(self), 2, dtype=torch.int32)
        for side, name in enumerate(("src_ids", "tgt_ids")):
            lengths[:, side] = torch.tensor(pyarrow.compute.list_value_length(self._arrow.data[name]).to_numpy())
        return round_up(lengths.add_(1), self.pad_to_multiple_of)

    def text(self) -> tuple[list[str], list[str]]:
        """The raw text of both sides."""
        return self._arrow["src"][:], self._arrow["tgt"][:]

    def num_found(self, src: Sequence[str], tgt: Sequence[str]) -> int:
        """How many of these pairs of raw text are among the rows."""
        columns = self._arrow.data["src"], self._arrow.data["tgt"]
        are_alike = (
            pyarrow.compute.is_in(column, value_set=pyarrow.array(side, column.type))
            for column, side in zip(columns, (src, tgt), strict=True)
        )
        rows = pyarrow.compute.indices_nonzero(pyarrow.compute.and_(*are_alike))
        there = set(zip(*(column.take(rows).to_pylist() for column in columns), strict=True))
        return sum(pair in there for pair in zip(src, tgt, strict=True))

    def read(self, rows: Sequence[int]) -> dict[str, list[Any]]:
        """Text and ids of some rows, by column."""
        return self._arrow[list(rows)]


class SampledPairs(Dataset[Batch]):
    """The same pairs in pieces that are drawn anew in each epoch, by (seed, epoch, first row of the batch).

    A pair whose drawn pieces would make its batch too large keeps its best segmentation.
    """

    def __init__(
        self, pairs: Pairs, tokenizers: TokenizerPair, *, alpha: float, seed: int, max_tokens_per_batch: int
    ) -> None:
        self._pairs, self._tokenizers, self._alpha, self._seed = pairs, tokenizers, alpha, seed
        self._max_tokens_per_batch = max_tokens_per_batch

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, epoch_and_rows: tuple[int, list[int]]) -> Batch:
        epoch, rows = epoch_and_rows
        taken = self._pairs.read(rows)
        src, tgt = self._sample(taken, mix(self._seed, epoch, rows[0]))
        multiple = self._pairs.pad_to_multiple_of
        longest = self._max_tokens_per_batch // len(rows) // multiple * multiple
        for i in range(len(rows)):
            if max(len(src[i]), len(tgt[i])) + 1 > longest:
                src[i], tgt[i] = taken["src_ids"][i], taken["tgt_ids"][i]
        return collate(src, tgt, rows, pad_to_multiple_of=multiple)

    def lengths(self) -> Tensor:
        """(N, 2): lengths to plan batches with, which 19 of 20 drawn segmentations do not exceed."""
        taken = self._pairs.read(range(0, len(self), len(self) // 2000 + 1))
        drawn, best = (
            torch.tensor([max(len(s), len(t)) + 1 for s, t in zip(*sides, strict=True)])
            for sides in (self._sample(taken, self._seed), (taken["src_ids"], taken["tgt_ids"]))
        )
        growth = (drawn / best).quantile(0.95).clamp(min=1)
        grown = round_up((self._pairs.lengths() * growth).ceil().int(), self._pairs.pad_to_multiple_of)
        return grown.clamp(max=self._max_tokens_per_batch)

    def _sample(self, taken: dict[str, list[Any]], seed: int) -> tuple[list[list[int]], list[list[int]]]:
        src = self._tokenizers.src.sample(taken["src"], alpha=self._alpha, seed=2 * seed)
        tgt = self._tokenizers.tgt.sample(taken["tgt"], alpha=self._alpha, seed=2 * seed + 1)
        return src, tgt
