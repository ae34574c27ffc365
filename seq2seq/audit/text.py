"""One corpus as text: how much there is, how long its sentences are, which pairs cleaning would drop and why."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from seq2seq.audit.findings import MOST_LINES, Finding, Level, Section
from seq2seq.audit.lengths import Histogram, bars, histogram, quantile
from seq2seq.audit.overlap import HeldOut, Hits, Keys, hits, keys
from seq2seq.cleaning.clean import Pair, numbered, usual_in
from seq2seq.cleaning.duplicates import Hashes, Seen
from seq2seq.cleaning.language import Identifier
from seq2seq.cleaning.rules import USUAL, Corpus, Rules, changes, checks
from seq2seq.cleaning.sentences import cut, numbers, words
from seq2seq.corpus import first_pairs, iter_pairs
from seq2seq.parallel import in_order

_EXAMPLES = 3
_FEW = 5  # pairs, below which nothing is a warning, however small the corpus

# What is said of the pairs that a check has found, and the share of all from which it is a warning. Where seq2seq clean
# has a rule of the same name, it is offered.
_SAID = {
    "normalize": ("not in Unicode's form NFC; a word in two forms is two words", 0.01),
    "tidy": ("invisible characters, or white space other than single spaces", 0.05),
    "blank": ("a side without a character", 0.01),
    "broken": ("went through a wrong encoding", 0.005),
    "markup": ("residue of markup", 0.005),
    "max_words": (f"more than {USUAL.max_words} words on a side", 0.01),
    "max_word_length": (f"a word of more than {USUAL.max_word_length} characters", 0.005),
    "max_ratio": (f"a side {USUAL.max_ratio:g} times as long beside the other as is usual here", 0.005),
    "copies": (f"{USUAL.copies:.0%} of the words on both sides, so not translated", 0.005),
    "script": ("a side less than half in the script that is usual here", 0.005),
    "language": ("a side that seems to be of another language", 0.01),
    "numbers": ("each side has numbers in digits that the other has not", 0.05),
    "duplicates": ("came before, but for case, punctuation, spaces and digits", 0.05),
}


@dataclass
class Look:
    """What some pairs in a row show."""

    num_pairs: int
    lengths: list[Histogram]  # of both sides
    faults: dict[str, list[Pair]]
    near: Hashes  # (N,): what near duplicates have in common
    hits: list[Hits]  # in each held-out set


class Looker:
    """Looks at some pairs with all that `seq2seq clean` has a usual value for, and for held-out pairs among them."""

    def __init__(self, rules: Rules, corpus: Corpus, held_out: list[Keys]) -> None:
        self._changes = changes(rules)
        self._checks = [*checks(rules, corpus), ("numbers", _numbers_differ), ("bytes", _has_replaced)]
        self._held_out = held_out

    def __call__(self, numbered: tuple[int, list[str], list[str]]) -> Look:
        first, src, tgt = numbered
        faults: dict[str, list[Pair]] = {}
        for pair in map(Pair, count(first), src, tgt):
            found = [name for name, change in self._changes if (change(pair.src), change(pair.tgt)) != pair[1:]]
            found += [name for name, is_bad in self._checks if is_bad(pair.src, pair.tgt)]
            for name in found:
                faults.setdefault(name, []).append(pair)
        here = keys(src, tgt)
        lengths = [histogram([len(words(text)) for text in side]) for side in (src, tgt)]
        return Look(len(src), lengths, faults, here["near"], [hits(known, here, first) for known in self._held_out])


def _numbers_differ(src: str, tgt: str) -> bool:
    """Whether both sides have numbers that the other does not have."""
    on_both = numbers(src), numbers(tgt)
    return bool(on_both[0] - on_both[1]) and bool(on_both[1] - on_both[0])


def _has_replaced(src: str, tgt: str) -> bool:
    return "\ufffd" in src or "\ufffd" in tgt


def examine_text(
    name: str,
    spec: str,
    langs: tuple[str, str],
    *,
    held_out: Sequence[HeldOut] = (),
    processes: int = 1,
    first: int | None = None,
) -> Section:
    """One corpus: figures, faults, and what of held-out sets stands in it.

    Args:
        name: of the corpus, for people: train.
        spec: in one of the forms of `seq2seq.corpus`.
        langs: source and target.
        held_out: sets that are told what of them was found; they say it themselves.
        processes: that share the work.
        first: look at so many pairs of a corpus that is too large to be read.

    Raises:
        OSError: a file is missing.
        ValueError: it cannot be read as a corpus.
    """
    section = Section(f"{name}: {spec}")
    corpus = usual_in(spec, langs, replace_bad_bytes=True)
    rules = _usual_rules(langs, section)
    found: dict[str, _Found] = {}
    src_lengths, tgt_lengths = histogram([0]) * 0, histogram([0]) * 0
    num_pairs = 0
    with tempfile.TemporaryDirectory(prefix="seq2seq-doctor-") as scratch:
        seen = Seen(Path(scratch))
        make = partial(Looker, rules, corpus, [one.keys for one in held_out])
        for look in in_order(make, _numbered(spec, langs, first), processes):
            num_pairs += look.num_pairs
            src_lengths, tgt_lengths = src_lengths + look.lengths[0], tgt_lengths + look.lengths[1]
            for check, pairs in look.faults.items():
                found.setdefault(check, _Found()).add(pairs)
            seen.add(look.near)
            for one, in_this in zip(held_out, look.hits, strict=True):
                one.add(in_this, name)
        is_later = seen.later()
        num_later = int(is_later.sum())
        later = (np.nonzero(is_later)[0][:MOST_LINES] + 1).tolist()
    section.figures |= {"pairs": num_pairs, "scripts": [sorted(side) for side in corpus.scripts]}
    section.text += _amounts(num_pairs, (src_lengths, tgt_lengths), langs, section.figures)
    if later:
        found["duplicates"] = _Found(num_later, later, _pairs_at(spec, langs, first, later[:_EXAMPLES]))
    if found.pop("bytes", None):
        section.findings += _bad_bytes(spec, langs)
    section.findings += [_finding(check, found[check], num_pairs) for check in _SAID if check in found]
    return section


@dataclass
class _Found:
    """The pairs that a check calls bad."""

    num_pairs: int = 0
    lines: list[int] = field(default_factory=list)  # the first ones
    examples: list[Pair] = field(default_factory=list)

    def add(self, pairs: list[Pair]) -> None:
        self.num_pairs += len(pairs)
        self.lines += [pair.line for pair in pairs[: MOST_LINES - len(self.lines)]]
        self.examples += pairs[: _EXAMPLES - len(self.examples)]


def _usual_rules(langs: tuple[str, str], section: Section) -> Rules:
    """Those with a usual value; without that for languages where nothing knows them."""
    rules = replace(USUAL, duplicates=None)  # which are looked for here
    try:
        Identifier(langs, USUAL.language or 1.0)
    except ValueError as error:
        section.text.append(f"languages were not looked at: {error}")
        return replace(rules, language=None)
    return rules


def _numbered(spec: str, langs: tuple[str, str], first: int | None) -> Iterator[tuple[int, list[str], list[str]]]:
    if first is not None:
        yield 1, *first_pairs(spec, *langs, first, replace_bad_bytes=True)
    else:
        yield from numbered(spec, langs, replace_bad_bytes=True)


def _amounts(
    num_pairs: int, of_sides: tuple[Histogram, Histogram], langs: tuple[str, str], figures: dict[str, Any]
) -> list[str]:
    lines = [f"{num_pairs:,} pairs"]
    for lang, lengths in zip(langs, of_sides, strict=True):
        num_words = int((lengths * np.arange(len(lengths))).sum())
        median, most, longest = (quantile(lengths, share) for share in (0.5, 0.99, 1.0))
        figures[lang] = {"words": num_words, "median": median, "99 %": most, "longest": longest}
        lines.append(
            f"{lang}: {num_words:,} words, {num_words / num_pairs:.1f} a sentence; half have at most {median}, 99 % at "
            f"most {most}, the longest {longest}"
        )
    return lines + bars(*of_sides, langs)


def _finding(check: str, found: _Found, num_pairs: int) -> Finding:
    said, tolerance = _SAID[check]
    share = found.num_pairs / num_pairs
    level: Level = "warning" if share > tolerance and found.num_pairs >= _FEW else "note"
    message = f"{found.num_pairs:,} pair{'s' * (found.num_pairs > 1)} ({share:.2%}): {said}"
    if check in Rules.__dataclass_fields__:
        message += f" (clean --{check})"
    examples = tuple(f"line {pair.line}: {_shown(pair, check)}" for pair in found.examples)
    return Finding(check, level, message, examples, tuple(found.lines))


def _shown(pair: Pair, check: str) -> str:
    """A pair on one line; what cannot be seen is written as an escape."""
    text = f"{cut(pair.src, 100)} ||| {cut(pair.tgt, 100)}"
    return text.encode("unicode_escape").decode() if check in ("normalize", "tidy", "broken") else text


def _pairs_at(spec: str, langs: tuple[str, str], first: int | None, lines: list[int]) -> list[Pair]:
    """The pairs on some lines, in their order."""
    found: list[Pair] = []
    for start, src, tgt in _numbered(spec, langs, first):
        here = [line - start for line in lines if start <= line < start + len(src)]
        found += [Pair(start + place, src[place], tgt[place]) for place in here]
        if len(found) == len(lines):
            break
    return found


def _bad_bytes(spec: str, langs: tuple[str, str]) -> list[Finding]:
    """An error if a training would end at bytes that are no UTF-8; a U+FFFD may also be one that was written so."""
    try:
        for _ in iter_pairs(spec, *langs):
            pass
    except ValueError as error:
        return [Finding("bytes", "error", f"{error}; clean --broken drops such pairs")]
    return []
