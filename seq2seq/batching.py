"""Batches of sentence pairs: their padded tensors, which rows go together, and a loader that can be resumed.

Letters: B rows of a batch, S source length, T target length, N rows of the corpus or target tokens.
"""

import functools
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from seq2seq.special_ids import BOS_ID, EOS_ID, PAD_ID

IntOrTensor = TypeVar("IntOrTensor", int, Tensor)


class Batch(NamedTuple):
    """Sentence pairs, padded to the longest of each side."""

    src_BS: Tensor  # pieces, EOS_ID
    src_key_padding_mask_BS: Tensor  # True = padding
    tgt_in_BT: Tensor  # BOS_ID, pieces
    tgt_out_BT: Tensor  # pieces, EOS_ID; PAD_ID where there is nothing to predict
    rows_B: Tensor  # row numbers in the corpus
    tgt_places_N: Tensor  # where tgt_out_BT, read row by row, holds no padding
    num_tgt_tokens: int  # N

    def to(self, device: torch.device) -> "Batch":
        """The same on another device."""
        tensors = {name: x.to(device) for name, x in self._asdict().items() if isinstance(x, Tensor)}
        return Batch(num_tgt_tokens=self.num_tgt_tokens, **tensors)

    def part(self, start: int, end: int) -> "Batch":
        """Some of its rows, as wide as before."""
        src_BS, src_key_padding_mask_BS, tgt_in_BT, tgt_out_BT, rows_B = (x[start:end] for x in self[:5])
        tgt_places_N = (tgt_out_BT != PAD_ID).flatten().nonzero().squeeze(1)
        return Batch(src_BS, src_key_padding_mask_BS, tgt_in_BT, tgt_out_BT, rows_B, tgt_places_N, len(tgt_places_N))


def pad_sources(src: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """The source side of a batch: (src_BS, src_key_padding_mask_BS), each row its pieces and EOS_ID."""
    src_BS = _pad([[*row, EOS_ID] for row in src])
    return src_BS, src_BS == PAD_ID


def collate(
    src: Sequence[Sequence[int]], tgt: Sequence[Sequence[int]], rows: Sequence[int], *, pad_to_multiple_of: int = 1
) -> Batch:
    """The batch of the given rows' pieces (without special ids); S and T are multiples of `pad_to_multiple_of`."""
    src_BS = _pad([[*row, EOS_ID] for row in src], pad_to_multiple_of)
    src_key_padding_mask_BS = src_BS == PAD_ID
    tgt_in_BT = _pad([[BOS_ID, *row] for row in tgt], pad_to_multiple_of)
    tgt_out_BT = _pad([[*row, EOS_ID] for row in tgt], pad_to_multiple_of)
    tgt_places_N = (tgt_out_BT != PAD_ID).flatten().nonzero().squeeze(1)  # a GPU would have to be waited for
    return Batch(
        src_BS, src_key_padding_mask_BS, tgt_in_BT, tgt_out_BT, torch.tensor(rows), tgt_places_N, len(tgt_places_N)
    )


def _pad(rows: Sequence[Sequence[int]], multiple: int = 1) -> Tensor:
    """(B, longest row or more), PAD_ID behind each row's end."""
    lengths_B = torch.tensor([len(row) for row in rows])
    filled = torch.arange(round_up(int(lengths_B.max()), multiple)) < lengths_B[:, None]
    padded = torch.full(filled.shape, PAD_ID)
    padded[filled] = torch.tensor(list(chain.from_iterable(rows)))
    return padded


def round_up(lengths: IntOrTensor, multiple: int) -> IntOrTensor:
    """The next multiples of a number."""
    return (lengths + multiple - 1) // multiple * multiple


class TokenBatchSampler(Sampler[list[int]]):
    """Lists of row numbers whose padded batch holds at most `max_tokens_per_batch` tokens on its longer side.

    Rows of similar lengths go together, and every rank gets the same number of batches. A row longer than
    `max_tokens_per_batch` gets a batch of its own.

    With `shuffle`, the order of the batches and the company in which a row comes are drawn anew from (seed, epoch); the
    sizes of the batches are not, so `len` holds for every epoch and a learning rate schedule can rely on it. Up to
    `world_size - 1` batches of an epoch, other ones each time, are left out to make the ranks even.

    Without `shuffle`, every row comes exactly once, on one rank; the batches with most rows are split to make it even.

    Args:
        lengths_N2: lengths of source and target of each row, each with its one special id.
        max_tokens_per_batch: rows times longest side, padding included.
        shuffle: True for training, False for evaluation.
        seed: of the shuffling.
        rank: this process among `world_size`.
        world_size: number of processes that share the rows.

    Raises:
        ValueError: there are not enough rows (or, with shuffle, batches) to give each rank one.
    """

    def __init__(
        self,
        lengths_N2: Tensor | Sequence[tuple[int, int]],
        *,
        max_tokens_per_batch: int,
        shuffle: bool,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        lengths_N2 = torch.as_tensor(lengths_N2, dtype=torch.int32).reshape(-1, 2)
        longer_N = lengths_N2.amax(1)
        # Longest first. Rows of the same length are a group, within which each epoch draws an order.
        self._order_N = longer_N.argsort(descending=True, stable=True).int()
        self._difference_N = (lengths_N2[:, 0] - lengths_N2[:, 1]).index_select(0, self._order_N)
        longer_N = longer_N.index_select(0, self._order_N)
        lengths, counts = longer_N.unique_consecutive(return_counts=True)
        self._groups = list(zip(lengths.tolist(), counts.cumsum(0).tolist(), strict=True))  # with their ends
        self._shuffle, self._seed, self._rank, self._world_size = shuffle, seed, rank, world_size
        self.epoch = 0
        self._ends = _cut(longer_N, max_tokens_per_batch)
        if not shuffle:
            self._ends = _even_out(self._ends, world_size)
        self._num_batches = len(self._ends) // world_size
        if self._num_batches == 0:
            raise ValueError(
                f"{len(lengths_N2)} rows make {len(self._ends)} batches of at most {max_tokens_per_batch} tokens, too "
                f"few for {world_size} processes; use more data, smaller batches or fewer devices"
            )

    @property
    def sampler(self) -> "TokenBatchSampler":
        """Itself: Lightning calls `loader.batch_sampler.sampler.set_epoch`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose batches the next iteration gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self._num_batches

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(mix(self._seed, self.epoch))
        rows_N = self._sorted_rows(generator)
        starts = [0, *self._ends[:-1]]
        batches = list(zip(starts, self._ends, strict=True))
        if self._shuffle:
            batches = [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]
        batches = batches[: self._num_batches * self._world_size]
        for start, end in batches[self._rank :: self._world_size]:
            yield rows_N[start:end].tolist()

    def _sorted_rows(self, generator: torch.Generator) -> Tensor:
        """Row numbers, longest first by the longer side; among equals by source length minus target length.

        The second key runs up and down in turns, so that neighbours stay similar where the first key changes. It gets
        noise when shuffling; the first does not, for it alone decides where the batches are cut.
        """
        rows_N = torch.empty_like(self._order_N)
        start = 0
        for length, end in self._groups:
            key_n = self._difference_N[start:end].double()
            if self._shuffle:
                key_n += torch.rand(end - start, generator=generator, dtype=torch.double).mul_(2).sub_(1)
            if length % 2:
                key_n.neg_()
            order_n = key_n.argsort(descending=True, stable=True)
            rows_N[start:end] = self._order_N[start:end].index_select(0, order_n)
            start = end
        return rows_N


def _cut(longest_first: Tensor, max_tokens_per_batch: int) -> list[int]:
    """Ends of the batches over sorted lengths: a batch takes as many rows as its first, longest one allows."""
    ends, end = [], 0
    while end < len(longest_first):
        end = min(end + max(1, max_tokens_per_batch // int(longest_first[end])), len(longest_first))
        ends.append(end)
    return ends


def _even_out(ends: list[int], world_size: int) -> list[int]:
    """Ends of the same rows' batches, their number a multiple of `world_size`."""
    num_rows = ends[-1] if ends else 0
    if num_rows < world_size:
        raise ValueError(f"{num_rows} rows cannot be shared by {world_size} processes; use more rows or fewer devices")
    sizes = [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    missing = -len(sizes) % world_size
    if num_rows >= len(sizes) + missing:
        for _ in range(missing):
            largest = max(range(len(sizes)), key=sizes.__getitem__)
            half = sizes[largest] // 2
            sizes[largest : largest + 1] = [sizes[largest] - half, half]
    else:  # (nearly) every row has a batch of its own: join the last ones, they are the shortest sentences
        for _ in range(len(sizes) % world_size):
            sizes[-2:] = [sum(sizes[-2:])]
    return torch.tensor(sizes).cumsum(0).tolist()


def mix(*numbers: int) -> int:
    """One seed for several numbers; neighbouring epochs of neighbouring seeds do not meet."""
    return functools.reduce(lambda seed, number: (seed * 1_000_003 + number) % 2**63, numbers)


class _ResumableSampler(Sampler[list[tuple[int, list[int]]]]):
    """(epoch, rows) of each batch from `first_batch` on, as the only item of a DataLoader's batch.

    The epoch goes with the rows because persistent workers hold copies that no `set_epoch` reaches.
    """

    def __init__(self, sampler: TokenBatchSampler) -> None:
        self.sampler = sampler  # Lightning calls `loader.batch_sampler.sampler.set_epoch`
        self.first_batch = 0

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[list[tuple[int, list[int]]]]:
        for rows in islice(self.sampler, self.first_batch, None):
            yield [(self.sampler.epoch, rows)]


class ResumableLoader(DataLoader[Batch]):
    """The batches of `sampler`, going on after the last one given before; its length stays the whole epoch's.

    Args:
        dataset: its item (epoch, rows) is a Batch.
        sampler: which rows go together.
        num_workers: processes that prepare batches; 0 prepares them in this one.
    """

    def __init__(self, dataset: Dataset[Batch], sampler: TokenBatchSampler, *, num_workers: int = 0) -> None:
        self._sampler = _ResumableSampler(sampler)
        super().__init__(
            dataset,
            batch_sampler=self._sampler,
            collate_fn=_only_item,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )
        self._epoch, self._num_given, self._resuming = 0, 0, False

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        epoch = self._sampler.sampler.epoch
        goes_on = self._resuming and epoch == self._epoch
        self._epoch, self._num_given, self._resuming = epoch, self._num_given if goes_on else 0, False
        self._sampler.first_batch = self._num_given
        for batch in super().__iter__():
            self._num_given += 1  # counted here and not where workers prefetch
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Epoch and number of batches given, for `load_state_dict` of a loader over the same data."""
        return {"epoch": self._epoch, "num_given": self._num_given, "num_batches": len(self)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next iteration over the state's epoch begin after the batches that were given.

        Raises:
            ValueError: the state is from the middle of an epoch that was cut into another number of batches.
        """
        if state["num_batches"] != len(self) and 0 < state["num_given"] < state["num_batches"]:
            raise ValueError(
                f"the checkpoint is from the middle of an epoch of {state['num_batches']} batches, this run has "
                f"{len(self)}; resume with the same data, max_tokens_per_batch and number of devices"
            )
        self._epoch, self._num_given, self._resuming = state["epoch"], state["num_given"], True


def _only_item(batches: list[Batch]) -> Batch:
    return batches[0]
