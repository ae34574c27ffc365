"""Cleaning a corpus: read in chunks, judged by several processes, written in order; memory does not grow with it."""

import os
import pickle
import random
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from seq2seq.atomic import replaced_when_whole
from seq2seq.cleaning.duplicates import Hashes, Seen, hashes
from seq2seq.cleaning.rules import Corpus, Rules, changes, checks, corpus_of
from seq2seq.cleaning.sentences import near_form
from seq2seq.corpus import corpus_files, first_pairs, iter_pairs
from seq2seq.parallel import in_order

Progress = Callable[[int, int], None]  # of pairs read and written
_EXAMPLES = 5
_PAIRS_OF_SAMPLE = 10_000


class Pair(NamedTuple):
    """A pair and where it stands: line or row from 1."""

    line: int
    src: str
    tgt: str


@dataclass
class Part:
    """Some thousand pairs in a row: which are kept, and which are dropped by which rule."""

    kept: list[Pair] = field(default_factory=list)
    dropped: list[tuple[str, Pair]] = field(default_factory=list)
    changed: list[tuple[str, Pair, Pair]] = field(default_factory=list)  # rule, before, after
    hashes: list[Hashes] = field(default_factory=list)  # (N,) each, of what `Seen` is to find among the kept


@dataclass
class Report:
    """What cleaning has done: for each rule the pairs, and some of them drawn at random.

    Args:
        rules: those named, with their values.
        usual: what was found usual in the corpus: the scripts of both sides, target characters per source character.
        pairs_in: read.
        pairs_out: written.
        dropped: pairs by rule; a pair is counted under the first rule that drops it.
        changed: pairs by rule; also pairs that were dropped later.
        examples: of each rule, what it dropped, or before and after.
    """

    rules: dict[str, Any]
    usual: dict[str, Any]
    pairs_in: int = 0
    pairs_out: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # One for each: which examples are drawn depends neither on the other rules nor on the size of the parts.
        self._draw = {rule: random.Random(rule) for rule in self.rules}

    def add(self, part: Part) -> None:
        """Count some pairs that follow those before."""
        self.pairs_in += len(part.kept) + len(part.dropped)
        self.pairs_out += len(part.kept)
        for rule, pair in part.dropped:
            self._count(self.dropped, rule, pair)
        for rule, before, after in part.changed:
            self._count(self.changed, rule, (before, after))

    def _count(self, counts: dict[str, int], rule: str, example: Any) -> None:
        counts[rule] = counts.get(rule, 0) + 1
        examples = self.examples.setdefault(rule, [])
        if len(examples) < _EXAMPLES:
            examples.append(example)
        elif (place := self._draw[rule].randrange(counts[rule])) < _EXAMPLES:  # each is as likely as any to stay
            examples[place] = example

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        found = asdict(self)
        for name in ("dropped", "changed", "examples"):
            found[name] = {rule: found[name][rule] for rule in self.rules if rule in found[name]}
        return found


def clean(
    spec: str,
    out: str,
    langs: tuple[str, str],
    rules: Rules,
    *,
    processes: int,
    dropped_to: str | None,
    progress: Progress,
) -> Report:
    """Write the pairs of a corpus that the rules leave, changed as they say, into OUT.SRC_LANG and OUT.TGT_LANG.

    Args:
        spec: the corpus, in one of the forms of `seq2seq.corpus`.
        out: path and beginning of the name of both files.
        langs: source and target.
        rules: what to do.
        processes: that share the work.
        dropped_to: a file for what is dropped: rule, line, source and target with tabs between.
        progress: is called after each some thousand pairs.

    Raises:
        ValueError: no rule is named, no pair is left, or the corpus would be overwritten.
    """
    if not rules.named():
        raise ValueError("no rule is named; name some, or --all, see seq2seq clean --help")
    outputs = [Path(f"{out}.{lang}") for lang in langs]
    read = [path.resolve() for path in corpus_files(spec, *langs)]
    if overwritten := [path for path in outputs if path.resolve() in read]:
        raise ValueError(f"{overwritten[0]} would be overwritten while it is read; give another name for the output")
    corpus = usual_in(spec, langs, replace_bad_bytes=rules.broken)
    checks(rules, corpus)  # what cannot be done is said here, by one process
    named = {name: getattr(rules, name) for name in rules.named()}
    report = Report(named, {"scripts": [sorted(side) for side in corpus.scripts], "ratio": round(corpus.ratio, 3)})
    with _scratch(Path(out)) as scratch, ExitStack() as stack:
        files = [stack.enter_context((scratch / side).open("wb")) for side in ("src", "tgt")]
        dropped_file = stack.enter_context(replaced_when_whole(dropped_to)) if dropped_to else None
        parts = in_order(
            partial(Judge, rules, corpus), numbered(spec, langs, replace_bad_bytes=rules.broken), processes
        )
        if rules.duplicates or rules.repeats:
            parts = _without_later(parts, rules, scratch, progress)
        for part in parts:
            part.dropped.sort(key=lambda found: found[1].line)
            report.add(part)
            for file, side in zip(files, (1, 2), strict=True):
                file.write("".join(f"{pair[side]}\n" for pair in part.kept).encode())
            if dropped_file is not None:
                _write_dropped(dropped_file, part)
            progress(report.pairs_in, report.pairs_out)
        if report.pairs_out == 0:
            raise ValueError(
                f"no pair of {report.pairs_in:,} is left; dropped are {report.dropped}; nothing is written"
            )
        for file, path in zip(files, outputs, strict=True):
            file.close()
            os.replace(file.name, path)
    return report


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """A folder beside the output for what is unfinished; one that a killed process has left is taken away."""
    folder = out.with_name(f".{out.name}.cleaning")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Judge:
    """Applies the rules to some pairs: all but those that look at earlier pairs."""

    def __init__(self, rules: Rules, corpus: Corpus) -> None:
        self._rules, self._changes = rules, changes(rules)
        self._checks = checks(rules, corpus)

    def __call__(self, numbered: tuple[int, list[str], list[str]]) -> Part:
        first, *sides = numbered
        part = Part()
        for line, src, tgt in zip(count(first), *sides, strict=False):
            pair = self._changed(Pair(line, src, tgt), part)
            rule = next((name for name, is_bad in self._checks if is_bad(pair.src, pair.tgt)), None)
            if rule is None:
                part.kept.append(pair)
            else:
                part.dropped.append((rule, pair))
        part.hashes = list(_compared(part.kept, self._rules))
        return part

    def _changed(self, pair: Pair, part: Part) -> Pair:
        for rule, change in self._changes:
            after = Pair(pair.line, change(pair.src), change(pair.tgt))
            if after != pair:
                part.changed.append((rule, pair, after))
            pair = after
        return pair


def _compared(pairs: list[Pair], rules: Rules) -> Iterator[Hashes]:
    """Hashes of what makes pairs duplicates, then of what makes their source and their target repeated."""
    for rule in ("duplicates", "repeats"):
        sameness = getattr(rules, rule)
        if sameness is None:
            continue
        form: Callable[[str], str] = near_form if sameness == "near" else str
        src, tgt = [form(pair.src) for pair in pairs], [form(pair.tgt) for pair in pairs]
        if rule == "duplicates":
            yield hashes(f"{s}\n{t}" for s, t in zip(src, tgt, strict=True))
        else:
            yield hashes(src)
            yield hashes(tgt)


def usual_in(spec: str, langs: tuple[str, str], *, replace_bad_bytes: bool) -> Corpus:
    """What is usual in a corpus, by its first pairs."""
    return corpus_of(*first_pairs(spec, *langs, _PAIRS_OF_SAMPLE, replace_bad_bytes=replace_bad_bytes), langs)


def numbered(
    spec: str, langs: tuple[str, str], *, replace_bad_bytes: bool
) -> Iterator[tuple[int, list[str], list[str]]]:
    """The sentences of a corpus, some thousands at a time, and before them the line of the first."""
    line = 1
    for src, tgt in iter_pairs(spec, *langs, replace_bad_bytes=replace_bad_bytes):
        yield line, src, tgt
        line += len(src)


def _without_later(parts: Iterable[Part], rules: Rules, scratch: Path, progress: Progress) -> Iterator[Part]:
    """The parts again, when all have been seen: without the pairs that an earlier one makes superfluous."""
    names = (["duplicates"] if rules.duplicates else []) + (["repeats", "repeats"] if rules.repeats else [])
    seen = []
    for number in range(len(names)):
        (scratch / str(number)).mkdir()
        seen.append(Seen(scratch / str(number)))
    num_pairs = 0
    with (scratch / "parts").open("w+b") as file:
        for part in parts:
            for one, of_rows in zip(seen, part.hashes, strict=True):
                one.add(of_rows)
            part.hashes = []
            pickle.dump(part, file)
            num_pairs += len(part.kept) + len(part.dropped)
            progress(num_pairs, 0)
        is_later = [one.later() for one in seen]
        end = file.tell()
        file.seek(0)
        row = 0
        while file.tell() < end:
            part = pickle.load(file)
            kept = []
            for pair in part.kept:
                rule = next((name for name, later in zip(names, is_later, strict=True) if later[row]), None)
                row += 1
                if rule is None:
                    kept.append(pair)
                else:
                    part.dropped.append((rule, pair))
            part.kept = kept
            yield part


def _write_dropped(file: BinaryIO, part: Part) -> None:
    for rule, pair in part.dropped:
        sides = (side.replace("\t", " ") for side in (pair.src, pair.tgt))
        file.write("\t".join([rule, str(pair.line), *sides]).encode() + b"\n")
