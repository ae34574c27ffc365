"""Where a run comes from: what its configuration does not say and a reader of its scores may ask."""

import datetime
import platform
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning as L
import torch

from seq2seq import __version__
from seq2seq.datamodule import TranslationDataModule


def origin(data: TranslationDataModule, trainer: L.Trainer) -> dict[str, Any]:
    """Machine, versions, and hashes of the data, once it is prepared."""
    device = trainer.strategy.root_device
    on_gpu = device.type == "cuda"
    return {
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "device": torch.cuda.get_device_name(device) if on_gpu else str(device.type),
        "num_devices": trainer.world_size,
        "num_threads": torch.get_num_threads(),
        "precision": str(trainer.precision),
        **versions(),
        "git_commit": _git_commit(),
        **data.hashes(),
    }


def versions() -> dict[str, str]:
    """Of the programs that a training depends on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": L.__version__,
        "seq2seq": __version__,
    }


def peak_memory_bytes(device: torch.device) -> int:
    """Most memory in use at a time by this process: on the GPU, or else the machine's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _cpu() -> str:
    """The processor's name, where the system says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} ({len(names)} threads)" if names else platform.machine()


def _git_commit() -> str | None:
    """Of the source this runs from, "-dirty" if it was changed since; None if that is no git repository."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():  # installed, maybe inside somebody else's repository
        return None
    try:
        found = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()
