"""Checkpoints: the file under the name is always a whole one."""

import resource
from pathlib import Path

import pytest
import torch

from seq2seq.training.checkpoints import AtomicCheckpointIO


def test_what_was_written_is_read(tmp_path: Path) -> None:
    io = AtomicCheckpointIO()
    path = tmp_path / "new" / "last.ckpt"
    io.save_checkpoint({"weights": torch.arange(5), "step": 3}, path)
    found = io.load_checkpoint(path)
    assert found["step"] == 3 and found["weights"].tolist() == [0, 1, 2, 3, 4]
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]
    assert io.seconds > 0


@pytest.mark.parametrize("size", [30_000, 3_000_000])
def test_a_write_that_is_cut_off_leaves_the_old_checkpoint(tmp_path: Path, size: int) -> None:
    io, path = AtomicCheckpointIO(), tmp_path / "last.ckpt"
    io.save_checkpoint({"step": 3}, path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, limits[1]))  # as on a full disk, the rest is not written
    try:
        with pytest.raises(
            ValueError, match=r"cannot write the checkpoint .*last\.ckpt \(File too large\); .* --resume auto$"
        ):
            io.save_checkpoint({"step": 4, "weights": torch.zeros(size // 4)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert io.load_checkpoint(path)["step"] == 3
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]
