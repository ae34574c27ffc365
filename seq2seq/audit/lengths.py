"""How long sentences are: counts, quantiles and a histogram in characters of text."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Histogram = NDArray[np.int64]  # how many sentences have 0, 1, 2, ... words
_MOST = 1000  # words that are told apart
_BINS = [(0, 0), (1, 5), (6, 10), (11, 15), (16, 20), (21, 30), (31, 40), (41, 60), (61, 100), (101, 200), (201, _MOST)]
_BAR = 24  # characters


def histogram(num_words: Sequence[int]) -> Histogram:
    """(1001,): how many sentences have so many words; the last: so many or more."""
    return np.bincount(np.minimum(num_words, _MOST), minlength=_MOST + 1)


def quantile(lengths: Histogram, share: float) -> int:
    """The number of words that this share of the sentences does not exceed."""
    return int(np.searchsorted(lengths.cumsum(), share * lengths.sum()))


def bars(src: Histogram, tgt: Histogram, langs: tuple[str, str]) -> list[str]:
    """Both sides beside each other, a line for each class of lengths that occurs."""
    lines = [f"{'words':>9}  {langs[0]:<{_BAR + 8}} {langs[1]}"]
    most = max(_share(side, *limits) for side in (src, tgt) for limits in _BINS)
    for low, high in _BINS:
        shares = [_share(side, low, high) for side in (src, tgt)]
        if any(shares):
            name = f"> {low - 1}" if high == _MOST else str(low) if low == high else f"{low}-{high}"
            columns = [f"{'█' * round(_BAR * share / most):<{_BAR}} {share:6.1%}" for share in shares]
            lines.append(f"{name:>9}  {' '.join(columns)}")
    return lines


def _share(lengths: Histogram, low: int, high: int) -> float:
    return float(lengths[low : high + 1].sum() / lengths.sum())
