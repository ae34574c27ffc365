"""What a training takes, estimated from a few steps, and when it ends."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq.audit.findings import Section
from seq2seq.batching import TokenBatchSampler
from seq2seq.doctor import steps
from seq2seq.doctor.duration import Epoch, end_of_training, what_lightning_refuses
from seq2seq.doctor.steps import evenly, plan
from seq2seq.doctor.training import examine_training
from seq2seq.models import ARCHITECTURES
from seq2seq.training.options import Configuration, read_configuration
from seq2seq.training.settings import by_name

Examine = Callable[..., Section]


@pytest.fixture
def examine(tmp_path: Path, toy_arguments: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> Examine:
    """examine(*options, architecture="lstm") -> the section on the toy training."""
    monkeypatch.setattr(steps, "_ROUNDS", 1)

    def examine(*options: str, architecture: str = "transformer") -> Section:
        _, *argv = toy_arguments(tmp_path / "run", *options, architecture=architecture)
        configuration: Configuration = read_configuration(argv)
        given = by_name(configuration.config.as_dict())
        section = examine_training(configuration.model, configuration.datamodule, given, load=0.0)
        assert not (tmp_path / "run").exists()
        return section

    return examine


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_steps_of_each_architecture_are_measured(examine: Examine, architecture: str) -> None:
    section = examine(architecture=architecture)
    figures = section.figures
    assert [finding for finding in section.findings if finding.level != "note"] == []
    assert figures["measured_steps"] == figures["measured_batches"] == 16
    assert figures["state_bytes"] > 4 * 4 * figures["parameters"], "weights, gradients, two averages, and counts"
    assert figures["state_bytes"] < 1.1 * 4 * 4 * figures["parameters"]
    assert figures["bytes_free_for_batches"] > figures["largest_batch_bytes"] > 0
    assert figures["epoch_s"] == pytest.approx(figures["epoch"]["num_batches"] * figures["batch_s"])
    assert figures["validation_s"] > 0
    assert figures["end"] == {"updates": 12, "limit": "trainer.max_steps 12", "validations": 1}
    assert figures["total_s"] == pytest.approx(12 * figures["batch_s"] + figures["validation_s"])


def test_several_processes_share_the_epoch(examine: Examine) -> None:
    alone, shared = (examine(f"--trainer.devices={devices}").figures["epoch"] for devices in (1, 4))
    assert shared["num_batches"] == alone["num_batches"] // 4
    assert shared["num_tgt_tokens"] == pytest.approx(alone["num_tgt_tokens"], rel=0.3)


@pytest.mark.parametrize(
    ("devices", "message"),
    [(40, "too few for 40 processes"), (14, "12 rows cannot be shared by 14 processes")],
)
def test_fewer_batches_or_validation_pairs_than_processes_are_an_error(
    examine: Examine, devices: int, message: str
) -> None:
    findings = examine(f"--trainer.devices={devices}").findings
    [error] = [finding.message for finding in findings if finding.level == "error"]
    assert message in error


def test_a_stream_has_steps_but_no_epoch(examine: Examine) -> None:
    figures = examine("--data.streaming=true", "--trainer.val_check_interval=4").figures
    assert figures["batch_s"] > 0
    assert "epoch_s" not in figures


def test_batches_that_fill_the_memory_are_measured(examine: Examine) -> None:
    assert examine("--data.max_tokens_per_batch=auto").figures["epoch"]["num_batches"] > 1


def test_a_batch_that_does_not_fit_is_a_warning(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "bytes_for_batches", lambda *_: 1e4)
    warnings = [finding.message for finding in examine().findings if finding.level == "warning"]
    assert len(warnings) == 1
    assert "it comes in pieces" in warnings[0]


# Which batches stand for all


def test_the_largest_batch_is_the_first_and_none_is_missing() -> None:
    lengths_N2 = torch.tensor([[3, 4], [9, 2], [5, 5], [8, 8], [1, 1]])
    sampler = TokenBatchSampler(lengths_N2, max_tokens_per_batch=16, shuffle=True, seed=1)
    planned = plan(lengths_N2, sampler)
    assert sorted(row for batch in planned for row in batch.rows) == [0, 1, 2, 3, 4]
    sizes = [len(b.rows) * (b.num_src + b.num_tgt) for b in planned]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(batch.num_tgt_tokens for batch in planned) == 20


def test_the_places_are_spread_evenly_whenever_it_ends() -> None:
    assert sorted(evenly(3, 16)) == [0, 1, 2]
    places = evenly(1600, 16)
    assert sorted(places) == list(range(50, 1600, 100))
    assert sorted(places[:2]) == [50, 850]
    assert sorted(places[:4]) == [50, 450, 850, 1250]


def test_what_lightning_would_refuse_at_the_first_batch_is_found() -> None:
    [message] = what_lightning_refuses(NOTHING | {"trainer.val_check_interval": 600}, EPOCH)
    assert message == (
        "trainer.val_check_interval is 600, but an epoch has 100 batches; lower it, or set "
        "trainer.check_val_every_n_epoch to null, and it counts over epochs"
    )
    over_epochs = {"trainer.val_check_interval": 600, "trainer.check_val_every_n_epoch": None}
    assert list(what_lightning_refuses(NOTHING | over_epochs, EPOCH)) == []
    [message] = what_lightning_refuses(NOTHING | {"trainer.limit_train_batches": 0.001}, EPOCH)
    assert message == "trainer.limit_train_batches 0.001 of the 100 batches of an epoch is none; raise it"


# When it ends

NOTHING: dict[str, Any] = {
    "trainer.accumulate_grad_batches": 1,
    "trainer.limit_train_batches": None,
    "trainer.max_steps": -1,
    "trainer.max_epochs": -1,
    "trainer.val_check_interval": None,
    "trainer.check_val_every_n_epoch": 1,
    "budget.updates": None,
    "budget.target_tokens": None,
    "budget.flops": None,
    "budget.minutes": None,
}
EPOCH = Epoch(num_batches=100, num_tgt_tokens=50_000, flops=10**12)


@pytest.mark.parametrize(
    ("settings", "end"),
    [
        ({}, None),
        ({"trainer.max_epochs": 3}, (300, "trainer.max_epochs 3", 3)),
        ({"trainer.max_epochs": 3, "trainer.accumulate_grad_batches": 8}, (39, "trainer.max_epochs 3", 3)),
        ({"trainer.max_epochs": 3, "trainer.limit_train_batches": 0.5}, (150, "trainer.max_epochs 3", 3)),
        ({"trainer.max_epochs": 3, "trainer.max_steps": 150}, (150, "trainer.max_steps 150", 2)),
        ({"budget.updates": 250, "trainer.max_epochs": 9}, (250, "budget.updates 250", 3)),
        ({"budget.target_tokens": 75_000}, (150, "budget.target_tokens 75000", 2)),
        ({"budget.flops": 5e12}, (500, "budget.flops 5000000000000.0", 5)),
        ({"budget.minutes": 1}, (120, "budget.minutes 1", 2)),
        (
            {"trainer.max_steps": 250, "trainer.val_check_interval": 60, "trainer.check_val_every_n_epoch": None},
            (250, "trainer.max_steps 250", 5),
        ),
        ({"trainer.max_epochs": 2, "trainer.val_check_interval": 0.25}, (200, "trainer.max_epochs 2", 8)),
        ({"trainer.max_epochs": 4, "trainer.check_val_every_n_epoch": 2}, (400, "trainer.max_epochs 4", 2)),
    ],
)
def test_the_first_limit_ends_the_training(settings: dict[str, Any], end: tuple[int, str, int] | None) -> None:
    assert end_of_training(NOTHING | settings, EPOCH, batch_s=0.5) == end
