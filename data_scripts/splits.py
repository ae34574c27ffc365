"""From sentence pairs to the files of the splits: what is dropped or changed, and what is taken out of train.

A pair is dropped where a side is blank or cannot be read. Line ends within a sentence (U+2028, a lone carriage return,
...), at which other programs would cut it in two, become spaces. Both are counted; nothing else changes.
"""

import hashlib
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from parallel_text import Flaw, Pair, Reader

_LINE_END = re.compile("[\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
_CHANGED, _SHARED = "line ends within", "with a sentence of valid or test"


def write_splits(
    folder: Path, langs: tuple[str, str], splits: Mapping[str, Reader], hold_out: Mapping[str, int]
) -> dict[str, Any]:
    """Writes SPLIT.LANG for all splits and both languages.

    Args:
        folder: where to; also for what is unpacked on the way.
        langs: the endings of the files.
        splits: what reads the pairs of each.
        hold_out: how many pairs to take out of train for further splits.

    Returns:
        Of each split: the number of pairs, why how many were dropped, how many sentences were changed.

    Raises:
        ValueError: train has too few pairs, or a split none.
    """
    scratch = folder / "scratch"
    scratch.mkdir()
    counts: dict[str, Any] = {}
    held_out = _hold_out(splits["train"](scratch), hold_out) if hold_out else {}
    seen = [{pair[side] for pairs in held_out.values() for pair in pairs} for side in (0, 1)]
    for split, read in splits.items():
        dropped: Counter[str] = Counter()
        pairs = _sound(read(scratch), dropped)
        if split == "train" and held_out:
            pairs = _others(pairs, seen, dropped)
            dropped[_SHARED] -= sum(map(len, held_out.values()))  # themselves
        counts[split] = _write_split(folder, split, langs, pairs, dropped)
    for split, taken in held_out.items():
        counts[split] = _write_split(folder, split, langs, taken, Counter())
    scratch.rmdir()
    for split, count in counts.items():
        if not count["pairs"]:
            raise ValueError(f"no pair is left for {split}; dropped: {count['dropped']}")
    return counts


def _sound(pairs: Iterable[Pair], counts: Counter[str]) -> Iterator[tuple[str, str]]:
    """The pairs that can be used; the others are counted under what is wrong with them."""
    for pair in pairs:
        texts = []
        for sentence in pair:
            if isinstance(sentence, Flaw):
                counts[sentence.reason] += 1
                break
            text, num_ends = _LINE_END.subn(" ", sentence)
            counts[_CHANGED] += num_ends > 0
            if not text or text.isspace():
                counts["blank"] += 1
                break
            texts.append(text)
        else:
            yield texts[0], texts[1]


def _hold_out(pairs: Iterable[Pair], sizes: Mapping[str, int]) -> dict[str, list[tuple[str, str]]]:
    """Pairs chosen by their hash, the same on every machine; no sentence of either side occurs twice among them.

    Of a corpus of any size it keeps only some thousands in memory.
    """
    num_wanted = sum(sizes.values())
    candidates: dict[bytes, tuple[str, str]] = {}
    worst = b"\xff" * 16
    for pair in _sound(pairs, Counter()):
        # Sorted: the direction of translation does not matter.
        key = hashlib.blake2b("\t".join(sorted(pair)).encode(), digest_size=16).digest()
        if key < worst:
            candidates[key] = pair
            if len(candidates) > 8 * num_wanted:
                candidates = dict(sorted(candidates.items())[: 4 * num_wanted])
                worst = max(candidates)
    seen: tuple[set[str], set[str]] = set(), set()
    chosen: list[tuple[str, str]] = []
    for _, pair in sorted(candidates.items()):
        if pair[0] not in seen[0] and pair[1] not in seen[1] and len(chosen) < num_wanted:
            chosen.append(pair)
            seen[0].add(pair[0])
            seen[1].add(pair[1])
    if len(chosen) < num_wanted:
        raise ValueError(
            f"only {len(chosen):,} pairs differ from all others on both sides, {num_wanted:,} are to be held out; "
            f"lower {' and '.join(f'--{name}' for name in sizes)}"
        )
    rest = iter(chosen)
    return {name: [next(rest) for _ in range(size)] for name, size in sizes.items()}


def _others(pairs: Iterable[tuple[str, str]], seen: list[set[str]], counts: Counter[str]) -> Iterator[tuple[str, str]]:
    """The pairs of which neither side is held out."""
    for pair in pairs:
        if pair[0] in seen[0] or pair[1] in seen[1]:
            counts[_SHARED] += 1
        else:
            yield pair


def _write_split(
    folder: Path, split: str, langs: tuple[str, str], pairs: Iterable[tuple[str, str]], dropped: Counter[str]
) -> dict[str, Any]:
    """Writes both files; what is dropped is counted while the pairs come."""
    num_pairs = 0
    with (folder / f"{split}.{langs[0]}").open("wb") as src, (folder / f"{split}.{langs[1]}").open("wb") as tgt:
        for num_pairs, pair in enumerate(pairs, 1):
            src.write(f"{pair[0]}\n".encode())
            tgt.write(f"{pair[1]}\n".encode())
            if num_pairs % 100_000 == 0 and sys.stderr.isatty():
                print(f"\r{split}: {num_pairs:,} pairs ", end="", file=sys.stderr)
    if num_pairs >= 100_000 and sys.stderr.isatty():
        print(file=sys.stderr)
    changed = dropped.pop(_CHANGED, 0)
    reasons = {reason: count for reason, count in sorted(dropped.items()) if count}
    return {"pairs": num_pairs, "dropped": reasons, "changed": {_CHANGED: changed}}
