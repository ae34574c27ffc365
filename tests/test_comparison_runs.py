"""The runs of a comparison: done once, gone on with after every kind of end, and several at a time."""

import contextlib
import json
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from seq2seq.comparison.local import LocalLauncher, end_leftovers, environments
from seq2seq.comparison.plan import begin, first_change
from seq2seq.comparison.runs import PROGRAM, Run, as_typed
from seq2seq.comparison.watch import Interrupted, work_through
from seq2seq.datamodule import corpora

MakeRun = Callable[..., Run]
Captured = pytest.CaptureFixture[str]


def here(num_places: int = 1) -> LocalLauncher:
    return LocalLauncher([{}] * num_places)


def history(run: Run) -> list[str]:
    """What the program was asked for, over all attempts."""
    return run.beside(".history").read_text().splitlines()


def lines_of(captured: Captured) -> list[str]:
    return captured.readouterr().err.splitlines()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@contextlib.contextmanager
def in_a_thread(work: Callable[[], None]) -> Iterator[None]:
    """Beside the block; what goes wrong in the thread is raised after it."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        yield
        future.result()


# What is done, and what is done again


def test_a_run_is_trained_and_tested_once(make: MakeRun, capsys: Captured) -> None:
    run = make(seed=3)
    begin(run)
    assert work_through([run], here()) == []
    assert run.is_done
    assert history(run) == ["fit --resume=auto", "test --beam_width=5"]
    assert lines_of(capsys) == [
        "[1/1] lstm, seed 3: trains",
        "[1/1] lstm, seed 3: trained in 1.5 min, valid BLEU 20.2",
    ]
    begin(run)
    assert work_through([run], here()) == []
    assert history(run) == ["fit --resume=auto", "test --beam_width=5"]
    assert lines_of(capsys) == ["1 of 1 runs are done already"]


def test_a_run_that_fails_is_reported_and_the_others_go_on(make: MakeRun, capsys: Captured) -> None:
    bad, good = make("lstm"), make("transformer")
    bad.beside(".broken").touch()
    for run in (bad, good):
        begin(run)
    assert work_through([bad, good], here()) == [bad]
    assert good.is_done
    log = bad.beside(".log")
    assert f"[1/2] lstm, seed 1: failed: there is no corpus (see {log})" in lines_of(capsys)
    assert log.read_text().startswith(f"$ {shlex.join(bad.commands[0])} --resume=auto\na traceback\n")

    bad.beside(".broken").unlink()
    begin(bad)
    assert work_through([bad, good], here()) == []
    assert history(bad) == ["fit --resume=auto", "fit --resume=auto", "test --beam_width=5"]
    assert history(good) == ["fit --resume=auto", "test --beam_width=5"]
    assert bad.record.error is None


def test_a_training_that_is_killed_goes_on_from_its_checkpoint(make: MakeRun) -> None:
    run = make(steps=20)
    begin(run)
    metrics = run.folder / "metrics.csv"

    def kill() -> None:
        wait_until(lambda: metrics.exists() and len(metrics.read_text().splitlines()) > 5)
        os.kill(int(run.beside(".process").read_text()), signal.SIGKILL)

    with in_a_thread(kill):
        assert work_through([run], here()) == [run]
    assert run.record.error == "killed by SIGKILL, as the system does when memory is short"
    (run.folder / "alone").unlink()
    assert work_through([run], here()) == []
    assert history(run) == ["fit --resume=auto", "fit --resume=auto", "test --beam_width=5"]
    steps = [int(line.split(",")[0]) for line in metrics.read_text().splitlines()[1:]]
    assert steps[-1] == 19
    assert len(steps) < 25, "most steps were done once"


def test_what_a_killed_comparison_left_running_ends_and_goes_on(make: MakeRun) -> None:
    """Neither two trainings in one folder, nor a lost one."""
    run = make(steps=60)
    begin(run)
    job = here().start(run)
    wait_until((run.folder / "checkpoints" / "last.ckpt").exists)
    first_process = int(run.beside(".lock").read_text().split()[0])
    os.kill(first_process, signal.SIGKILL)  # so the training has nobody any more
    time.sleep(0.1)
    assert job.is_running()

    run.beside(".steps").write_text("25")
    end_leftovers([run])
    assert not job.is_running()
    assert not (run.folder / "alone").exists()
    begin(run)
    assert work_through([run], here()) == []
    assert history(run) == ["fit --resume=auto", "fit --resume=auto", "test --beam_width=5"]


def test_a_second_launcher_never_starts_what_still_runs(make: MakeRun) -> None:
    run = make(steps=60)
    begin(run)
    first = here().start(run)
    wait_until((run.folder / "checkpoints" / "last.ckpt").exists)
    run.beside(".steps").write_text("10")
    assert work_through([run], here()) == []
    assert not first.is_running()
    assert "two trainings in one folder" not in run.beside(".log").read_text()


def test_a_run_on_another_machine_is_left_alone(make: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make(steps=60)
    begin(run)
    launcher = here()
    launcher.start(run)
    monkeypatch.setattr("platform.node", lambda: "elsewhere")
    with pytest.raises(ValueError, match="run lstm, seed 1 is still going on on .*; wait for it or end it there"):
        end_leftovers([run])
    launcher.leave()


# Ctrl-C


def test_ctrl_c_lets_the_runs_save_their_state(make: MakeRun, capsys: Captured) -> None:
    runs = [make("lstm", steps=100), make("transformer", steps=100), make("attention")]
    for run in runs:
        begin(run)

    def interrupt() -> None:
        wait_until(lambda: all((run.folder / "metrics.csv").exists() for run in runs[:2]))
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which background jobs do not have
    try:
        with in_a_thread(interrupt), pytest.raises(Interrupted, match="the same command goes on"):
            work_through(runs, here(2))
    finally:
        signal.signal(signal.SIGINT, before)
    for run in runs[:2]:
        done = int((run.folder / "checkpoints" / "last.ckpt").read_text())
        assert done == len((run.folder / "metrics.csv").read_text().splitlines()) - 1
        assert not (run.folder / "alone").exists()
        run.beside(".steps").write_text(str(done + 1))
    assert not runs[2].folder.exists()

    assert work_through(runs, here(2)) == []
    assert history(runs[0]) == ["fit --resume=auto", "fit --resume=auto", "test --beam_width=5"]
    assert "[1/3] lstm, seed 1: goes on after update " in "\n".join(lines_of(capsys))


# Places


def test_as_many_runs_as_places_are_done_at_a_time(make: MakeRun) -> None:
    runs = [make("lstm", seed, steps=20) for seed in range(4)]
    for run in runs:
        begin(run)
    most = 0

    def count() -> None:
        nonlocal most
        while not all(run.is_done for run in runs):
            most = max(most, sum((run.folder / "alone").exists() for run in runs))
            time.sleep(0.01)

    with in_a_thread(count):
        work_through(runs, LocalLauncher(environments(devices=[5, 7], jobs=1)))
    assert most == 2
    devices = {json.loads(run.beside(".environment").read_text())["CUDA_VISIBLE_DEVICES"] for run in runs}
    assert devices == {"5", "7"}


def test_places_share_the_cores_and_have_a_device_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert environments([], jobs=1) == [{}]
    assert environments([], jobs=3) == [{"OMP_NUM_THREADS": "2"}] * 3
    assert environments([4], jobs=3) == [{"CUDA_VISIBLE_DEVICES": "4"}]
    assert environments([], jobs=9)[0] == {"OMP_NUM_THREADS": "1"}
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert environments([0, 1], jobs=1) == [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]


# What a run began with


def finished(run: Run) -> Run:
    begin(run)
    work_through([run], here())
    return run


@pytest.mark.parametrize(
    ("config", "change"),
    [
        ({"budget": {"updates": 30}}, "budget.updates None, the specification now says 30"),
        ({"data": {"tests": {"one": "data/one", "two": "data/two"}}}, "data.tests {'one': 'data/one'}, the "),
    ],
    ids=["budget", "test sets"],
)
def test_a_run_that_began_otherwise_is_not_gone_on_with(make: MakeRun, config: dict[str, Any], change: str) -> None:
    run = finished(make())
    before = run.beside(".json").read_text()
    with pytest.raises(ValueError, match="run lstm, seed 1 began with ") as error:
        begin(make(config=config))
    assert str(error.value).startswith(f"run lstm, seed 1 began with {change}")
    assert str(error.value).endswith(f"; give another output_dir, or delete {run.folder} to train it again")
    assert run.beside(".json").read_text() == before


def test_a_run_on_other_text_is_not_gone_on_with(make: MakeRun) -> None:
    finished(make())
    with pytest.raises(ValueError, match="run lstm, seed 1 began with other text in data.train; "):
        begin(make(fingerprints={"data.train": "b2"}))


def test_what_does_not_change_the_outcome_is_no_change() -> None:
    before = {"run_dir": "a", "trainer": {"enable_progress_bar": True, "max_steps": 3}, "data": {"cache_dir": "x"}}
    now = {"run_dir": "b", "trainer": {"enable_progress_bar": False, "max_steps": 3}, "data": {}, "new_option": 1}
    assert first_change(before, now) is None
    now["trainer"]["max_steps"] = 4
    assert first_change(before, now) == ("trainer.max_steps", 3, 4)


def test_other_search_options_repeat_the_test_alone(make: MakeRun) -> None:
    finished(make())
    run = finished(make(beam_width=2))
    assert history(run) == ["fit --resume=auto", "test --beam_width=5", "test --beam_width=2"]


def test_what_was_deleted_is_done_again(make: MakeRun) -> None:
    run = finished(make())
    (run.folder / "test" / "one.json").unlink()
    assert history(finished(run)) == ["fit --resume=auto", "test --beam_width=5", "test --beam_width=5"]
    shutil.rmtree(run.folder)
    assert history(finished(make(config={"budget": {"updates": 30}})))[3:] == [
        "fit --resume=auto",
        "test --beam_width=5",
    ]


def test_a_folder_of_somebody_else_is_left_alone(make: MakeRun) -> None:
    run = make()
    run.folder.mkdir()
    with pytest.raises(ValueError, match="is there and belongs to no comparison; give another output_dir"):
        begin(run)


def test_our_commands_are_shown_as_one_types_them() -> None:
    command = (*PROGRAM, "fit", '--data.tests={"a": "b c"}', "--seed_everything=1")
    assert as_typed(command) == 'seq2seq fit \'--data.tests={"a": "b c"}\' --seed_everything=1'
    assert shlex.split(as_typed(command))[1:] == list(command[3:])


def test_corpora_that_are_mixed_are_compared_one_by_one_and_so_are_their_weights() -> None:
    data = {"train": {"a": 3.0, "b": 1.0}, "valid": "v", "tests": {"t": "w"}}
    assert corpora(data) == {"data.train.a": "a", "data.train.b": "b", "data.valid": "v", "data.tests.t": "w"}
    assert first_change({"data": data}, {"data": data | {"train": {"a": 3.0}}}) == (
        "data.train",
        {"a": 3.0, "b": 1.0},
        {"a": 3.0},
    )
