"""Streams of lines: at once, in order, bounded."""

import gzip
import itertools
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from seq2seq.commands.files import (
    QUEUED_BLOCKS,
    open_blocks,
    read_chunks,
    read_lines,
    read_parallel,
    read_raw_chunks,
)


def blocks(*parts: bytes) -> Callable[[int], bytes]:
    iterator: Iterator[bytes] = itertools.chain(parts, itertools.repeat(b""))
    return lambda _: next(iterator)


def lines_of(*parts: bytes) -> list[str]:
    return [line for chunk in read_chunks(blocks(*parts), name="text", max_lines=10) for line in chunk]


@pytest.mark.parametrize(
    ("parts", "lines"),
    [
        ((b"",), []),
        ((b"\n",), [""]),
        ((b"a\nb\n",), ["a", "b"]),
        ((b"a\n\nb",), ["a", "", "b"]),
        ((b"a\n", b"b\nc", b"d"), ["a", "b", "cd"]),
        ((b"\xc3", b"\xbcber\r", b"\n"), ["über"]),
        (("a\u2028b\x0cc\x85\n".encode(),), ["a\u2028b\x0cc\x85"]),
    ],
)
def test_lines_end_at_newlines_only_and_a_last_one_needs_none(parts: tuple[bytes, ...], lines: list[str]) -> None:
    assert lines_of(*parts) == lines


def test_a_line_comes_before_the_writer_goes_on() -> None:
    reading, writing = os.pipe()
    chunks = read_chunks(partial(os.read, reading), name="pipe", max_lines=10)
    os.write(writing, b"one\nand half of")
    assert next(chunks) == ["one"]
    os.write(writing, b" two\nthree\n")
    assert next(chunks) == ["and half of two", "three"]
    os.close(writing)
    assert list(chunks) == []
    os.close(reading)


def test_chunks_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("".join(f"{number}\n" for number in range(100_000)), encoding="utf-8")
    chunks = list(read_chunks(open_blocks(str(path)), name="text", max_lines=3000))
    assert [int(line) for chunk in chunks for line in chunk] == list(range(100_000))
    assert max(map(len, chunks)) == 3000
    assert min(map(len, chunks)) > 0


def test_chunks_of_a_whole_text_depend_on_the_text_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seq2seq.commands.files.MAX_CHUNK_BYTES", 100)
    text = b"".join(b"%d\n" % number for number in range(200)) + b"x" * 150 + b"\n" + b"y\n" * 30

    def chunks(block_bytes: int) -> list[list[bytes]]:
        parts = (text[start : start + block_bytes] for start in range(0, len(text), block_bytes))
        return list(read_raw_chunks(blocks(*parts), name="text", max_lines=20, wait=True))

    whole = chunks(len(text))
    assert chunks(1) == chunks(7) == whole
    assert b"".join(line + b"\n" for chunk in whole for line in chunk) == text
    assert max(map(len, whole)) == 20
    assert max(sum(map(len, chunk[:-1])) for chunk in whole) < 100


def test_a_line_that_is_no_text_is_refused_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seq2seq.commands.files.MAX_LINE_BYTES", 1000)
    with pytest.raises(
        ValueError, match=r"^text, line 2: more than 1,000 bytes; convert the text .*, or split the line$"
    ):
        lines_of(b"a\n", *[b"b" * 300] * 100)
    [[_, kept]] = read_raw_chunks(blocks(b"a\n", *[b"b" * 300] * 100), name="text", max_lines=10, wait=True)
    assert 1000 < len(kept) <= 1300


def test_no_more_is_read_ahead_than_the_queue_holds() -> None:
    num_blocks = 0

    def read(_: int) -> bytes:
        nonlocal num_blocks
        num_blocks += 1
        return b"line\n" * 1000

    assert len(next(read_chunks(read, name="endless", max_lines=1000))) == 1000
    time.sleep(0.1)
    assert num_blocks <= QUEUED_BLOCKS + 3


def test_bytes_that_are_not_utf8_stop_at_their_line_after_the_lines_before() -> None:
    chunks = read_chunks(blocks(b"a\nb\nc\xffd\ne\n"), name="x.txt", max_lines=10)
    assert next(chunks) == ["a", "b"]
    with pytest.raises(ValueError, match=r"^x\.txt, line 3: byte 2 \(0xff\) is not UTF-8; convert the text"):
        next(chunks)
    chunks = read_chunks(blocks(b"a\nb\n\xff\n"), name="x.txt", max_lines=1)  # also counted over chunks
    assert [next(chunks), next(chunks)] == [["a"], ["b"]]
    with pytest.raises(ValueError, match=r"^x\.txt, line 3: byte 1 "):
        next(chunks)


def test_compressed_files_are_read_and_broken_ones_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress("ä\nb\n".encode()))
    assert read_lines(str(path)) == ["ä", "b"]
    path.write_bytes(gzip.compress(bytes(range(10)) * 20)[:-9])
    with pytest.raises(ValueError, match=r"a\.gz is no complete gzip file .*; write it again$"):
        read_lines(str(path))
    path.write_bytes(b"plain text\n")
    with pytest.raises(ValueError, match=r"a\.gz is no complete gzip file"):
        read_lines(str(path))


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    Path(a).write_text("1\n2\n", encoding="utf-8")
    Path(b).write_text("1\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"a has 2 lines and .*b has 1; line n of one must belong to line n"):
        read_parallel(a, b)
    Path(b).write_text("", encoding="utf-8")
    with pytest.raises(ValueError, match=r"b is empty; it must hold at least one line$"):
        read_parallel(a, b)
    with pytest.raises(FileNotFoundError):
        read_parallel(a, b + "x")
