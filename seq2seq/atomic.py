"""Files and folders that are there whole or not at all."""

import gzip
import os
import shutil
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


@contextmanager
def folder_replaced_when_whole(folder: Path) -> Iterator[Path]:
    """An empty folder to fill which takes the name `folder` only when the block ends without an exception.

    Args:
        folder: the name; what it holds before stays until the end and is then deleted.
    """
    new, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    shutil.rmtree(new, ignore_errors=True)  # left by a process that was killed
    try:
        new.mkdir(parents=True)
        yield new
        for path in new.iterdir():
            _flush_to_disk(path)
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            os.rename(folder, old)
        os.rename(new, folder)
    except BaseException:
        if old.exists() and not folder.exists():
            os.rename(old, folder)
        shutil.rmtree(new, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _flush_to_disk(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
