"""Telling that the memory of a device does not suffice, and giving back what is free."""

import ctypes
from collections.abc import Callable
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
