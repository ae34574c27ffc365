"""A training corpus that is read, tokenised and batched while training runs, window by window; nothing is kept on disk.

A window is the next 100,000 usable pairs, shared among several corpora by their weights. Its batches are planned and
shuffled as those of a whole corpus are, by (seed, number of the window); every rank reads all windows and takes its
share of each one's batches. The files of a corpus come in another order in each pass.

There is no number of batches to be known, so for Lightning a stream is one endless epoch. What ends is a pass: of one
corpus its last window, which may be smaller; of several the window in which the last of them has been read to its end,
while the others have begun again. The last window of a pass is left out if it has fewer batches than there are ranks.

A place, which training goes on from, is the number of a window and for each corpus (passes, files of this pass, rows of
the next file) that lie before the window.
"""

from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, IterableDataset

from seq2seq.batching import Batch, TokenBatchSampler, collate, mix, round_up
from seq2seq.corpus import corpus_shards, iter_shard
from seq2seq.mixing import slots_of
from seq2seq.pairs import what_is_wrong
from seq2seq.tokenizer import TokenizerPair

_WINDOW_PAIRS = 100_000
_ROWS_AT_ONCE = 10_000
_PREFETCHED_BATCHES = 64  # by the worker: what training lives on while the next window is tokenised

Place = tuple[int, list[tuple[int, int, int]]]


class Given(NamedTuple):
    """How far a stream is when a batch has been given."""

    place: Place  # of the batch's window
    in_window: int  # batches given of it on this rank
    passes: int  # that are complete


class _Side:
    """The pieces of many sentences in two flat arrays: lists of them would take ten times the memory."""

    def __init__(self) -> None:
        self._ids, self._ends = array("i"), array("q", [0])

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, row: int) -> Sequence[int]:
        return self._ids[self._ends[row] : self._ends[row + 1]]

    def append(self, ids: Sequence[int]) -> None:
        self._ids.extend(ids)
        self._ends.append(len(self._ids))

    def lengths(self) -> torch.Tensor:
        """Of each row, its end of sentence included."""
        return torch.tensor(self._ends).diff() + 1


class _Reader:
    """One corpus, again and again, its files in another order each time."""

    def __init__(self, spec: str, langs: tuple[str, str], seed: int, place: tuple[int, int, int]) -> None:
        self.spec, self._langs, self._seed = spec, langs, seed
        self._shards = corpus_shards(spec, *langs)
        self.passes, self._file, self._row = place  # a list if it comes out of JSON
        self._pairs: Iterator[tuple[str, str]] | None = None

    @property
    def place(self) -> tuple[int, int, int]:
        return self.passes, self._file, self._row

    @property
    def is_at_start(self) -> bool:
        """Of a pass."""
        return (self._file, self._row) == (0, 0)

    def take(self, most: int) -> list[tuple[str, str]]:
        """The next pairs of this pass; none when it ends, and then those of the next one."""
        generator = torch.Generator().manual_seed(mix(self._seed, self.passes))
        order = torch.randperm(len(self._shards), generator=generator).tolist()
        while self._file < len(order):
            if self._pairs is None:
                shard = self._shards[order[self._file]]
                self._pairs = iter_shard(shard, *self._langs, start=self._row, streaming=True)
            if pairs := list(islice(self._pairs, most)):
                self._row += len(pairs)
                return pairs
            self._pairs, self._file, self._row = None, self._file + 1, 0
        self.passes, self._file = self.passes + 1, 0
        return []


class Stream(IterableDataset[tuple[Batch, Given]]):
    """The batches of one rank from a place on, without end, each with how far the stream is then.

    An error in a corpus comes as the last item: raised in a worker process it would be a page of text.

    Args:
        shares: of the training pairs, by corpus.
        langs: file ending, key or column of source and target.
        tokenizers: of both sides.
        sampling_alpha: above 0, pieces are drawn, by (seed, window); see `Tokenizer.sample`.
        max_tokens_per_batch: see `TokenBatchSampler`.
        pad_to_multiple_of: what the padded lengths of both sides are multiples of.
        max_length: pieces of a side, end of sentence included, above which a pair is dropped.
        seed: of all that is drawn.
        rank: this process among `world_size`.
        world_size: number of processes that share the batches.
    """

    def __init__(
        self,
        shares: dict[str, float],
        langs: tuple[str, str],
        tokenizers: TokenizerPair,
        *,
        sampling_alpha: float,
        max_tokens_per_batch: int,
        pad_to_multiple_of: int = 1,
        max_length: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._shares, self._langs, self._tokenizers = shares, langs, tokenizers
        self._alpha, self._max_length, self._seed = sampling_alpha, max_length, seed
        self._multiple = pad_to_multiple_of
        self._max_tokens_per_batch, self._rank, self._world_size = max_tokens_per_batch, rank, world_size
        self._window_pairs = _WINDOW_PAIRS
        self.begin = Given((0, [(0, 0, 0)] * len(shares)), 0, 0)  # after which the next iteration goes on

    def __iter__(self) -> Iterator[tuple[Batch, Given] | Exception]:  # type: ignore[override]
        try:
            # Whether a batch ends a pass is known when the window of the next one has been read.
            for (batch, place, number, _), (*_, passes) in pairwise(self._batches()):
                yield batch, Given(place, number, passes)
        except (ValueError, OSError) as error:
            yield error

    def _batches(self) -> Iterator[tuple[Batch, Place, int, int]]:
        """Each batch with the place of its window, its number in it (from 1), and the passes complete before it."""
        (window, places), num_given, _ = self.begin
        readers = [
            _Reader(spec, self._langs, mix(self._seed, i), place)
            for i, (spec, place) in enumerate(zip(self._shares, places, strict=True))
        ]
        while True:
            place = window, [reader.place for reader in readers]
            passes = min(reader.passes for reader in readers)
            src, tgt = self._read_window(readers, window)
            is_rest = len(readers) == 1 and readers[0].is_at_start and place[1][0][1:] != (0, 0)
            batches = self._plan(src, tgt, window, is_rest=is_rest)
            for number, rows in enumerate(islice(batches, num_given, None), num_given + 1):
                sides = [src[row] for row in rows], [tgt[row] for row in rows]
                yield collate(*sides, rows, pad_to_multiple_of=self._multiple), place, number, passes
            window, num_given = window + 1, 0

    def _plan(self, src: _Side, tgt: _Side, window: int, *, is_rest: bool) -> Sequence[list[int]]:
        """The rows of this rank's batches; none of the rest of a pass that is too small for all ranks."""
        try:
            sampler = TokenBatchSampler(
                round_up(torch.stack([src.lengths(), tgt.lengths()], 1), self._multiple),
                max_tokens_per_batch=self._max_tokens_per_batch,
                shuffle=True,
                seed=self._seed,
                rank=self._rank,
                world_size=self._world_size,
            )
        except ValueError:
            if is_rest:
                return []
            raise
        sampler.set_epoch(window)
        return list(sampler)

    def _read_window(self, readers: list[_Reader], window: int) -> tuple[_Side, _Side]:
        src, tgt = _Side(), _Side()
        shares = list(self._shares.values())
        for reader, count in zip(readers, slots_of([self._window_pairs], shares), strict=True):
            wanted, had = len(src) + count, len(src)
            is_whole = reader.is_at_start  # the pass that is being read
            while len(src) < wanted:
                pairs = reader.take(min(wanted - len(src), _ROWS_AT_ONCE))
                if pairs:
                    self._add(pairs, src, tgt, seed=mix(self._seed, window, len(src)))
                elif len(src) == had and is_whole:
                    raise ValueError(f"{reader.spec} has no usable pairs; check the files or raise max_length")
                elif len(readers) == 1:
                    break
                else:
                    had, is_whole = len(src), True
        return src, tgt

    def _add(self, pairs: list[tuple[str, str]], src: _Side, tgt: _Side, seed: int) -> None:
        """Add the usable ones of some pairs."""
        texts = [[pair[side] for pair in pairs] for side in (0, 1)]
        tokenizers = self._tokenizers.src, self._tokenizers.tgt
        best = [tokenizer.encode(text) for tokenizer, text in zip(tokenizers, texts, strict=True)]
        drawn = best
        if self._alpha > 0:
            drawn = [
                tokenizer.sample(text, alpha=self._alpha, seed=2 * seed + side)
                for side, (tokenizer, text) in enumerate(zip(tokenizers, texts, strict=True))
            ]
        for ids, drawn_ids in zip(zip(*best, strict=True), zip(*drawn, strict=True), strict=True):
            if what_is_wrong(ids[0], ids[1], self._max_length) is None:
                # What was drawn must fit into a batch.
                fits = max(map(len, drawn_ids)) < self._max_tokens_per_batch
                for side, kept in zip((src, tgt), drawn_ids if fits else ids, strict=True):
                    side.append(kept)


class StreamLoader(DataLoader[Batch]):
    """The batches of a stream, going on after the last one given before; it has no length.

    Args:
        stream: of this rank.
        num_workers: 0 prepares the batches in this process, 1 in another one.
    """

    def __init__(self, stream: Stream, *, num_workers: int) -> None:
        super().__init__(
            stream,  # type: ignore[arg-type]
            batch_size=None,
            collate_fn=_as_it_is,
            num_workers=num_workers,
            prefetch_factor=_PREFETCHED_BATCHES if num_workers else None,
            pin_memory=torch.cuda.is_available(),
        )
        self._stream = stream
        # The latest: Lightning takes a batch before it has trained on the one before.
        self._given: deque[tuple[int, Given]] = deque([(0, stream.begin)], maxlen=4)

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        num_given, self._stream.begin = self._given[-1]
        items: Iterator[Any] = super().__iter__()
        for num_given, item in enumerate(items, num_given + 1):  # noqa: B020
            if isinstance(item, Exception):
                raise item
            batch, given = item
            self._given.append((num_given, Given(*given)))
            yield batch

    def passes(self, num_given: int) -> int:
        """How many passes over the data were complete after so many batches, one of the latest."""
        return dict(self._given)[num_given].passes

    def state_dict(self) -> dict[str, Any]:
        """Where the stream is now and was just before; `num_given` says which of them is meant."""
        return {"num_given": self._given[-1][0], "latest": [[number, list(given)] for number, given in self._given]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next iteration begin after the batches that were given."""
        number = state["num_given"]
        [given] = [Given(*given) for latest, given in state["latest"] if latest == number]
        self._given.clear()
        self._given.append((number, given))


def _as_it_is(item: Any) -> Any:
    return item
