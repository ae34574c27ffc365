"""IBM Model 1: how much better the words of a sentence are foretold by another sentence than by their frequency.

    P(t_1 .. t_m | s_1 .. s_l) ~ prod_j 1 / (l + 1) sum_i t(t_j | s_i)        s_0 is NULL, a word of every source

Sources: Brown et al. 1993, "The Mathematics of Statistical Machine Translation", Model 1. Smoothing of rare words:
Moore 2004, "Improving IBM Word-Alignment Model 1".
"""

import re
from array import array
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seq2seq.cleaning.sentences import UNSPACED

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

# Accents and vowel signs, which are no \w: Latin, Hebrew, Arabic, the scripts of India.
_MARKS = "\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0900-\u0963\u0966-\u0dff"
_WORD = re.compile(rf"[{UNSPACED}]|(?:[^\W{UNSPACED}]|[{_MARKS}])+")
# A word is its first letters: inflected forms count together. On clean news half as many pairs look wrong as with
# whole words, on Tatoeba a quarter less.
_STEM = 5
_MAX_WORDS = 80  # of a line; the work grows with their square

_ITERATIONS = 5
_PRIOR = 1.0  # occurrences of each source word that are made up, by frequency and likeness
_ALIKE = 0.2  # of which this share translates a word by itself: names and figures
_MIN_COUNT = 2  # a word seen less often says nothing against a pair
_FLOOR = 0.1  # share of words that come from nowhere
_MAX_RATIO = 4.0  # nats that one word can say for a pair
_LEAST_COUNT = 0.05  # expected count below which a pair of words is forgotten
_ROWS_AT_ONCE = 2048
_FILTER = (1 << 22) - 1


def words_of(text: str) -> list[str]:
    """Its words in lower case, without punctuation; characters, where a script has no spaces."""
    return _WORD.findall(text.lower())


class Sentences(NamedTuple):
    """Rows of word numbers, one after the other: row i is ids[starts[i] : starts[i + 1]]."""

    ids: NDArray[np.int32]
    starts: Ints

    @property
    def lengths(self) -> Ints:
        """Words of each row."""
        return np.diff(self.starts)

    def with_null(self) -> "Sentences":
        """NULL, word 0, before each row."""
        return Sentences(
            np.insert(self.ids, self.starts[:-1], 0), self.starts + np.arange(len(self.starts), dtype=np.int64)
        )


class Words:
    """Numbers for words, from 1, the same for both languages: a name is the same word on both sides."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def read(self, lines: Iterable[str]) -> Sentences:
        """The words of each line; new ones get the next numbers."""
        numbers = self._numbers
        ids = array("i")
        starts = [0]
        for line in lines:
            ids.extend([numbers.setdefault(word[:_STEM], len(numbers) + 1) for word in words_of(line)[:_MAX_WORDS]])
            starts.append(len(ids))
        return Sentences(np.array(ids, dtype=np.int32), np.array(starts, dtype=np.int64))


class Score(NamedTuple):
    """What the words of pairs say: for each pair the sum of log-likelihood ratios (nats), and of how many words."""

    total: Floats
    words: Ints

    def mean(self) -> Floats:
        """Nats a word."""
        return self.total / np.maximum(self.words, 1)


class Model1:
    """t(target word | source word) out of some pairs of sentences, in one direction.

    Args:
        src: source sentences with NULL.
        tgt: target sentences.
        rows: which of them to learn from.
        num_words: the highest word number.
    """

    def __init__(self, src: Sentences, tgt: Sentences, rows: Ints, num_words: int) -> None:
        self._size = size = num_words + 2  # NULL, and one for all words that are new later
        beside = _beside(src, rows, tgt, rows)
        keys, key_of = np.unique(beside.src.astype(np.int64) * size + beside.tgt, return_inverse=True)
        key_src, key_tgt = keys // size, keys % size
        t: Floats = np.ones(len(keys))
        counts = totals = t
        for _ in range(_ITERATIONS):
            expected = t[key_of]
            expected /= np.repeat(np.add.reduceat(expected, beside.begins), beside.widths)
            counts = np.bincount(key_of, expected, minlength=len(keys)).astype(np.float64)
            totals = np.bincount(key_src, counts, minlength=size).astype(np.float64)
            t = counts / totals[key_src]
        seen = np.bincount(tgt.ids[_spans(tgt.starts[rows], tgt.lengths[rows])], minlength=size)
        self._known = seen >= _MIN_COUNT
        self._frequency = (seen + 0.5) / (seen + 0.5).sum()
        self._prior = _PRIOR / (totals + _PRIOR)  # the prior's part in what a source word says
        kept = counts >= _LEAST_COUNT
        self._keys = keys[kept]
        self._ratios = (counts / (totals[key_src] + _PRIOR) / self._frequency[key_tgt])[kept]
        self._filter = np.zeros(_FILTER + 1, dtype=bool)  # nine in ten lookups end here
        self._filter[self._keys & _FILTER] = True

    def score(self, src: Sentences, src_rows: Ints, tgt: Sentences, tgt_rows: Ints) -> Score:
        """What the words of target rows say for their being translations of source rows (with NULL)."""
        parts = [
            self._score(src, src_rows[first : first + _ROWS_AT_ONCE], tgt, tgt_rows[first : first + _ROWS_AT_ONCE])
            for first in range(0, len(src_rows), _ROWS_AT_ONCE)
        ]
        return Score(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def _score(self, src: Sentences, src_rows: Ints, tgt: Sentences, tgt_rows: Ints) -> Score:
        beside = _beside(src, src_rows, tgt, tgt_rows)
        if not len(beside.begins):
            return Score(np.zeros(len(tgt_rows)), np.zeros(len(tgt_rows), dtype=np.int64))
        new = self._size - 1
        src_ids, tgt_ids = np.minimum(beside.src, new), np.minimum(beside.tgt, new)
        # t / frequency: by the prior, by what was learnt, and by likeness
        ratios = self._prior[src_ids] * (1 - _ALIKE)
        keys = src_ids.astype(np.int64) * self._size + tgt_ids
        maybe = np.flatnonzero(self._filter[keys & _FILTER])
        place = np.minimum(np.searchsorted(self._keys, keys[maybe]), len(self._keys) - 1)
        is_there = self._keys[place] == keys[maybe]
        ratios[maybe[is_there]] += self._ratios[place[is_there]]
        alike = np.flatnonzero(beside.src == beside.tgt)
        ratios[alike] += self._prior[src_ids[alike]] * _ALIKE / self._frequency[tgt_ids[alike]]

        of_word = np.add.reduceat(ratios, beside.begins) / beside.widths
        llr = np.minimum(np.log(_FLOOR + (1 - _FLOOR) * of_word), _MAX_RATIO)
        known = self._known[tgt_ids[beside.begins]]
        says = known | (llr > 0)
        lengths = tgt.lengths[tgt_rows]
        row = np.repeat(np.arange(len(lengths)), lengths)
        return Score(
            np.bincount(row, np.where(says, llr, 0), minlength=len(lengths)).astype(np.float64),
            np.bincount(row[says], minlength=len(lengths)),
        )


class BothWays:
    """Model 1 of the target given the source and of the source given the target."""

    def __init__(self, src: Sentences, tgt: Sentences, rows: Ints, num_words: int) -> None:
        self._forward = Model1(src.with_null(), tgt, rows, num_words)
        self._backward = Model1(tgt.with_null(), src, rows, num_words)

    def score(self, src: Sentences, src_rows: Ints, tgt: Sentences, tgt_rows: Ints) -> Score:
        """What all words of pairs of rows say for their being translations; an empty side says nothing."""
        forward = self._forward.score(src.with_null(), src_rows, tgt, tgt_rows)
        backward = self._backward.score(tgt.with_null(), tgt_rows, src, src_rows)
        is_pair = (src.lengths[src_rows] > 0) & (tgt.lengths[tgt_rows] > 0)
        return Score(is_pair * (forward.total + backward.total), is_pair * (forward.words + backward.words))


class _Beside(NamedTuple):
    """Each word of targets beside each word of their source: a target word has `widths` of them from `begins` on."""

    src: NDArray[np.int32]
    tgt: NDArray[np.int32]
    begins: Ints
    widths: Ints


def _beside(src: Sentences, src_rows: Ints, tgt: Sentences, tgt_rows: Ints) -> _Beside:
    lengths = tgt.lengths[tgt_rows]
    words = tgt.ids[_spans(tgt.starts[tgt_rows], lengths)]
    widths = np.repeat(src.lengths[src_rows], lengths)
    of_source = src.ids[_spans(np.repeat(src.starts[src_rows], lengths), widths)]
    return _Beside(of_source, np.repeat(words, widths), np.cumsum(widths) - widths, widths)


def _spans(starts: Ints, lengths: Ints) -> Ints:
    """starts[0], starts[0] + 1, ... (lengths[0] numbers), starts[1], ..."""
    ends = np.cumsum(lengths)
    return np.arange(lengths.sum()) + np.repeat(starts - (ends - lengths), lengths)
