"""What tests read in the folder of a run, and what a command that fails says."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq import cli
from seq2seq.training.sharding import IS_POSSIBLE

Tensors = dict[str, torch.Tensor]
NEEDS_FSDP = pytest.mark.skipif(not IS_POSSIBLE, reason="fsdp needs torch 2.8")


def checkpoint(run: Path, name: str = "best") -> dict[str, Any]:
    return torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)


def weights(run: Path, name: str = "best") -> Tensors:
    state = checkpoint(run, name)["state_dict"]
    return {key.removeprefix("model."): tensor for key, tensor in state.items()}


def assert_equal(some: Tensors, others: Tensors, atol: float = 0) -> None:
    torch.testing.assert_close(some, others, rtol=0, atol=atol)


def figures(run: Path) -> dict[str, list[float]]:
    """metrics.csv by column, without the empty places."""
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows if row[name]] for name in rows[0]}


def error_of(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """The one line of a command that fails with exit code 2."""
    capsys.readouterr()
    assert cli.main(list(argv)) == 2
    [line] = [line for line in capsys.readouterr().err.split("\n") if line.startswith("seq2seq: error: ")]
    return line.removeprefix("seq2seq: error: ")
