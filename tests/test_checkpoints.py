"""Checkpoints: the file under the name is always a whole one."""

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


def test_a_write_that_is_cut_off_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    io, path = AtomicCheckpointIO(), tmp_path / "last.ckpt"
    io.save_checkpoint({"step": 3}, path)

    def half(checkpoint: object, file: object) -> None:
        file.write(b"PK")  # type: ignore[attr-defined]
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="No space left"):
        io.save_checkpoint({"step": 4}, path)
    assert io.load_checkpoint(path)["step"] == 3
