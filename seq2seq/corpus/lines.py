"""Pairs out of files of lines: two texts, TSV, JSONL, each perhaps gzipped."""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice, zip_longest
from pathlib import Path


def lines_of(path: Path, start: int, errors: str) -> Iterator[str]:
    """The lines of a file from line `start` (from 0) on, without their ends; `errors` as of `bytes.decode`."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        number, line = 0, b""
        try:
            for number, line in enumerate(islice(file, start, None), start + 1):
                text = line.decode("utf-8", errors)
                if number == 1:
                    text = text.removeprefix("\ufeff")  # some editors begin a file with a byte order mark
                yield text.removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            byte = f"byte 0x{line[error.start]:02x}"
            raise ValueError(
                f"{path} line {number}: {byte} is not UTF-8; convert the file, for example with iconv"
            ) from None
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"{path} is no complete gzip file ({error}); write it again") from None


def text_pairs(files: list[Path], lines: list[Iterator[str]], start: int) -> Iterator[tuple[str, str]]:
    """The lines of two files beside each other. ValueError: one has more, with both counts."""
    (src_file, tgt_file), (src_lines, tgt_lines) = files, lines
    for number, (src, tgt) in enumerate(zip_longest(src_lines, tgt_lines), start + 1):
        if src is None or tgt is None:
            src_count, tgt_count = (
                number - 1 if line is None else number + sum(1 for _ in rest)
                for line, rest in ((src, src_lines), (tgt, tgt_lines))
            )
            raise ValueError(
                f"{src_file} has {src_count} lines but {tgt_file} has {tgt_count}; the translation of each line must "
                "stand on the same line of the other file"
            )
        yield src, tgt


def tsv_pairs(path: str, lines: Iterator[str], start: int) -> Iterator[tuple[str, str]]:
    """Both columns of each line."""
    for number, line in enumerate(lines, start + 1):
        columns = line.split("\t")
        if len(columns) != 2:
            raise ValueError(f"{path} line {number} has {len(columns)} columns; each line must be SOURCE TAB TARGET")
        yield columns[0], columns[1]


def jsonl_pairs(path: str, lines: Iterator[str], src_lang: str, tgt_lang: str, start: int) -> Iterator[tuple[str, str]]:
    """The values of both languages in the object on each line."""
    for number, line in enumerate(lines, start + 1):
        where = f"{path} line {number}"
        try:
            pair = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{where} is not JSON ({error.msg}); each line must be one object") from None
        if not isinstance(pair, dict):
            raise ValueError(f"{where} is no JSON object; write {{{src_lang!r}: ..., {tgt_lang!r}: ...}}")
        pair = pair["translation"] if isinstance(pair.get("translation"), dict) else pair
        check_langs(where, pair, src_lang, tgt_lang)
        yield sentence_of(pair[src_lang], where), sentence_of(pair[tgt_lang], where)


def check_langs(where: str, there: Iterable[str], src_lang: str, tgt_lang: str) -> None:
    """ValueError for a language that is not among the keys or columns `there`."""
    for lang in (src_lang, tgt_lang):
        if lang not in there:
            raise ValueError(
                f"{where} has no {lang!r}; choose src_lang and tgt_lang from {', '.join(there) or 'nothing'}"
            )


def sentence_of(text: object, where: str) -> str:
    """A value as the one line that a sentence is; ValueError if it is no text."""
    if not isinstance(text, str):
        raise ValueError(f"{where} holds {text!r} in place of a sentence; write text, or leave the pair out")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"{where} holds half of a UTF-16 pair (\\ud800 to \\udfff), which is no text; repair the file")
    return text.replace("\r\n", " ").replace("\n", " ")
