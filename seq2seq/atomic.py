"""Files that are there whole or not at all."""

import gzip
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast


@contextmanager
def replaced_when_whole(path: str | Path) -> Iterator[BinaryIO]:
    """A binary file to write which takes its name only when the block ends without an exception.

    Args:
        path: the name; what it named before stays until the end. Ending in .gz, the content is compressed.

    Raises:
        FileNotFoundError: there is no folder to put it in.
    """
    path = Path(path).resolve()
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path.name}: there is no folder {path.parent}")
    if path.exists() and not path.is_file():  # /dev/null, or a named pipe
        with open(path, "wb") as special:
            yield special
        return
    # A new file, not tempfile's: it gets the permissions that the user's umask gives every file.
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(partial, "wb") as raw:
            if path.suffix == ".gz":
                with gzip.GzipFile(path.stem, "wb", fileobj=raw, mtime=0) as compressed:
                    yield cast(BinaryIO, compressed)
            else:
                yield raw
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_whole(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with replaced_when_whole(path) as file:
        file.write(text.encode("utf-8"))
