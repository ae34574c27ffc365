"""Which sentences came before, in a corpus of any size: hashes in files, of which one at a time is looked at.

Two different sentences have the same 64-bit hash with a probability of n^2 / 2^65: 1 in 37 million for a million
sentences, 1 in 37 for a thousand millions.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_NUM_FILES = 64
_ROW = np.dtype([("hash", np.uint64), ("row", np.uint64)])

Hashes = NDArray[np.uint64]


def hashes(texts: Iterable[str]) -> Hashes:
    """A 64-bit hash of each text: (N,)."""
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, dtype=np.uint64)


class Seen:
    """Finds the rows whose hash an earlier row had. A byte a row stays on disk, 16 until `later`.

    Args:
        folder: an empty one, for this alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = [(folder / str(number)).open("wb") for number in range(_NUM_FILES)]
        self._num_rows = 0

    def add(self, of_rows: Hashes) -> None:
        """Further rows, (N,)."""
        rows = np.empty(len(of_rows), dtype=_ROW)
        rows["hash"] = of_rows
        rows["row"] = np.arange(self._num_rows, self._num_rows + len(rows))
        number = of_rows >> np.uint64(58)
        rows = rows[np.argsort(number, kind="stable")]
        ends = np.bincount(number.astype(np.int64), minlength=_NUM_FILES).cumsum()
        for file, part in zip(self._files, np.split(rows, ends[:-1]), strict=True):
            file.write(part.tobytes())
        self._num_rows += len(rows)

    def later(self) -> NDArray[np.bool_]:
        """(N,), on disk: whether each row's hash came before. Nothing can be added any more."""
        is_later = np.memmap(self._folder / "later", dtype=np.bool_, mode="w+", shape=(max(1, self._num_rows),))
        for file in self._files:
            file.close()
            path = Path(file.name)
            rows = np.fromfile(path, dtype=_ROW)
            path.unlink()
            rows = rows[np.argsort(rows["hash"], kind="stable")]  # in each file they stand in order
            again = rows["hash"][1:] == rows["hash"][:-1]
            is_later[rows["row"][1:][again]] = True
        return is_later[: self._num_rows]
