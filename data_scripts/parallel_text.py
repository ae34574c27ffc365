"""Sentence pairs as archives hold them: two files of lines, two columns of one, TED's tagged text, NIST's SGML.

A line ends at "\\n" alone, as everywhere in this project: U+2028, U+0085 or a lone "\\r" within a sentence would shift
all later sentences of its side against those of the other.
"""

import re
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Literal, NamedTuple

from download import Downloads, Source
from unpack import lines, unpack


class Flaw(NamedTuple):
    """What stands in place of a sentence that cannot be read."""

    reason: str


Markup = Literal["ted", "sgml"]
Pair = tuple[str | Flaw, str | Flaw]
Reader = Callable[[Path], Iterator[Pair]]
"""The pairs of a split, as often as asked for; the argument is an existing folder for what is unpacked on the way."""


class Side(NamedTuple):
    """Where the sentences of one language are."""

    copies: tuple[Source, ...]  # of one file; any will do
    member: str | None = None  # of an archive; None: the file itself is the text
    column: int | None = None  # of tab-separated text
    markup: Markup | None = None


NOT_UTF8, NO_COLUMN = Flaw("not UTF-8"), Flaw("too few columns")
_TED_TAG = re.compile(
    r"\s*</?(doc|url|keywords|speaker|talkid|title|description|reviewer|translator|transcript|content)\b"
)
_SEGMENT = re.compile(r"<seg\b[^>]*>(.*?)</seg>", re.DOTALL)
_ENTITY = re.compile(r"&(amp|lt|gt|quot|apos|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});")
_CHARACTERS = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


def reader(downloads: Downloads, parts: list[tuple[Side, Side]]) -> Reader:
    """Says what files are wanted, and returns what reads the pairs of all parts, one part after the other."""
    for part in parts:
        for side in part:
            downloads.want(*side.copies)

    def read(scratch: Path) -> Iterator[Pair]:
        for part in parts:
            src_path, tgt_path = (downloads.get(*side.copies).path for side in part)
            files = _unpacked(part, (src_path, tgt_path), scratch)
            try:
                yield from _pairs(part, files)
            finally:
                for file in set(files) - {src_path, tgt_path}:
                    file.unlink(missing_ok=True)

    return read


def _unpacked(part: tuple[Side, Side], paths: tuple[Path, Path], scratch: Path) -> tuple[Path, Path]:
    """The files of text of both sides."""
    wanted: dict[Path, dict[str, Path]] = {}
    files = []
    for side, path in zip(part, paths, strict=True):
        if side.member is None:
            files.append(path)
            continue
        members = wanted.setdefault(path, {})
        name = f"{len(files)}{Path(side.member).suffix}"
        files.append(members.setdefault(side.member, scratch / name))
    for path, members in wanted.items():
        unpack(path, members)
    return files[0], files[1]


def _pairs(part: tuple[Side, Side], files: tuple[Path, Path]) -> Iterator[Pair]:
    src_sentences, tgt_sentences = (_sentences(file, side) for file, side in zip(files, part, strict=True))
    for number, (src, tgt) in enumerate(zip_longest(src_sentences, tgt_sentences)):
        if src is None or tgt is None:
            counts = [number + (sentence is not None) for sentence in (src, tgt)]
            counts[0] += sum(1 for _ in src_sentences)
            counts[1] += sum(1 for _ in tgt_sentences)
            names = [side.member or side.copies[0].name for side in part]
            raise ValueError(
                f"{names[0]} has {counts[0]:,} sentences but {names[1]} has {counts[1]:,}: nobody knows which belong "
                "together; the files are not those that this script knows"
            )
        yield src, tgt


def _sentences(file: Path, side: Side) -> Iterator[str | Flaw]:
    if side.markup == "sgml":
        yield from _segments(file)
        return
    for line in lines(file):
        try:
            text = line.decode("utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            yield NOT_UTF8
            continue
        if side.markup == "ted":
            if not _TED_TAG.match(text):
                yield text.strip()
        elif side.column is None:
            yield text
        else:
            columns = text.split("\t")
            yield columns[side.column] if side.column < len(columns) else NO_COLUMN


def _segments(file: Path) -> Iterator[str | Flaw]:
    """What stands between <seg> and </seg>, on one line or several."""
    begun = ""
    for line in lines(file):
        begun += line.decode("utf-8", errors="replace")
        for segment in _SEGMENT.findall(begun):
            text = _ENTITY.sub(_character, segment).strip()
            yield NOT_UTF8 if "\ufffd" in text else text
        start = begun.rfind("<seg")
        begun = begun[start:] if start > begun.rfind("</seg>") else ""


def _character(entity: re.Match[str]) -> str:
    name = entity.group(1)
    if name in _CHARACTERS:
        return _CHARACTERS[name]
    code = int(name[2:], 16) if name[1] in "xX" else int(name[1:])
    is_character = 0x20 <= code < 0xD800 or 0xDFFF < code < 0x110000
    return chr(code) if is_character else entity.group()
