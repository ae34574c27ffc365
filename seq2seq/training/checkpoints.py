"""Checkpoints that are there whole or not at all."""

import os
import time
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, to the disk, and renames: `kill -9` at any moment leaves the old file or the new one.

    Lightning's own goes through the system's temporary folder, and when that is another file system, copies.

    Attributes:
        seconds: spent on writing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write `checkpoint` to `path`."""
        start = time.perf_counter()
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        with partial.open("wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        self.seconds += time.perf_counter() - start


def newest_whole(folder: Path) -> Path | None:
    """The newest checkpoint in a folder whose contents have the checksums that were written with them."""
    by_age = sorted(folder.glob("*.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    return next((path for path in reversed(by_age) if is_whole(path)), None)


def is_whole(path: Path) -> bool:
    """Whether all of a checkpoint is there: PyTorch writes a ZIP archive with a CRC-32 of every tensor."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError, EOFError):
        return False
