"""What a training may spend: each limit ends it, the learning rate follows, and nothing else than training counts."""

import csv
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from seq2seq import cli
from seq2seq.bundle import load_bundle
from seq2seq.training import budget as module
from seq2seq.training.budget import Budget, Meter

Arguments = Callable[..., list[str]]


def training_of(run: Path) -> dict[str, Any]:
    training: dict[str, Any] = load_bundle(run).config["training"]
    return training


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def column(run: Path, name: str) -> list[float]:
    return [float(row[name]) for row in rows(run) if row[name]]


@pytest.mark.parametrize("limit", ["target_tokens", "flops"])
@pytest.mark.parametrize("architecture", ["lstm", "attention", "transformer"])
def test_a_budget_ends_the_training_at_the_update_that_spends_it(
    tmp_path: Path, toy_arguments: Arguments, limit: str, architecture: str
) -> None:
    run, amount = tmp_path / "run", {"target_tokens": 1500, "flops": 2e8}[limit]
    options = [f"--budget.{limit}={amount}", "--trainer.max_steps=-1", "--model.optimization.schedule=cosine"]
    assert cli.main(toy_arguments(run, *options, architecture=architecture)) == 0
    spent = column(run, limit)
    assert spent[-3] < amount <= spent[-1] == pytest.approx(training_of(run)[limit], rel=1e-6)
    assert spent[-1] < amount * 1.2
    used = column(run, "budget_used")
    assert used[:-2] == pytest.approx([min(1.0, s / amount) for s in spent[:-2]], rel=1e-5)
    # The rate of an update is that of what the updates before it have spent.
    updates = [row for row in rows(run) if row["lr"]]
    peak, share = 0.02, float(updates[-2]["budget_used"])
    of_warmup = share * 4 / len(updates)
    cosine = math.cos(math.pi * (share - of_warmup) / (1 - of_warmup))
    assert float(updates[-1]["lr"]) == pytest.approx(peak / 2 * (1 + cosine), rel=1e-3)
    assert float(updates[-1]["lr"]) < 0.1 * peak
    assert len(column(run, "valid_bleu")) >= 1


def test_updates_are_the_trainers_steps(tmp_path: Path, toy_arguments: Arguments) -> None:
    run = tmp_path / "run"
    assert cli.main(toy_arguments(run, "--budget.updates=3")) == 0
    assert training_of(run)["updates"] == len(column(run, "lr")) == 3


def test_a_run_that_has_spent_its_budget_has_nothing_left(tmp_path: Path, toy_arguments: Arguments) -> None:
    argv = toy_arguments(tmp_path / "run", "--budget.target_tokens=600", "--trainer.max_steps=-1")
    assert cli.main(argv) == 0
    before = training_of(tmp_path / "run")
    assert cli.main([*argv, "--resume=auto"]) == 0
    after = training_of(tmp_path / "run")
    assert [after[name] for name in ("updates", "target_tokens", "flops")] == [
        before[name] for name in ("updates", "target_tokens", "flops")
    ]


def test_minutes_are_those_of_training_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock of our own: 2 s a batch, 100 s a validation, 50 s between epochs, 3 s for data between batches."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    meter = Meter(Budget(minutes=1.0))
    trainer: Any = SimpleNamespace(
        world_size=1, is_global_zero=True, global_step=1, log_every_n_steps=10**9, should_stop=False
    )
    batch: Any = SimpleNamespace(
        src_BS=SimpleNamespace(shape=(3, 5)), tgt_in_BT=SimpleNamespace(shape=(3, 4)), num_tgt_tokens=9
    )
    monkeypatch.setattr(meter, "_flops_of", lambda rows, src, tgt: rows * src * tgt, raising=False)
    stopped_at = None
    for number in range(1, 21):
        meter.on_train_batch_start(trainer, None, batch, 0)  # type: ignore[arg-type]
        clock.now += 2
        meter.on_before_optimizer_step(trainer)
        meter.on_train_batch_end(trainer, None, None)  # type: ignore[arg-type]
        if trainer.should_stop and stopped_at is None:
            stopped_at = number
        if number % 5 == 0:
            meter.on_validation_start(trainer, None)  # type: ignore[arg-type]
            clock.now += 100
            meter.on_validation_end(trainer, None)  # type: ignore[arg-type]
        clock.now += 3 if number % 5 else 50
    # Five batches and the four waits between them take 22 s.
    assert meter.seconds == 4 * 22
    assert stopped_at == 14  # 44 s until the second validation, then 2, 7, 12, 17 s
    assert meter.validation_seconds == 400
    assert meter.target_tokens == 20 * 9
    assert meter.flops == 20 * 60
    assert meter.minutes == pytest.approx(clock.now / 60)
    again = Meter(Budget(minutes=1.0))
    again.load_state_dict(meter.state_dict())
    assert again.share_used() == 1.0
    assert again.state_dict() == meter.state_dict()


@pytest.mark.parametrize("amount", ["0", "-5"])
def test_a_budget_of_nothing_is_refused(
    tmp_path: Path, toy_arguments: Arguments, capsys: pytest.CaptureFixture[str], amount: str
) -> None:
    assert cli.main(toy_arguments(tmp_path / "run", f"--budget.minutes={amount}")) == 2
    assert f"budget.minutes is {float(amount)}; it must be positive" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
