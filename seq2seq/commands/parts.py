"""The file in which one process of a translation job keeps what it has done.

A line of JSON says what is translated how; then, for each chunk of the text, come a line of JSON and the translations;
then a line that says that the process has ended. Each is on the disk before the next is begun. What a kill or a power
cut has left half written is at the end, and does not count.
"""

import contextlib
import fcntl
import json
import os
import time
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

Record = Mapping[str, str | int | float | None]


class Chunk(NamedTuple):
    """Where the translations of a chunk stand."""

    path: Path
    start: int
    num_bytes: int
    num_lines: int  # of the text
    bad_lines: list[int]  # their numbers, from 0


class Part(NamedTuple):
    """What a process has written."""

    record: Record | None
    chunks: dict[int, Chunk]
    num_bytes: int  # up to the end of the last chunk
    num_chunks: int | None  # of the whole text, all processes' together; None until this one has ended


def read_part(path: Path) -> Part:
    """What is whole of a part."""
    record: Record | None = None
    chunks: dict[int, Chunk] = {}
    num_bytes = 0
    num_chunks = None
    with open(path, "rb") as file:
        for line in iter(file.readline, b""):
            try:
                entry = json.loads(line) if line.endswith(b"\n") else {}
            except ValueError:  # a power cut may leave zeros
                break
            if record is None:
                record = entry
            elif "chunk" in entry:
                chunk = Chunk(path, file.tell(), entry["bytes"], entry["lines"], entry["bad_lines"])
                text = file.read(chunk.num_bytes)
                if len(text) < chunk.num_bytes or zlib.crc32(text) != entry["crc32"]:
                    break
                chunks[entry["chunk"]] = chunk
            else:
                num_chunks = entry.get("num_chunks")
                break
            num_bytes = file.tell()
    return Part(record, chunks, num_bytes, num_chunks)


class PartFile:
    """A part that this process writes and no other.

    Args:
        path: a new one, or what an earlier process has left.

    Raises:
        ValueError: another process is writing it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_kept = path.exists()
        self._file = open(path, "a+b")  # noqa: SIM115 - closed by `close`
        for _ in range(20):
            if _try_lock(self._file):
                return
            time.sleep(0.1)  # perhaps another has just looked whether this one is written
        self._file.close()
        raise ValueError(f"another process is writing {path}; let it end, or choose another --output")

    def begin(self, part: Part, record: Record) -> None:
        """Cut off what is not whole, and say what is translated if nothing is yet."""
        self._is_kept = bool(part.chunks)
        self._file.truncate(part.num_bytes if part.chunks else 0)
        if not part.chunks:
            self._append(json.dumps(record, ensure_ascii=False).encode() + b"\n")
            flush_folder(self._path.parent)

    def add(self, number: int, num_lines: int, texts: Iterable[str], bad_lines: list[int]) -> None:
        """Keep the translations of a chunk, each of which gets a newline."""
        content = "".join(text + "\n" for text in texts).encode("utf-8")
        entry = {"chunk": number, "lines": num_lines, "bad_lines": bad_lines}
        entry |= {"bytes": len(content), "crc32": zlib.crc32(content)}
        self._append(json.dumps(entry).encode() + b"\n" + content)
        self._is_kept = True

    def end(self, num_chunks: int) -> None:
        """Say that nothing more will come."""
        self._append(json.dumps({"num_chunks": num_chunks}).encode() + b"\n")
        self._is_kept = True

    def close(self) -> None:
        """Let others have it; without a chunk in it, it is removed."""
        if not self._is_kept:
            self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # what a full disk had no room for; the error has been raised
            self._file.close()

    def _append(self, content: bytes) -> None:
        try:
            self._file.write(content)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from None


def is_written(path: Path) -> bool:
    """Whether a process has this part open, as far as the file system tells."""
    try:
        with open(path, "rb") as file:
            return not _try_lock(file)
    except FileNotFoundError:
        return False


def flush_folder(folder: Path) -> None:
    """Let the names in a folder outlive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _try_lock(file: BinaryIO) -> bool:
    """Whether nobody else has it; True also where the file system knows no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True
