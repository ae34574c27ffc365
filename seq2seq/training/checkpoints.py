"""Writing checkpoints whole or not at all, and going on from them."""

import os
import time
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
        """Write `checkpoint` to `path`.

        Raises:
            ValueError: it cannot be written, for example because the disk is full.
        """
        start = time.perf_counter()
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not `replaced_when_whole`: what a kill leaves behind here is large, and should be overwritten by the next.
        partial = path.with_name(path.name + ".partial")
        try:
            with partial.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException as error:
            partial.unlink(missing_ok=True)  # on a full disk it would stand in the way of everything else
            # Torch answers a failed write by another error, of its own.
            for cause in (error, error.__context__):
                if isinstance(cause, OSError):
                    raise ValueError(
                        f"cannot write the checkpoint {path} ({cause.strerror}); the one before is whole: make room, "
                        "and go on with --resume auto"
                    ) from error
            raise
        self.seconds += time.perf_counter() - start


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


def metrics_until(metrics: bytes, updates: int, *, is_within: bool) -> bytes:
    """The rows of metrics.csv until a checkpoint: those after it come again.

    Args:
        metrics: the file.
        updates: done when the checkpoint was written.
        is_within: whether some batches of the next update had been accumulated; then a validation counts to that one.
    """
    head, *rows = metrics.splitlines(keepends=True)
    names = head.decode().strip().split(",")
    step, score = names.index("step"), names.index("valid_loss") if "valid_loss" in names else None

    def is_earlier(row: list[bytes]) -> bool:
        is_validation = score is not None and row[score].strip() != b""
        return int(row[step]) < updates + (is_within and is_validation)

    # A row that a kill cut short belongs to the last ones.
    return b"".join([head, *(row for row in rows if row.endswith(b"\n") and is_earlier(row.split(b",")))])
