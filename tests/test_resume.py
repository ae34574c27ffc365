"""How a run ends before its time, and how it goes on as if nothing had happened."""

import functools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from seq2seq import cli
from seq2seq.bundle import load_bundle
from tests import forked
from tests.run_folder import NEEDS_FSDP, assert_equal, checkpoint, error_of, figures, weights
from tests.waiting import until

ROOT = Path(__file__).parent.parent
Arguments = Callable[..., list[str]]
Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize("how", ["told twice", "impatient"])
def test_going_on_gives_the_weights_of_a_run_that_never_stopped(
    tmp_path: Path, toy_arguments: Arguments, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.syspath_prepend(ROOT)
    options = ["--trainer.max_steps=30", "--trainer.val_check_interval=7", "--model.dropout=0.3"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert cli.main(toy_arguments(whole, *options)) == 0

    handler = signal.getsignal(signal.SIGINT)
    try:
        interrupting = ["--trainer.callbacks+=tests.trainer_callbacks.Interrupt", "--trainer.callbacks.update=17"]
        interrupting += [f"--trainer.callbacks.name={'SIGINT' if how == 'impatient' else 'SIGTERM'}"]
        assert cli.main(toy_arguments(parts, *options, *interrupting)) == (130 if how == "impatient" else 143)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert checkpoint(parts, "last")["global_step"] == (17 if how == "impatient" else 18)
    earlier = figures(parts)["train_loss"]

    assert cli.main(toy_arguments(parts, *options, "--resume=auto")) == 0
    assert checkpoint(parts, "last")["global_step"] == 30
    assert_equal(weights(parts, "last"), weights(whole, "last"))
    assert_equal(weights(parts), weights(whole))
    assert figures(parts)["train_loss"][: len(earlier)] == earlier, "the figures before are kept"
    for name in ("step", "train_loss", "valid_bleu", "target_tokens"):
        assert figures(parts)[name] == figures(whole)[name]


def test_a_killed_run_goes_on_from_its_last_checkpoint_as_if_nothing_had_happened(
    tmp_path: Path, toy_arguments: Arguments
) -> None:
    options = ["--budget.target_tokens=5000", "--trainer.val_check_interval=5", "--model.dropout=0.3"]
    options.append("--trainer.check_val_every_n_epoch=null")
    cosine = ["--model.optimization.schedule=cosine", "--trainer.max_steps=-1"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert cli.main(toy_arguments(whole, *options, *cosine)) == 0
    command = [sys.executable, "-m", "seq2seq.cli", *toy_arguments(parts, *options, *cosine)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in iter(process.stderr.readline, ""):
            if "update 20" in line:
                process.kill()  # while it writes its checkpoint, or some updates later
                break
    assert process.returncode == -signal.SIGKILL
    (parts / "metrics.csv").write_bytes((parts / "metrics.csv").read_bytes() + b"1,2")  # a row that was cut short
    assert cli.main(toy_arguments(parts, *options, *cosine, "--resume=auto")) == 0
    assert_equal(weights(parts), weights(whole))
    assert_equal(weights(parts, "last"), weights(whole, "last"))
    timed = {"tokens_per_s", "train_minutes"}
    found, expected = figures(parts), figures(whole)
    assert {name: found[name] for name in found.keys() - timed} == {
        name: expected[name] for name in found.keys() - timed
    }
    assert (
        load_bundle(parts).config["training"]["target_tokens"] == load_bundle(whole).config["training"]["target_tokens"]
    )


@pytest.mark.parametrize(
    ("options", "where", "update"),
    [
        (["--trainer.accumulate_grad_batches=3"], "update", 8),
        (["--trainer.accumulate_grad_batches=3", "--trainer.val_check_interval=4"], "update", 7),  # within a window
        (["--model.d_model=32", "--model.d_ff=64"], "update", 8),  # wide enough for products through oneDNN
        (["--data.num_workers=2"], "epoch", 8),
        (["--ema_decay=0.8", "--patience=3"], "validation", 9),
        (["--trainer.devices=2", "--trainer.strategy=ddp"], "validation", 9),
        (["--trainer.devices=2", "--trainer.strategy=ddp", "--data.num_workers=2"], "update", 8),
        pytest.param(["--trainer.devices=2", "--trainer.strategy=fsdp"], "validation", 9, marks=NEEDS_FSDP),
        (
            [
                "--trainer.devices=2",
                "--trainer.strategy=ddp",
                "--trainer.accumulate_grad_batches=3",
                "--trainer.val_check_interval=4",
                "--trainer.precision=64-true",
            ],
            "update",
            3,
        ),
    ],
)
def test_wherever_a_run_is_killed_it_ends_with_the_same_weights(
    tmp_path: Path, toy_arguments: Arguments, options: list[str], where: str, update: int
) -> None:
    options = ["--trainer.max_steps=20", "--trainer.val_check_interval=3", "--model.dropout=0.3", *options]
    kill = ["--trainer.callbacks+=tests.trainer_callbacks.Kill", f"--trainer.callbacks.where={where}"]
    kill.append(f"--trainer.callbacks.update={update}")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    num_ranks = 2 if "--trainer.devices=2" in options else 1

    def train(run: Path, *more: str) -> int:
        return forked.run(toy_arguments(run, *options, *more), variables=forked.ranks(num_ranks))

    assert train(whole) == 0
    assert train(parts, *kill) == -signal.SIGKILL
    assert 0 < checkpoint(parts, "last")["global_step"] < 20
    was_within = "window" in checkpoint(parts, "last")
    assert was_within == ("--trainer.val_check_interval=4" in options)
    assert train(parts, "--resume=auto") == 0
    assert checkpoint(parts, "last")["global_step"] == checkpoint(whole, "last")["global_step"]
    # What several ranks had accumulated is saved as one sum: it is added up in another order.
    is_sum = was_within and num_ranks > 1
    assert_equal(weights(parts, "last"), weights(whole, "last"), atol=1e-6 * is_sum)
    assert_equal(weights(parts), weights(whole), atol=1e-6 * is_sum)
    for name in ("train_loss", "valid_bleu"):
        assert figures(parts)[name] == pytest.approx(figures(whole)[name], rel=1e-5 * is_sum)


@pytest.mark.parametrize(
    "options",
    [
        ["--trainer.val_check_interval=5"],
        ["--trainer.val_check_interval=5", "--ema_decay=0.8"],
        # the default: a validation at the end of each epoch, of which neither may take the last one for finished
        ["--trainer.val_check_interval=1.0", "--patience=9", "--model.optimization.schedule=plateau"],
    ],
)
def test_a_run_that_has_ended_goes_on_with_more_updates(
    tmp_path: Path, toy_arguments: Arguments, options: list[str]
) -> None:
    options = ["--data.max_tokens_per_batch=112", "--model.dropout=0.3", *options]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert cli.main(toy_arguments(whole, *options, "--trainer.max_steps=25")) == 0
    for max_steps in (10, 18, 25):  # the second one is where an epoch ends
        assert cli.main(toy_arguments(parts, *options, f"--trainer.max_steps={max_steps}", "--resume=auto")) == 0
    assert_equal(weights(parts, "last"), weights(whole, "last"))


def test_an_interrupted_run_ends_cleanly(tmp_path: Path, toy_arguments: Arguments) -> None:
    run = tmp_path / "run"
    options = ["--trainer.max_steps=100000", "--trainer.val_check_interval=4"]
    command = [sys.executable, "-m", "seq2seq.cli", *toy_arguments(run, *options)]
    # A shell's background jobs, a test run among them, are deaf to SIGINT and so are their children.
    listen = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, preexec_fn=listen) as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        said: list[str] = []
        for line in lines:
            said.append(line)
            if "update 8" in line:  # after the line of the first validation, update 4, the best weights are written
                break
        process.send_signal(signal.SIGINT)
        said += lines
        assert process.wait(60) == 130, "".join(said)
    where = f"--resume auto --run_dir {run}"
    assert said[-1] == f"seq2seq: interrupted; the same command with {where} goes on\n"
    assert "Traceback" not in "".join(said)
    updates = checkpoint(run, "last")["global_step"]
    assert updates >= 4
    assert load_bundle(run).config["training"]["best_at_update"] <= updates
    assert cli.main(toy_arguments(run, *options, "--resume=auto", f"--trainer.max_steps={updates + 2}")) == 0
    assert checkpoint(run, "last")["global_step"] == updates + 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGUSR1, 138), (signal.SIGUSR2, 140)])
def test_a_run_that_is_told_to_end_saves_its_state(
    tmp_path: Path, toy_arguments: Arguments, number: signal.Signals, code: int
) -> None:
    run = tmp_path / "run"
    endless = ["--trainer.max_steps=100000", "--trainer.val_check_interval=4"]
    log = tmp_path / "log"
    process = forked.start(toy_arguments(run, *endless), log)
    try:
        until(lambda: log.exists() and "update 4 " in log.read_text(), timeout_s=60)
        os.kill(process.pid, number)
        process.join(60)
        assert process.exitcode == code, log.read_text()
    finally:
        process.kill()
    assert "Traceback" not in log.read_text()
    assert checkpoint(run, "last")["global_step"] >= 4


def test_a_checkpoint_that_is_not_there_or_not_whole_is_refused(
    tmp_path: Path, toy_arguments: Arguments, capsys: Captured
) -> None:
    missing = tmp_path / "other.ckpt"
    hint = "--resume auto goes on from the newest whole one"
    argv = toy_arguments(tmp_path / "run", f"--resume={missing}")
    assert error_of(capsys, *argv) == f"{missing} is not there; {hint}"
    missing.write_bytes(b"PK half a checkpoint")
    assert error_of(capsys, *argv) == f"{missing} is no whole checkpoint; {hint}"
    assert not (tmp_path / "run").exists()


def test_resume_auto_takes_the_newest_whole_checkpoint_or_begins(tmp_path: Path, toy_arguments: Arguments) -> None:
    run = tmp_path / "run"
    options = ["--trainer.max_steps=8", "--trainer.val_check_interval=4", "--resume=auto"]
    assert cli.main(toy_arguments(run, *options)) == 0, "there is none yet"
    whole = weights(run, "last")
    last = run / "checkpoints" / "last.ckpt"
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1  # one bit of one weight
    last.write_bytes(content)
    assert cli.main(toy_arguments(run, *options)) == 0
    assert_equal(weights(run, "last"), whole)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, toy_arguments: Arguments) -> Path:
    """The folder of a finished run; not to be altered."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    assert cli.main(toy_arguments(folder, "--trainer.max_steps=2")) == 0
    return folder


@pytest.mark.parametrize(
    ("option", "what"),
    [
        ("--data.train={valid}", "other training text"),
        ("--data.tokenizer.vocab_size=290", "another tokenizer"),
        ("--model.d_model=20", "model.d_model 16, not 20"),
        ("--data.max_tokens_per_batch=90", "data.max_tokens_per_batch 100, not 90"),
        pytest.param("--trainer.strategy=fsdp", "sharded weights False, not True", marks=NEEDS_FSDP),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(
    finished: Path, toy_config: Path, toy_arguments: Arguments, capsys: Captured, option: str, what: str
) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    option = option.format(valid=toy_config.parent / "valid")
    message = error_of(capsys, *toy_arguments(finished, option, "--resume=auto"))
    assert message == (
        f"{finished}/checkpoints/last.ckpt comes from {what}; go on with what it began with, or begin another run with "
        "--run_dir"
    )
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before
