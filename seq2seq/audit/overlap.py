"""Which pairs of a valid or test set stand in train, wholly or on one side: a score on them measures memory.

"Near" is equal but for case, spaces, punctuation and the digits of numbers (`sentences.near_form`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from seq2seq.audit.findings import Finding, Section
from seq2seq.cleaning.duplicates import Hashes, hashes
from seq2seq.cleaning.sentences import near_form

Kind = Literal["exact", "near", "source", "target"]
Keys = dict[Kind, Hashes]  # (N,) each, of N pairs
Hits = dict[Kind, dict[int, int]]  # hash -> the first line of train that has it

MOST_SHARED = 0.005  # of a valid or test set that may stand in train without a warning
_KINDS: dict[Kind, tuple[str, float]] = {  # what is said, and the share from which it is a warning
    "exact": ("in train as they are", MOST_SHARED),
    "near": ("in train but for case, punctuation, spaces and digits", MOST_SHARED),
    "source": ("the source is in train, with another translation", 0.05),
    "target": ("the target is in train, of another source", 0.05),
}


def keys(src: Sequence[str], tgt: Sequence[str]) -> Keys:
    """What pairs are compared by; "near" and "source" serve as well to find duplicates within a corpus."""
    near_src, near_tgt = [near_form(text) for text in src], [near_form(text) for text in tgt]
    return {
        "exact": hashes(f"{s}\n{t}" for s, t in zip(src, tgt, strict=True)),
        "near": hashes(f"{s}\n{t}" for s, t in zip(near_src, near_tgt, strict=True)),
        "source": hashes(near_src),
        "target": hashes(near_tgt),
    }


def hits(held_out: Keys, train: Keys, first_line: int) -> Hits:
    """Which keys of a held-out set some pairs of train have."""
    found: Hits = {}
    for kind, wanted in held_out.items():
        [places] = np.nonzero(np.isin(train[kind], wanted))
        found[kind] = {}
        for place in places.tolist():
            found[kind].setdefault(int(train[kind][place]), first_line + place)
    return found


@dataclass
class HeldOut:
    """A valid or test set and what of it has been found in train so far.

    Args:
        name: of the set.
        src: its sentences.
        tgt: their translations.
    """

    name: str
    src: list[str]
    tgt: list[str]

    def __post_init__(self) -> None:
        self.keys = keys(self.src, self.tgt)
        self._places: dict[Kind, dict[int, str]] = {kind: {} for kind in _KINDS}  # hash -> where it was seen first

    def add(self, found: Hits, train: str) -> None:
        """Hits in pairs of a training corpus, which is called so, that follow those before."""
        for kind, lines in found.items():
            for key, line in lines.items():
                self._places[kind].setdefault(key, f"line {line} of {train}")

    def section(self) -> Section:
        """All that was found; a pair is counted once, under the first kind that it is of."""
        section = Section(f"{self.name} in train")
        rest = set(range(len(self.src)))
        for kind, (said, tolerance) in _KINDS.items():
            places = {row: self._places[kind].get(int(self.keys[kind][row])) for row in sorted(rest)}
            of_kind = [row for row, place in places.items() if place is not None]
            rest -= set(of_kind)
            section.figures[kind] = len(of_kind)
            if not of_kind:
                continue
            share = len(of_kind) / len(self.src)
            message = f"{len(of_kind):,} of {len(self.src):,} pairs ({share:.2%}): {said}"
            if share > tolerance:
                message += "; scores on them are too good: take them out of train"
            examples = tuple(
                f"line {row + 1} is {places[row]}: {self.src[row]} ||| {self.tgt[row]}" for row in of_kind[:3]
            )
            level: Literal["warning", "note"] = "warning" if share > tolerance else "note"
            section.findings.append(Finding("overlap", level, message, examples, tuple(row + 1 for row in of_kind)))
        if not section.findings:
            section.text.append(f"none of {len(self.src):,} pairs, neither wholly nor on one side")
        return section
