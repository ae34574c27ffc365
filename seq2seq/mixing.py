"""Several corpora as one: each gives its share of every epoch's pairs, whatever its size.

An epoch has as many pairs as all corpora together, M = share * total of them from a corpus of N rows. Its rows, sorted
by length, lie on M slots: slot j stands for the rows from j N / M to (j + 1) N / M, and batches are planned on slots,
once for all epochs. In epoch e the slot gives row (j N + t) / M rounded down, where t = (start + e M) mod N. So over
any k epochs each row comes k M / N times, rounded up or down.

Letters: N rows of the corpora, M slots of an epoch.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate

import torch
from torch import Tensor
from torch.utils.data import Dataset

from seq2seq.batching import Batch
from seq2seq.pairs import Pairs, SampledPairs


def shares_of(train: str | Mapping[str, float]) -> dict[str, float]:
    """The share of the training pairs that comes from each corpus; one corpus gives all of them.

    Raises:
        ValueError: there is no corpus, or a weight is not a positive number.
    """
    weights = {train: 1.0} if isinstance(train, str) else train
    if not weights:
        raise ValueError("train names no corpus; give one, or several with weights such as {data/news: 3, data/web: 1}")
    for corpus, weight in weights.items():
        if not 0 < weight < math.inf:
            raise ValueError(f"the corpus {corpus} has the weight {weight}; give a positive number, or leave it out")
    return {corpus: weight / sum(weights.values()) for corpus, weight in weights.items()}


def slots_of(num_rows: Sequence[int], shares: Sequence[float]) -> list[int]:
    """How many pairs of an epoch come from each corpus: at least one."""
    return [max(1, round(share * sum(num_rows))) for share in shares]


def in_proportion(samples: Sequence[list[str]], shares: Sequence[float]) -> list[str]:
    """About as many lines as the samples have, in the proportion of the shares: some are left out, others repeated."""
    counts = slots_of([len(sample) for sample in samples], shares)
    return [
        sample[i * len(sample) // count] for sample, count in zip(samples, counts, strict=True) for i in range(count)
    ]


def describe_mixture(shares: Mapping[str, float], parts: Sequence[str], num_rows: Sequence[int]) -> list[str]:
    """All pairs, and what is said of each corpus with its share and how often each of its pairs comes."""
    num_slots = slots_of(num_rows, list(shares.values()))
    return [
        f"{sum(num_rows)} pairs",
        *(
            f"{spec} {part}, share {share:.1%}, each {slots / rows:.3g} times an epoch"
            for (spec, share), part, rows, slots in zip(shares.items(), parts, num_rows, num_slots, strict=True)
        ),
    ]


class MixedPairs(Dataset[Batch]):
    """The slots of several corpora: an item (epoch, slots) is the Batch of the rows that they stand for in that epoch.

    Args:
        pairs: the rows of all corpora, one corpus behind the other.
        num_rows: of each corpus.
        shares: of each corpus, 1 together.
        seed: of where in its slots a corpus begins.
    """

    def __init__(
        self, pairs: Pairs | SampledPairs, *, num_rows: Sequence[int], shares: Sequence[float], seed: int
    ) -> None:
        self._pairs = pairs
        num_slots = slots_of(num_rows, shares)
        generator = torch.Generator().manual_seed(seed)
        # One entry a corpus:
        self._num_rows, self._num_slots = torch.tensor(num_rows), torch.tensor(num_slots)
        self._first_row = torch.tensor([0, *accumulate(num_rows)][:-1])
        self._end_slot = self._num_slots.cumsum(0)
        self._start = torch.cat([torch.randint(n, (1,), generator=generator) for n in num_rows])
        lengths_N2 = pairs.lengths()
        parts = zip(lengths_N2.split(list(num_rows)), self._first_row, strict=True)
        self._sorted_N = torch.cat([(_shortest_first(part) + first).int() for part, first in parts])
        # The last row that a slot may give has the greatest length among them.
        last_M = self._places(torch.arange(len(self)), self._num_rows - 1)
        self._lengths_M2 = lengths_N2[self._sorted_N[last_M]]

    def __len__(self) -> int:
        return int(self._end_slot[-1])

    def __getitem__(self, epoch_and_slots: tuple[int, list[int]]) -> Batch:
        epoch, slots = epoch_and_slots
        places = self._places(torch.tensor(slots), (self._start + epoch * self._num_slots) % self._num_rows)
        return self._pairs[epoch, self._sorted_N[places].tolist()]

    def lengths(self) -> Tensor:
        """(M, 2): source and target of the longest row that each slot stands for."""
        return self._lengths_M2

    def _places(self, slots: Tensor, t: Tensor) -> Tensor:
        """Where among the sorted rows the slots are, for t of each corpus."""
        corpus = torch.bucketize(slots, self._end_slot, right=True)
        num_rows, num_slots = self._num_rows[corpus], self._num_slots[corpus]
        j = slots - (self._end_slot - self._num_slots)[corpus]
        return self._first_row[corpus] + (j * num_rows + t[corpus]) // num_slots


def _shortest_first(lengths_N2: Tensor) -> Tensor:
    """(N,): row numbers by the longer side; among equals by source length minus target length."""
    longer_N = lengths_N2.amax(1).long()
    difference_N = lengths_N2[:, 0] - lengths_N2[:, 1]
    return (longer_N * (2 * int(longer_N.max()) + 1) + difference_N).argsort(stable=True)
