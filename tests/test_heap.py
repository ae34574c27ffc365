"""A training on a CPU gives free memory back, but not after each batch."""

from collections.abc import Callable
from pathlib import Path

import pytest

from seq2seq import cli
from seq2seq.training import heap


def test_fit_gives_memory_back_every_so_many_batches(
    tmp_path: Path, toy_arguments: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    given_back = []
    monkeypatch.setattr(heap, "give_back", lambda device: given_back.append(device.type))
    monkeypatch.setattr(heap, "_BATCHES_BETWEEN", 5)
    options = "--trainer.max_steps=12", "--trainer.limit_val_batches=0", "--data.tests=null"
    assert cli.main(toy_arguments(tmp_path / "run", *options)) == 0
    assert given_back == ["cpu"] * 3  # of 12 batches
