"""Memory that does not suffice, and memory that is free and lies between what is not."""

import os
import sys
from pathlib import Path

import pytest
import torch

from seq2seq.device_memory import give_back, unless_out_of_memory


def test_another_error_is_none_of_the_memory() -> None:
    def compute() -> None:
        raise RuntimeError("sizes do not match")

    with pytest.raises(RuntimeError, match="^sizes do not match$"):
        unless_out_of_memory(compute)
    # More than any machine has: what torch itself says then.
    assert unless_out_of_memory(lambda: torch.empty(1 << 60, dtype=torch.int8)) is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and needs glibc")
def test_free_memory_between_what_lives_on_goes_back_to_the_system() -> None:
    blocks = [torch.ones(2500) for _ in range(20_000)]  # 200 MB in all
    kept = blocks[::100]
    del blocks
    before = resident_bytes()
    give_back(torch.device("cpu"))
    assert before - resident_bytes() > 150e6
    assert all(bool((block == 1).all()) for block in kept)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
