"""A training that diverges ends at once, and what it has saved is from before."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from seq2seq import cli
from seq2seq.bundle import load_bundle
from tests.run_folder import assert_equal, checkpoint, error_of, figures, weights

ROOT = Path(__file__).parent.parent
OPTIONS = ["--trainer.max_steps=40", "--trainer.val_check_interval=8", "--trainer.check_val_every_n_epoch=null"]
Arguments = Callable[..., list[str]]


def poison(update: int, factor: str) -> list[str]:
    callback = "--trainer.callbacks"
    return [f"{callback}+=tests.trainer_callbacks.Poison", f"{callback}.update={update}", f"{callback}.factor={factor}"]


def test_a_loss_that_is_no_number_ends_the_training_before_it_is_saved(
    tmp_path: Path, toy_arguments: Arguments, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT)
    run, whole = tmp_path / "run", tmp_path / "whole"
    seldom = "--trainer.log_every_n_steps=50"  # so that the validation is what finds it
    assert error_of(capsys, *toy_arguments(run, *OPTIONS, seldom, *poison(20, ".nan"))) == (
        "the training diverged: the loss was no number in update 20; the checkpoints are from before. Lower "
        "model.optimization.lr, raise model.optimization.warmup_steps or lower trainer.gradient_clip_val, and begin "
        "anew"
    )
    assert checkpoint(run, "last")["global_step"] == 16
    assert all(tensor.isfinite().all() for tensor in load_bundle(run).model.state_dict().values())

    assert cli.main(toy_arguments(whole, *OPTIONS)) == 0
    assert cli.main(toy_arguments(run, *OPTIONS, "--resume=auto")) == 0
    assert_equal(weights(run, "last"), weights(whole, "last"))


def test_the_update_is_named_when_the_figures_are_logged(
    tmp_path: Path, toy_arguments: Arguments, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT)
    run = tmp_path / "run"
    often = ["--trainer.log_every_n_steps=5", "--trainer.val_check_interval=40"]
    message = error_of(capsys, *toy_arguments(run, *OPTIONS, *often, *poison(7, ".nan")))
    assert message.startswith("the training diverged: the loss was no number in update 7; ")
    assert not (run / "model").exists() and not list(run.glob("checkpoints/*.ckpt"))


def test_a_loss_far_above_that_of_guessing_ends_the_training(
    tmp_path: Path, toy_arguments: Arguments, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT)
    run = tmp_path / "run"
    message = error_of(capsys, *toy_arguments(run, *OPTIONS, *poison(20, "100")))
    assert message.startswith("the training diverged: the loss is ")
    assert " after update 20, guessing has 5.7; " in message
    assert checkpoint(run, "last")["global_step"] == 16
    assert torch.tensor(figures(run)["valid_loss"]).max() < 6
