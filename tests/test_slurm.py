"""Jobs on a SLURM that is really there, of two nodes on this machine: see `slurm_cluster.py`."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seq2seq import cli
from seq2seq.comparison.slurm import SlurmLauncher
from seq2seq.comparison.watch import work_through
from tests import forked
from tests.run_folder import assert_equal, checkpoint, error_of, weights
from tests.slurm_cluster import Cluster, missing_programs
from tests.test_comparison_slurm import run_of
from tests.waiting import until

ROOT = Path(__file__).parent.parent
FIT, TRANSLATE = (ROOT / "deploy" / "slurm" / f"{name}.sbatch" for name in ("fit", "translate"))
Arguments = Callable[..., list[str]]

OPTIONS = ["--trainer.max_steps=32", "--trainer.val_check_interval=4", "--model.dropout=0.3"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if missing := missing_programs():
        pytest.skip(f"not installed: {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("slurm")
    program = folder / "bin" / "seq2seq"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m seq2seq.cli "$@"\n')
    program.chmod(0o755)
    with Cluster(folder) as cluster:
        cluster.environment |= {"PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        yield cluster


def submit(cluster: Cluster, run: Path, arguments: list[str], *options: str) -> str:
    """Hand fit.sbatch in, its log beside the run's folder. Returns the job's number."""
    where = [f"--output={run}.log", f"--chdir={run.parent}", "--nodes=2", "--cpus-per-task=1"]
    return cluster("sbatch", "--parsable", *where, *options, str(FIT), *arguments[1:])


def wait_for(words: str, log: Path) -> None:
    """Until a job has said so."""
    until(lambda: log.exists() and words in log.read_text())


def test_the_tasks_of_srun_train_together_as_one_process_does(
    cluster: Cluster, tmp_path: Path, toy_arguments: Arguments
) -> None:
    options = ["--trainer.max_steps=8", "--trainer.precision=64-true"]
    # Two ranks take two batches for an update; they have to be told nothing of each other.
    cluster("srun", "--ntasks=2", "seq2seq", *toy_arguments(tmp_path / "two", *options))
    assert cli.main(toy_arguments(tmp_path / "one", *options, "--trainer.accumulate_grad_batches=2")) == 0
    assert_equal(weights(tmp_path / "two", "last"), weights(tmp_path / "one", "last"), atol=1e-9)


def test_a_job_goes_on_under_its_number_whatever_interrupts_it(
    cluster: Cluster, tmp_path: Path, toy_arguments: Arguments
) -> None:
    ddp = ["--trainer.devices=2", "--trainer.strategy=ddp"]
    assert forked.run(toy_arguments(tmp_path / "whole", *OPTIONS, *ddp), variables=forked.ranks(2)) == 0
    run, log = tmp_path / "parts", tmp_path / "parts.log"
    linger = ["--trainer.callbacks+=tests.trainer_callbacks.Linger", "--trainer.callbacks.updates=[6,16,26]"]
    job = submit(cluster, run, toy_arguments(run, *OPTIONS, *linger), "--time=60", "--signal=USR1@120")

    wait_for("lingers at update 6", log)
    # Its time is nearly over; SLURM looks every 30 s.
    cluster("scontrol", "update", f"jobid={job}", f"timelimit={int(cluster.job(job)['RunTime'].split(':')[1]) + 2}")
    wait_for("seq2seq: interrupted", log)
    assert checkpoint(run, "last")["global_step"] == 11  # ranks ask each other every ten updates
    cluster.wait_for(job, JobState="PENDING", Restarts="1")
    cluster("scontrol", "update", f"jobid={job}", "timelimit=60")

    wait_for("lingers at update 16", log)
    cluster("scontrol", "requeue", job)

    wait_for("lingers at update 26", log)
    assert cluster.job(job)["Restarts"] == "2"
    cluster.fail_node("node2")
    cluster.wait_for(job, JobState="PENDING", Restarts="3")
    cluster.start_node("node2")

    cluster.wait_for(job, JobState="COMPLETED", Restarts="3")
    assert_equal(weights(run, "last"), weights(tmp_path / "whole", "last"))
    assert_equal(weights(run), weights(tmp_path / "whole"))


def test_a_job_that_is_cancelled_has_saved_and_does_not_come_back(
    cluster: Cluster, tmp_path: Path, toy_arguments: Arguments
) -> None:
    run, log = tmp_path / "run", tmp_path / "run.log"
    linger = ["--trainer.callbacks+=tests.trainer_callbacks.Linger", "--trainer.callbacks.updates=[6]"]
    job = submit(cluster, run, toy_arguments(run, *OPTIONS, *linger), "--nodes=1")
    mistaken = submit(cluster, tmp_path / "typo", toy_arguments(tmp_path / "typo", "--model.d_modle=3"), "--nodes=1")
    wait_for("lingers at update 6", log)
    cluster("scancel", job)
    wait_for("seq2seq: interrupted", log)
    cluster.wait_for(job, JobState="CANCELLED", Restarts="0")
    assert checkpoint(run, "last")["global_step"] == 6
    # Neither does one that will never do better.
    cluster.wait_for(mistaken, JobState="FAILED", ExitCode="2:0", Restarts="0")
    assert "did you mean" in (tmp_path / "typo.log").read_text()


STEP = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_JOB_NAME": "fit", "SLURM_PROCID": "0"}


@pytest.mark.parametrize(
    ("tasks", "options", "message"),
    [
        ("2,1", [], "srun has started 2,1 tasks on 2 nodes; give --ntasks-per-node, the same on each"),
        (
            "4(x2)",
            ["--trainer.devices=8"],
            "trainer.devices is 8 and trainer.num_nodes 1, but srun has started 4 tasks on each of 2 nodes; leave both "
            "out",
        ),
        (
            "1",
            ["--trainer.num_nodes=2"],
            "trainer.num_nodes is 2, and SLURM has started one process; start it with srun --nodes=2 "
            "--ntasks-per-node=DEVICES",
        ),
    ],
)
def test_what_srun_has_not_started_is_refused(
    tmp_path: Path,
    toy_arguments: Arguments,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tasks: str,
    options: list[str],
    message: str,
) -> None:
    count = {"2,1": "3", "4(x2)": "8", "1": "1"}[tasks]
    variables = {"SLURM_NTASKS": count, "SLURM_NNODES": "2", "SLURM_STEP_TASKS_PER_NODE": tasks}
    for name, value in (STEP | variables).items():
        monkeypatch.setenv(name, value)
    assert error_of(capsys, *toy_arguments(tmp_path / "run", *options)) == message
    assert not (tmp_path / "run").exists()


def test_a_single_task_is_trained_in_like_any_machine(
    tmp_path: Path, toy_arguments: Arguments, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The script of sbatch, before any srun: the job has two tasks, and nobody has started them.
    for name, value in (STEP | {"SLURM_NTASKS": "2", "SLURM_NNODES": "1"}).items():
        if name != "SLURM_STEP_ID":
            monkeypatch.setenv(name, value)
    assert cli.main(toy_arguments(tmp_path / "run")) == 0
    assert (tmp_path / "run" / "model").exists()


def test_tasks_share_a_translation(cluster: Cluster, tmp_path: Path, bundle_folder: Path) -> None:
    text = tmp_path / "text.de"
    text.write_text("Ein Hund läuft durch den Schnee .\nZwei Katzen .\n" * 1500, encoding="utf-8")
    job = ["translate", str(bundle_folder), "--beam_width=1", f"--input={text}"]
    assert cli.main([*job, f"--output={tmp_path / 'one'}"]) == 0
    where = [f"--output={tmp_path}/log", "--ntasks-per-node=2", "--cpus-per-task=1"]
    number = cluster("sbatch", "--parsable", *where, str(TRANSLATE), *job[1:], f"--output={tmp_path / 'two'}")
    cluster.wait_for(number, JobState="COMPLETED")
    assert "rank 0 of 2" in (tmp_path / "log").read_text() or "rank 1 of 2" in (tmp_path / "log").read_text()
    assert (tmp_path / "two").read_bytes() == (tmp_path / "one").read_bytes()


# In place of a training: the first time, it waits for a signal, and saves what takes a while to save.
WAITS = """
import os, pathlib, signal, sys, time
saved = pathlib.Path({saved!r})
if "SLURM_RESTART_COUNT" not in os.environ:
    def save(number, _):
        time.sleep(2)
        saved.touch()
        sys.exit(128 + number)
    signal.signal({signal}, save)
    saved.with_suffix(".begun").touch()
    time.sleep(600)
assert saved.exists()
"""


@pytest.mark.parametrize("how", ["its time is nearly over", "requeue"])
def test_a_run_of_a_comparison_goes_on_as_the_same_job(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed")
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    number = signal.SIGTERM if how == "requeue" else signal.SIGUSR2
    saved = tmp_path / "saved"
    run = run_of(tmp_path, 1, WAITS.format(saved=str(saved), signal=int(number)))
    launcher = SlurmLauncher(tmp_path / "slurm", {"timeout_min": 60, "cpus_per_task": 1, "mem_gb": 2}, num_places=1)
    launcher.look_every_s = 0.5
    job = launcher.start(run).number
    until(saved.with_suffix(".begun").exists)
    # scancel only passes the signal on, which SLURM sends before the time is over.
    cluster(*(["scontrol", "requeue", job] if how == "requeue" else ["scancel", "--signal=USR2", job]))
    assert work_through([run], launcher) == []
    assert cluster.job(job)["Restarts"] == "1"
