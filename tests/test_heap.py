"""Memory that is free and lies between what is not."""

import os
import sys
from pathlib import Path

import pytest
import torch

from seq2seq.training.heap import give_back


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and needs glibc")
def test_free_memory_between_what_lives_on_goes_back_to_the_system() -> None:
    blocks = [torch.ones(2500) for _ in range(20_000)]  # 200 MB in all
    kept = blocks[::100]
    del blocks
    before = resident_bytes()
    give_back()
    assert before - resident_bytes() > 150e6
    assert all(bool((block == 1).all()) for block in kept)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
