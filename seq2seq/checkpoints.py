"""A run's checkpoints, read without Lightning: which are whole, which were kept, and the mean of their weights."""

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor


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


def fingerprint(path: Path) -> str:
    """The same for two files with the same contents, and quick: of the checksums that PyTorch writes with them."""
    with zipfile.ZipFile(path) as archive:
        checksums = [(Path(entry.filename).name, entry.CRC) for entry in archive.infolist()]
    return hashlib.sha256(repr(checksums).encode()).hexdigest()


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint holds; its tensors stay on the disk until they are used."""
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return content


def kept(folder: Path, which: Literal["best", "last"], count: int) -> list[Path]:
    """The `count` best or last checkpoints of a run, best or last first.

    Args:
        folder: of the checkpoints; `seq2seq fit` keeps as many as --keep_best and --keep_last say.

    Raises:
        FileNotFoundError: there is no checkpoint.
        ValueError: it keeps fewer.
    """
    newest = newest_whole(folder)
    if newest is None:
        raise FileNotFoundError(f"{folder} holds no checkpoints; give the folder of a run")
    # Lightning's callbacks note in each checkpoint which files there are, with the figure that each was kept for.
    monitors = {"best": ("valid_bleu", "valid_loss"), "last": ("step",)}[which]
    callbacks = read_checkpoint(newest)["callbacks"].values()
    states = [state for state in callbacks if "best_k_models" in state and state["monitor"] in monitors]
    scores = {Path(path).name: float(score) for state in states for path, score in state["best_k_models"].items()}
    if len(scores) < count:
        raise ValueError(
            f"{folder} has {len(scores)} of the {which} checkpoints, {count} are wanted; train with --keep_{which} "
            f"{count}"
        )
    names = sorted(scores, key=scores.__getitem__, reverse=states[0]["monitor"] != "valid_loss")
    return [folder / name for name in names[:count]]


def mean_weights(paths: Sequence[Path]) -> dict[str, Tensor]:
    """The mean of the weights of several checkpoints, summed in double precision (Vaswani et al. 2017, section 6.1)."""
    sums: dict[str, Tensor] = {}
    for path in paths:
        for name, tensor in read_checkpoint(path)["state_dict"].items():
            sums[name] = sums.get(name, torch.zeros(())) + tensor.double()
    return {name.removeprefix("model."): (total / len(paths)).float() for name, total in sums.items()}
