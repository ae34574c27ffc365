"""The command that makes a downloaded corpus: from options to a folder that `seq2seq` reads, and its corpus.json.

What every script of a downloaded corpus shares: its options, that the folder is there whole or not at all, corpus.json.
"""

import argparse
import importlib.metadata
import platform
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from corpus_folder import OneLineParser, describe, holds_corpus, whole_folder
from download import Downloads
from filelock import FileLock, Timeout
from parallel_text import Reader
from splits import write_splits

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}([_-][A-Za-z]{2,8})?")
_HOW = {
    "out_dir",
    "archives",
    "mirror",
    "sha256",
    "sums",
    "offline",
    "timeout_s",
}  # options that do not change the text


class Corpus(NamedTuple):
    """What a script knows of its corpus."""

    homepage: str
    licence: str
    citation: str
    splits: dict[str, Reader]
    hold_out: Mapping[str, int] = MappingProxyType({})  # pairs to take out of train for splits that the corpus lacks
    details: Mapping[str, Any] = MappingProxyType({})  # what else corpus.json should say


def corpus_parser(
    prog: str, doc: str | None, src_lang: str = "de", tgt_lang: str = "en", *, downloads: bool = True
) -> OneLineParser:
    """A parser with the options that all scripts have.

    Args:
        prog: the script's name.
        doc: its description.
        src_lang: by default; likewise `tgt_lang`.
        downloads: whether the script fetches its files through `Downloads`.
    """
    parser = OneLineParser(prog=prog, description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("out_dir", metavar="OUT_DIR", type=Path, help="folder to write; must not hold anything else")
    add("--src_lang", metavar="LANG", default=src_lang, help=f"one language (default: {src_lang})")
    add("--tgt_lang", metavar="LANG", default=tgt_lang, help=f"the other one (default: {tgt_lang})")
    add("--offline", action="store_true", help="use what is on this machine")
    parser.set_defaults(archives=None, mirror=None, sha256=[], sums=None, timeout_s=30.0)
    if not downloads:
        return parser
    archives = "where downloads are kept, and looked for before the network (default: archives beside OUT_DIR)"
    add("--archives", metavar="DIR", type=Path, help=archives)
    add("--mirror", metavar="URL", help="address with all files under the names that they have in DIR; asked first")
    add("--sha256", metavar="NAME=SUM", action="append", help="sum that a file must have; may be repeated")
    add("--sums", metavar="FILE", type=Path, help="the same for many files, as sha256sum writes it")
    add("--timeout_s", metavar="S", type=float, help="how long a server may say nothing (default: 30)")
    return parser


def add_hold_out(parser: argparse.ArgumentParser, **sizes: int) -> None:
    """Options for the splits that a corpus does not have."""
    for name, default in sizes.items():
        parser.add_argument(
            f"--{name}",
            metavar="N",
            type=int,
            default=default,
            help=f"pairs to take out of train for {name}; no sentence of theirs stays in train (default: {default})",
        )


def run(
    parser: argparse.ArgumentParser,
    version: int,
    build: Callable[[argparse.Namespace, Downloads], Corpus],
    argv: list[str] | None,
) -> int:
    """Runs a script: reads its options, fetches, writes OUT_DIR, and says what is in it.

    Args:
        parser: made by `corpus_parser`, with the script's own options.
        version: of the script; goes up whenever the same options and files give other text.
        build: says what files are wanted and how to read them.
        argv: the arguments; those of the process if None.

    Returns:
        The exit code.
    """
    options = parser.parse_args(argv)
    try:
        counts = _run(parser.prog.removesuffix(".py"), version, build, options)
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted; the same command goes on with what it has downloaded", file=sys.stderr)
        return 130
    except OSError as error:
        parser.error(f"{error.strerror}: {error.filename or options.out_dir}" if error.strerror else str(error))
    except ValueError as error:
        parser.error(str(error))
    if counts is None:
        print(f"{options.out_dir} holds this corpus already: nothing to do")
        return 0
    for split, count in counts.items():
        dropped = ", ".join(f"{number:,} {reason}" for reason, number in count["dropped"].items())
        print(f"{options.out_dir}/{split}: {count['pairs']:,} pairs{f'; dropped: {dropped}' if dropped else ''}")
    return 0


def _run(
    name: str, version: int, build: Callable[[argparse.Namespace, Downloads], Corpus], options: argparse.Namespace
) -> dict[str, Any] | None:
    """What was counted of each split; None if the corpus was there."""
    out_dir, langs = options.out_dir.resolve(), (options.src_lang, options.tgt_lang)
    arguments = {key: value for key, value in vars(options).items() if key not in _HOW}
    for lang in langs:
        if not _LANGUAGE.fullmatch(lang):
            raise ValueError(f"{lang!r} is no language; write its code, as in de, deu or pt-BR")
    if langs[0] == langs[1]:
        raise ValueError(f"--src_lang and --tgt_lang are both {langs[0]}; name two languages")
    for split in ("valid", "test"):
        if arguments.get(split, 1) < 1:
            raise ValueError(f"--{split} is {arguments[split]}; it must be at least 1")
    digests = _digests(options.sha256, options.sums)
    if holds_corpus(out_dir, name, version, arguments):
        return None
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    with _only_one(out_dir.parent / ".corpora.lock"):
        if holds_corpus(out_dir, name, version, arguments):  # by now
            return None
        downloads = Downloads(
            options.archives or out_dir.parent / "archives",
            mirror=options.mirror,
            digests=digests,
            offline=options.offline,
            timeout_s=options.timeout_s,
        )
        corpus = build(options, downloads)
        names = {pair.partition("=")[0] for pair in options.sha256}
        if unknown := names - downloads.names:
            raise ValueError(f"--sha256 names {', '.join(unknown)}; the files are {', '.join(sorted(downloads.names))}")
        downloads.fetch()
        partial = out_dir.parent / f".{out_dir.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed: the lock is ours
        with whole_folder(out_dir, partial) as folder:
            counts = write_splits(folder, langs, corpus.splits, corpus.hold_out)
            description = {
                "name": name,
                "origin": corpus.homepage,
                "licence": corpus.licence,
                "citation": corpus.citation,
                "version": version,
                "arguments": arguments,
                "made_by": {"seq2seq": _seq2seq_version(), "python": platform.python_version()},
                **corpus.details,
                "archives": downloads.record(),
                "splits": counts,
            }
            describe(folder, description, [f"{split}.{lang}" for split in counts for lang in langs])
        return counts


def _digests(pairs: list[str], sums: Path | None) -> dict[str, str]:
    """Sums by file name, from both options."""
    found = {}
    for number, line in enumerate(sums.read_text(encoding="utf-8").splitlines() if sums else [], 1):
        match line.split(maxsplit=1):
            case [digest, name]:
                found[name.removeprefix("*").strip()] = digest
            case [_]:
                raise ValueError(f"{sums} line {number} is not SUM NAME, as sha256sum writes it")
    for pair in pairs:
        name, _, digest = pair.partition("=")
        found[name] = digest
    for name, digest in found.items():
        if not re.fullmatch("[0-9a-fA-F]{64}", digest):
            raise ValueError(f"{digest!r} is no SHA-256 sum of {name}; it has 64 hexadecimal digits: NAME=SUM")
    return {name: f"sha256:{digest.lower()}" for name, digest in found.items()}


def _only_one(path: Path) -> FileLock:
    """A lock against scripts that write into each other's files; it ends with its process, however that ends."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
        lock.release()
    except Timeout:
        print(f"waiting for another data script that writes into {path.parent}", file=sys.stderr)
    return lock


def _seq2seq_version() -> str:
    try:
        return importlib.metadata.version("seq2seq")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
