"""Memory that does not suffice, and memory that is free and lies between what is not."""

import os
import sys
from pathlib import Path

import pytest
import torch

from seq2seq.device_memory import give_back, unless_out_of_memory, with_peak


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


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_peak_is_the_most_at_a_time_beyond_what_was_there() -> None:
    kept = torch.ones(10_000_000)  # 40 MB that nobody shall count
    before = [torch.ones(2500) for _ in range(8_000)]  # 80 MB in small pieces, free when the counting begins
    del before

    def compute() -> int:
        for num_pieces in (300, 600, 100):  # 100 kB each
            pieces = [torch.ones(25_000) for _ in range(num_pieces)]
            num_ones = sum(int(piece.sum()) for piece in pieces)
            del pieces
        return num_ones

    found, peak = with_peak(torch.device("cpu"), compute)
    assert (found, peak) == (2_500_000, pytest.approx(60e6, abs=3e6))
    assert with_peak(torch.device("cpu"), lambda: 1)[1] == pytest.approx(0, abs=1e6)
    assert bool(kept.all())


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
