"""Text in, always UTF-8, split at newlines only; names ending in .gz are compressed."""

import gzip
import queue
import threading
import zlib
from collections.abc import Callable, Iterator

BLOCK_BYTES = 1 << 16
QUEUED_BLOCKS = 64
MAX_LINE_BYTES = 1 << 20  # what is longer is no line of text
MAX_CHUNK_BYTES = 1 << 23


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
    """The lines of a stream as they arrive, as text: see `read_raw_chunks`.

    Yields:
        At least one line, without newlines.

    Raises:
        ValueError: a line is not UTF-8 or too long; the lines before it have been given.
    """
    line_number = 1
    for chunk in read_raw_chunks(read, name=name, max_lines=max_lines):
        decoded = []
        for line in chunk:
            try:
                decoded.append(decode_line(line))
            except ValueError as error:
                if decoded:
                    yield decoded
                where = f"{name}, line {line_number}"
                raise ValueError(f"{where}: {error}; convert the text (iconv -t UTF-8), or split the line") from None
            line_number += 1
        yield decoded


def decode_line(line: bytes) -> str:
    """The text of a line; ValueError if it has none."""
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(f"more than {MAX_LINE_BYTES:,} bytes")
    try:
        return line.decode("utf-8").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start + 1} (0x{line[error.start]:02x}) is not UTF-8") from None


def read_raw_chunks(
    read: Callable[[int], bytes], *, name: str, max_lines: int, wait: bool = False
) -> Iterator[list[bytes]]:
    """The lines of a stream as they arrive: all that have arrived since the last chunk, within two bounds.

    A thread reads ahead, so a slow writer's first line is there at once and a fast writer's lines come in large
    chunks. A last line without a newline is a line.

    Args:
        read: gives at most n bytes as soon as there are some, none at the end.
        name: of the stream, for error messages.
        max_lines: bounds the memory, together with MAX_CHUNK_BYTES and the length of the queue.
        wait: for more lines until a bound is reached: then the chunks depend on the text alone.

    Yields:
        At least one line, without newlines. Of a line with more than MAX_LINE_BYTES, at least one byte more is there.

    Raises:
        ValueError: it is no complete gzip file.
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

    chunk: list[bytes] = []
    num_bytes = 0
    rest = b""
    at_end = False
    while not at_end:
        if chunk and not wait and blocks.empty():  # wait for a block only when there is nothing to give
            yield chunk
            chunk, num_bytes = [], 0
        block = blocks.get()
        if isinstance(block, EOFError | gzip.BadGzipFile | zlib.error):
            raise ValueError(f"{name} is no complete gzip file ({block}); write it again")
        if isinstance(block, Exception):
            raise block
        *lines, rest = (rest + block).split(b"\n")
        rest = rest[: MAX_LINE_BYTES + 1]  # what follows in this line is not kept
        if not block:
            at_end = True
            lines += [rest] if rest else []
        for line in lines:
            chunk.append(line)
            num_bytes += len(line)
            if len(chunk) == max_lines or num_bytes >= MAX_CHUNK_BYTES:
                yield chunk
                chunk, num_bytes = [], 0
    if chunk:
        yield chunk
