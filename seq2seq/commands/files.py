"""Text in, always UTF-8, split at newlines only; names ending in .gz are compressed."""

import gzip
import queue
import threading
import zlib
from collections.abc import Callable, Iterator

BLOCK_BYTES = 1 << 16
QUEUED_BLOCKS = 64


def open_blocks(path: str) -> Callable[[int], bytes]:
    """The read(n) of a file, plain or .gz, that gives at most n bytes and none at the end."""
    file = gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb", buffering=0)  # noqa: SIM115
    return file.read


def read_lines(path: str) -> list[str]:
    """All lines of a file, without their newlines."""
    return [line for chunk in read_chunks(open_blocks(path), name=path, max_lines=1 << 16) for line in chunk]


def read_parallel(first: str, second: str) -> tuple[list[str], list[str]]:
    """The lines of two files that belong together line by line.

    Raises:
        ValueError: one is empty, or their numbers of lines differ.
    """
    sides = read_lines(first), read_lines(second)
    for path, lines in zip((first, second), sides, strict=True):
        if not lines:
            raise ValueError(f"{path} is empty; it must hold at least one line")
    if len(sides[0]) != len(sides[1]):
        raise ValueError(
            f"{first} has {len(sides[0])} lines and {second} has {len(sides[1])}; line n of one must belong to line n "
            "of the other"
        )
    return sides


def read_chunks(read: Callable[[int], bytes], *, name: str, max_lines: int) -> Iterator[list[str]]:
    """The lines of a stream as they arrive: all that have arrived since the last chunk, at most `max_lines`.

    A thread reads ahead, so a slow writer's first line is there at once and a fast writer's lines come in large
    chunks. A last line without a newline is a line.

    Args:
        read: gives at most n bytes as soon as there are some, none at the end.
        name: of the stream, for error messages.
        max_lines: bounds the memory, together with the length of the queue.

    Yields:
        At least one line, without newlines.

    Raises:
        ValueError: a line is not UTF-8; the lines before it have been given.
    """
    blocks: queue.Queue[bytes | Exception] = queue.Queue(maxsize=QUEUED_BLOCKS)

    def read_ahead() -> None:
        try:
            while block := read(BLOCK_BYTES):
                blocks.put(block)
            blocks.put(b"")
        except Exception as error:  # for the thread that waits at the other end
            blocks.put(error)

    # A daemon: nobody can wake a thread that waits for a terminal's next line.
    threading.Thread(target=read_ahead, daemon=True).start()

    lines: list[bytes] = []
    rest = b""
    at_end = False
    line_number = 1
    while lines or not at_end:
        # Wait for a block only when there is nothing to give.
        while not at_end and len(lines) < max_lines and not (lines and blocks.empty()):
            block = blocks.get()
            if isinstance(block, EOFError | gzip.BadGzipFile | zlib.error):
                raise ValueError(f"{name} is no complete gzip file ({block}); write it again")
            if isinstance(block, Exception):
                raise block
            *whole, rest = (rest + block).split(b"\n")
            lines += whole
            if not block:
                at_end = True
                lines += [rest] if rest else []
        chunk, lines = lines[:max_lines], lines[max_lines:]
        decoded = []
        for line in chunk:
            try:
                decoded.append(line.decode("utf-8").removesuffix("\r"))
            except UnicodeDecodeError as error:
                if decoded:
                    yield decoded
                raise ValueError(
                    f"{name}, line {line_number}: byte {error.start + 1} (0x{line[error.start]:02x}) is not UTF-8; "
                    "convert the text, for example with iconv -t UTF-8"
                ) from None
            line_number += 1
        if decoded:
            yield decoded
