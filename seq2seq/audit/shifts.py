"""Stretches of a corpus whose sources belong to the targets of other lines: where they begin and end, and how far off.

A line lost or doubled on one side shifts all that follows, until a second fault mends it. `doubtful` sees from the
scores of some lines where many in a row do not fit, as the CUSUM test of Page (1954) does; `trace` then compares the
lines there with their neighbours and finds the most likely course of offsets (Viterbi 1967).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from seq2seq.audit.model1 import Floats

MAX_OFFSET = 5
OFFSETS = range(-MAX_OFFSET, MAX_OFFSET + 1)
SHORTEST = 20  # rows of a stretch that is found: of those with 8 rows 59 of 72, with 12 rows 71, with 20 all
_CLIP = 3.0  # nats that one pair may say
_DOUBT = 20.0  # nats against a stretch before it is looked at: seven pairs
_MOST_DOUBTFUL = 100  # the worst are looked at
# A stretch that fits nowhere has so many rows, and at most this share of its lines fit; else they are single pairs.
_LEAST_UNRELATED, _FITS_BY_CHANCE = 50, 0.1
_CHANGE = 8.0  # nats that an offset must bring to be believed
_CLOSE = 300  # lines of one closer look
_MARGIN = 20  # lines around it


class Stretch(NamedTuple):
    """Lines `first` to `last`, from 0, whose sources belong to the targets `offset` lines below; None: to none near."""

    first: int
    last: int
    offset: int | None


def doubtful(totals: Floats) -> list[tuple[int, int]]:
    """First and last row of the stretches whose scores (nats for each row's pair) speak most against them."""
    found: list[tuple[float, int, int]] = []
    against = peak = 0.0
    first = last = 0
    for row, nats in enumerate([*np.clip(-totals, -_CLIP, _CLIP).tolist(), -np.inf]):
        if against <= 0:
            against, peak, first = 0.0, 0.0, row
        against += nats
        if against > peak:
            peak, last = against, row
        if against <= max(0, peak - _DOUBT):
            if peak >= _DOUBT:
                found.append((peak, first, last))
            against = 0.0
    return sorted((first, last) for _, first, last in sorted(found)[-_MOST_DOUBTFUL:])


def trace(
    score: Callable[[list[int]], Floats], stretches: list[tuple[int, int]], *, step: int, total: int
) -> list[Stretch]:
    """What lies otherwise than at offset zero in some stretches.

    Some lines of each are looked at first, then, until nothing is new, all where the offset changes.

    Args:
        score: of some lines, from 0, the nats for each of `OFFSETS`: (lines, offsets).
        stretches: first and last, in units of `step` lines.
        step: see there.
        total: lines of the corpus.
    """

    def some(first: int, last: int) -> set[int]:
        first, last = max(first, 0), min(last, total - 1)
        return {*range(first, last + 1, 1 + (last - first) // _CLOSE), last}

    seen: dict[int, Floats] = {}
    lines: list[int] = []
    course: list[int] = []
    wanted = {line for a, b in stretches for line in some((a - _MARGIN) * step, (b + _MARGIN) * step)}
    while new := sorted(wanted - seen.keys()):
        seen |= zip(new, np.clip(score(new), -_CLIP, _CLIP), strict=True)
        lines = sorted(seen)
        course = _course(np.stack([seen[line] for line in lines]))
        changes = [i for i in range(1, len(lines)) if course[i] != course[i - 1]]
        wanted = {line for i in changes for line in some(lines[i - 1] - _MARGIN, lines[i] + _MARGIN)}

    def is_one(run: Stretch) -> bool:
        if run.offset is not None:
            return True
        fits = [seen[line][MAX_OFFSET] > 0 for line in lines if run.first <= line <= run.last]
        return run.last - run.first >= _LEAST_UNRELATED * step and sum(fits) <= _FITS_BY_CHANCE * len(fits)

    return [run for run in _runs(lines, course) if is_one(run)]


def _course(nats: Floats) -> list[int]:
    """The best sequence of states: `OFFSETS`, and behind them "none", which says nothing for or against."""
    nats = np.pad(nats, ((0, 0), (0, 1)))
    states = np.arange(nats.shape[1])
    best = np.where(states == MAX_OFFSET, 0.0, -_CHANGE)
    came_from = np.empty(nats.shape, dtype=np.int64)
    for i, here in enumerate(nats):
        top = int(best.argmax())
        changes = best[top] - _CHANGE > best
        came_from[i] = np.where(changes, top, states)
        best = np.where(changes, best[top] - _CHANGE, best) + here
    course = [int(best.argmax())]
    for i in range(len(nats) - 1, 0, -1):
        course.append(int(came_from[i, course[-1]]))
    return course[::-1]


def _runs(lines: list[int], course: list[int]) -> list[Stretch]:
    """Lines in a row in one state other than offset zero."""
    found: list[Stretch] = []
    for i, state in enumerate(course):
        if state == MAX_OFFSET:
            continue
        if i and course[i - 1] == state:
            found[-1] = found[-1]._replace(last=lines[i])
        else:
            found.append(Stretch(lines[i], lines[i], OFFSETS[state] if state < len(OFFSETS) else None))
    return found
