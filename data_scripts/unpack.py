"""Members out of archives, and lines out of files.

Nothing is ever written under a name that an archive chooses: only the members asked for are read, and they go to paths
of our own. So an archive cannot reach out of its folder, neither by `..` nor through links; those are not followed.
"""

import bz2
import gzip
import lzma
import posixpath
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO

_CHUNK_BYTES = 2**18
_MAX_LINE_BYTES = 2**20
# Text shrinks to a third or a tenth; what grows more than a hundredfold is no text but a bomb. Small files are free.
_MAX_GROWTH, _FREE_BYTES = 100, 2**26
_OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, gzip.BadGzipFile)


def unpack(archive: Path, members: dict[str, Path]) -> None:
    """Copies members of a zip or tar file, compressed or not, to the given paths, in one pass.

    Raises:
        ValueError: a member is missing or no plain file, or the archive is broken or grows beyond all measure.
    """
    missing = dict(members)
    try:
        for name, file in _zip_files(archive, missing) if archive.suffix == ".zip" else _tar_files(archive, missing):
            with missing.pop(name).open("wb") as target:
                for chunk in _limited(iter(partial(file.read, _CHUNK_BYTES), b""), archive):
                    target.write(chunk)
            if not missing:
                return
    except _BROKEN as error:
        raise ValueError(f"{archive} is broken ({error}); delete it, and it will be downloaded again") from None
    raise ValueError(f"{archive} holds no {' and no '.join(missing)}; its layout is another than expected")


def _zip_files(archive: Path, wanted: dict[str, Path]) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            name = posixpath.normpath(info.filename)
            if name in wanted:
                if info.is_dir() or stat.S_ISLNK(info.external_attr >> 16) or info.flag_bits & 1:
                    raise ValueError(f"{name} in {archive} is a folder, a link or encrypted, not a plain file")
                with opened.open(info) as file:
                    yield name, file


def _tar_files(archive: Path, wanted: dict[str, Path]) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(archive, "r|*") as opened:  # a stream: members are passed once, in their order
        for info in opened:
            name = posixpath.normpath(info.name)
            if name in wanted:
                file = opened.extractfile(info) if info.isreg() else None
                if file is None:
                    raise ValueError(f"{name} in {archive} is a folder, a link or a device, not a plain file")
                yield name, file


def lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, unpacked if its name ends in .gz, .bz2 or .xz; they end at newlines alone.

    Raises:
        ValueError: the file is broken, grows beyond all measure, or has a line of more than a MiB.
    """
    try:
        with _OPENERS.get(path.suffix, open)(path, "rb") as file:  # type: ignore[operator]
            for line in _limited(iter(partial(file.readline, _MAX_LINE_BYTES), b""), path):
                if len(line) == _MAX_LINE_BYTES:
                    raise ValueError(f"{path} has a line of more than {_MAX_LINE_BYTES:,} bytes: this is no such text")
                yield line
    except _BROKEN as error:
        raise ValueError(f"{path} is broken ({error}); delete it, and it will be downloaded again") from None


def _limited(chunks: Iterator[bytes], path: Path) -> Iterator[bytes]:
    """The chunks that come out of a file, as long as it is credible that they do."""
    num_bytes, most = 0, max(_FREE_BYTES, _MAX_GROWTH * path.stat().st_size)
    for chunk in chunks:
        num_bytes += len(chunk)
        if num_bytes > most:
            raise ValueError(f"{path} unpacks to more than {most:,} bytes, {_MAX_GROWTH} times its own: refused")
        yield chunk
