"""Word alignments that people made, and how far others are from them.

    AER = 1 - (|A and S| + |A and P|) / (|A| + |S|)

with links A, sure links S and possible links P, to which the sure ones belong. Source: Och & Ney 2003, section 6.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

Link = tuple[int, int]  # word of the source, word of the translation, from 0


class Gold(NamedTuple):
    """The links of one pair of sentences."""

    sure: frozenset[Link]
    possible: frozenset[Link]  # all of `sure` among them


def parse_gold(line: str) -> Gold:
    """Links in Pharaoh's format: 0-0 is sure, 0?1 or 0p1 possible; words are counted from 0.

    Raises:
        ValueError: something else stands in the line.
    """
    links: dict[bool, set[Link]] = {True: set(), False: set()}
    for one in line.split():
        found = re.fullmatch(r"(\d+)([-?p])(\d+)", one)
        if found is None:
            raise ValueError(f"{one!r} is no link; write 0-0 for a sure one, 0?1 or 0p1 for a possible one")
        links[found[2] == "-"].add((int(found[1]), int(found[3])))
    return Gold(frozenset(links[True]), frozenset(links[True] | links[False]))


def error_rate(pairs: Iterable[tuple[Sequence[Link] | set[Link], Gold]]) -> float | None:
    """AER over all pairs of sentences; None if there are neither links nor sure ones."""
    hits = total = 0
    for links, gold in pairs:
        found = set(links)
        hits += len(found & gold.sure) + len(found & gold.possible)
        total += len(found) + len(gold.sure)
    return 1 - hits / total if total else None
