"""Checkpoints that are there whole or not at all, and going on from them."""

import os
import time
import zipfile
from collections.abc import Mapping
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
        # Not `replaced_when_whole`: what a kill leaves behind here is large, and should be overwritten by the next.
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


def refuse_another_run(checkpoint: Path, *, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Compare the identities of the run that wrote a checkpoint and of the one that is to go on from it.

    Raises:
        ValueError: they differ; the message names the first difference.
    """
    texts = {"train": "other training text", "valid": "other validation text", "tokenizer": "another tokenizer"}
    for name, value in now.items():
        earlier = before.get(name, value)
        if earlier != value:
            is_hash = name.endswith("_sha256")
            what = texts[name.removesuffix("_sha256")] if is_hash else f"{name} {earlier}, not {value}"
            raise ValueError(
                f"{checkpoint} comes from {what}; go on with what it began with, or begin another run with --run_dir"
            )


def metrics_until(metrics: bytes, updates: int) -> bytes:
    """The rows of metrics.csv of the first `updates` updates: those after them come again."""
    head, *rows = metrics.splitlines(keepends=True)
    place = head.decode().strip().split(",").index("step")
    # A row that a kill cut short belongs to the last ones.
    kept = [row for row in rows if row.endswith(b"\n") and int(row.split(b",")[place]) < updates]
    return b"".join([head, *kept])
