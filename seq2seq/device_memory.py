"""The memory of a device: telling that it does not suffice, keeping what is free, giving it back, and how much it took.

On a CPU torch takes every tensor from the C library's heap, and gives it back there. glibc returns large blocks to the
system at once, and each step faults them in again: a training step takes 1.4 times as long, a search 1.1 times. If it
keeps them all, they are cut up, by batches that all have different sizes, and by what lives on between them, until the
process has three times the memory that any step needs. So it keeps them, and gives all back from time to time.
"""

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

Found = TypeVar("Found")

# What torch, oneDNN, cuBLAS and the C++ library say when there is none left.
_NO_MEMORY = ("can't allocate memory", "could not create a primitive", "CUBLAS_STATUS_ALLOC_FAILED", "std::bad_alloc")


def unless_out_of_memory(compute: Callable[[], Found]) -> Found | None:
    """What `compute` returns, or None if the memory does not suffice; then nothing that it made is held any more."""
    try:
        return compute()
    except (torch.OutOfMemoryError, MemoryError):
        return None
    except RuntimeError as error:
        if not any(words in str(error) for words in _NO_MEMORY):
            raise
        return None


def keep_memory() -> None:
    """Let glibc keep what is freed, for all threads together. Other C libraries have no such call."""
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    m_mmap_max, m_trim_threshold, m_arena_max = -4, -1, -8  # names and numbers of malloc.h
    mallopt(m_mmap_max, 0)
    mallopt(m_trim_threshold, 2**31 - 1)
    mallopt(m_arena_max, 1)  # the other threads' heaps would give back all the same


def give_back(device: torch.device) -> None:
    """Return freed memory to the system: it lies in pieces that fit what was tried, not what comes."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        return
    try:
        malloc_trim = ctypes.CDLL("libc.so.6").malloc_trim
    except (OSError, AttributeError):  # not glibc
        return
    malloc_trim(0)


def with_peak(device: torch.device, compute: Callable[[], Found]) -> tuple[Found, int | None]:
    """What `compute` returns, and the most bytes that it took at a time beyond what was in use before.

    On a GPU those of tensors. On a CPU those of the process that are in memory, exact to some 100 kB; for what is free
    is given back first, or it would be filled again unseen. None where nobody counts them: that takes Linux.
    """
    give_back(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        found = compute()
        return found, torch.cuda.max_memory_allocated(device) - before
    own = Path("/proc/self")
    try:
        (own / "clear_refs").write_text("5", encoding="ascii")  # the peak is what there is: proc_pid_clear_refs(5)
    except OSError:
        return compute(), None
    before = _peak_resident(own)
    found = compute()
    return found, max(0, _peak_resident(own) - before)


def _peak_resident(own: Path) -> int:
    [line] = [one for one in (own / "status").read_text(encoding="ascii").splitlines() if one.startswith("VmHWM")]
    return int(line.split()[1]) * 1024
