"""`seq2seq clean`: parallel text without what would harm a training, and a report of what was taken out."""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from seq2seq.atomic import write_whole
from seq2seq.cleaning.clean import Pair, Report, clean
from seq2seq.cleaning.rules import USUAL, Rules
from seq2seq.cleaning.sentences import cut
from seq2seq.commands.arguments import Parser
from seq2seq.parallel import num_cores

DESCRIPTION = """\
Writes the pairs of CORPUS that the named rules leave into OUT.SRC_LANG and OUT.TGT_LANG, and what each rule has done,
with examples, into OUT.cleaning.json. No rule is on unless it is named; --all names those with a usual value.

    seq2seq clean data/raw/train data/train --src_lang de --tgt_lang en --all --except copies --max_words 100

CORPUS has any of the forms of a configuration's data.train, such as data/raw/train for data/raw/train.de and .en."""

_SAMENESS = {"choices": ["exact", "near"]}
# What is named without a value has that of `USUAL`; where there is none, a value is needed.
_OPTIONS: dict[str, dict[str, Any]] = {
    "normalize": {"choices": ["nfc", "nfkc"], "help": "change: both sides into this Unicode form"},
    "tidy": {"help": "change: take invisible characters away, make any white space one plain space"},
    "blank": {"help": "drop: a side without a character"},
    "broken": {"help": "drop: what a wrong encoding has left (Ã¤, f?r, U+FFFD; bytes that are no UTF-8)"},
    "markup": {"help": "drop: residue of tags, entities, wikis, subtitles, escapes and tokenizers"},
    "min_words": {"type": int, "metavar": "N", "help": "drop: a side with fewer words"},
    "max_words": {"type": int, "metavar": "N", "help": "drop: a side with more words"},
    "max_word_length": {"type": int, "metavar": "N", "help": "drop: a word with more characters"},
    "max_ratio": {"type": float, "metavar": "R", "help": "drop: a side R times as long beside the other as is usual"},
    "copies": {"type": float, "metavar": "SHARE", "help": "drop: this share of the words stands on both sides"},
    "script": {"type": float, "metavar": "SHARE", "help": "drop: less than this share of a side in its usual script"},
    "language": {
        "type": float,
        "metavar": "P",
        "help": "drop: a side that is of another language with this probability; needs seq2seq[language]",
    },
    "duplicates": {**_SAMENESS, "help": "drop: a pair that came before; near: but for case, punctuation, digits"},
    "repeats": {**_SAMENESS, "help": "drop: a pair of which either sentence came before"},
}


def main(argv: list[str]) -> None:
    """Clean as `argv` says."""
    arguments = _parsed(argv)
    rules = _named_rules(arguments)
    start_s = time.perf_counter()
    report = clean(
        arguments.corpus,
        arguments.out,
        (arguments.src_lang, arguments.tgt_lang),
        rules,
        processes=arguments.processes,
        dropped_to=arguments.dropped,
        progress=_show_progress if sys.stderr.isatty() else _show_nothing,
    )
    path = Path(f"{arguments.out}.cleaning.json")
    write_whole(path, json.dumps(report.as_dict(), ensure_ascii=False, indent=1) + "\n")
    for line in _described(report):
        print(line, file=sys.stderr)
    print(f"{time.perf_counter() - start_s:.1f} s; more examples in {path}", file=sys.stderr)


def _parsed(argv: list[str]) -> argparse.Namespace:
    parser = Parser("clean", DESCRIPTION)
    parser.add_argument("corpus", metavar="CORPUS", help="what to clean")
    parser.add_argument("out", metavar="OUT", help="folder and beginning of the names of the files to write")
    parser.add_argument("--src_lang", required=True, metavar="LANG", help="source: file ending, JSON key or column")
    parser.add_argument("--tgt_lang", required=True, metavar="LANG", help="target")
    parser.add_argument("--all", action="store_true", help="name all rules that have a usual value")
    parser.add_argument(
        "--except", nargs="+", default=[], choices=_OPTIONS, metavar="RULE", help="but these", dest="but"
    )
    for name, option in _OPTIONS.items():
        usual = getattr(USUAL, name)
        if usual is True:
            parser.add_argument(f"--{name}", action="store_true", default=None, help=option["help"])
        elif usual is None:
            parser.add_argument(f"--{name}", **option)
        else:
            text = {"help": f"{option['help']}; usual {usual}"}
            parser.add_argument(f"--{name}", nargs="?", const=usual, **option | text)
    parser.add_argument("--dropped", metavar="FILE", help="write what is dropped: rule, line, source, target; .gz too")
    parser.add_argument("--processes", type=int, default=num_cores(), metavar="N", help="default: one for each core")
    arguments = parser.parse(argv)
    if arguments.processes < 1:
        raise ValueError(f"processes is {arguments.processes}; it must be at least 1")
    return arguments


def _named_rules(arguments: argparse.Namespace) -> Rules:
    given = {name: getattr(arguments, name) for name in _OPTIONS if getattr(arguments, name) is not None}
    off = {name: Rules.__dataclass_fields__[name].default for name in arguments.but}
    return replace(USUAL if arguments.all else Rules(), **given | off)


def _described(report: Report) -> Iterator[str]:
    """What each rule has done, a line each with an example."""
    yield f"{report.pairs_in:,} pairs read, {report.pairs_out:,} written"
    for verb, counts in (("changed", report.changed), ("dropped", report.dropped)):
        for rule in report.rules:
            if counts.get(rule):
                share = counts[rule] / report.pairs_in
                yield f"  {rule:15} {verb} {counts[rule]:>9,} ({share:.2%})  {_example(report.examples[rule][0])}"
    if idle := [rule for rule in report.rules if rule not in report.dropped | report.changed]:
        yield f"  nothing to do for {', '.join(idle)}"


def _example(example: Any) -> str:
    """One pair; of a change, the side that it changed, so that what is invisible is seen."""
    if isinstance(example, Pair):
        return f"line {example.line}: {cut(example.src, 60)} ||| {cut(example.tgt, 60)}"
    before, after = example
    sides = [(b, a) for b, a in zip(before[1:], after[1:], strict=True) if b != a]
    old, new = (ascii(text)[1:-1] for text in sides[0])
    start = max(0, next((i for i, (o, n) in enumerate(zip(old, new, strict=False)) if o != n), 0) - 15)
    dots = "..." if start else ""
    return f"line {before.line}: {dots}{old[start : start + 40]} -> {dots}{new[start : start + 40]}"


def _show_progress(pairs_in: int, pairs_out: int) -> None:
    print(f"\r{pairs_in:,} pairs read, {pairs_out:,} written ", end="", file=sys.stderr)


def _show_nothing(pairs_in: int, pairs_out: int) -> None:
    """Nobody looks."""
