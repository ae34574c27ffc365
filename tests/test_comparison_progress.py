"""What is said of the runs of a comparison while they are done: how far they are, when they end, how they learn."""

import io
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from seq2seq.comparison import progress
from seq2seq.comparison.curves import learning_curve
from seq2seq.comparison.local import LocalLauncher
from seq2seq.comparison.plan import begin
from seq2seq.comparison.runs import Run
from seq2seq.comparison.watch import work_through
from seq2seq.evaluation.results import Point

MakeRun = Callable[..., Run]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_how_far_the_runs_are_and_when_they_end(
    make: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "_STATUS_EVERY_S", 0.2)
    monkeypatch.setenv("COLUMNS", "200")
    runs = [make("lstm", steps=15), make("transformer")]
    for run in runs:
        begin(run)
    work_through(runs, LocalLauncher([{}]))
    shown = re.findall(r"lstm, seed 1: (\d+)%, valid BLEU (\d+)\.0 \| all done about (\d\d:\d\d)", terminal.getvalue())
    shares = [int(share) for share, _, _ in shown]
    assert len(shares) > 1
    assert shares == sorted(shares)
    assert shares[-1] > 50
    assert terminal.getvalue().endswith("trained in 1.5 min, valid BLEU 20.2\n\r\x1b[K")


def test_updates_measure_a_training_whose_end_they_are(make: MakeRun) -> None:
    run = make(config={"trainer": {"max_steps": 40}})
    run.folder.mkdir()
    (run.folder / "metrics.csv").write_text("step,valid_bleu\n9,\n9,12.5\n19,\n")
    assert progress.how_far(run) == (20, 0.5, 12.5)


def test_the_time_that_remains_is_shared_among_the_places(make: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [make(seed=seed) for seed in range(6)]
    for run in runs:
        begin(run)
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    said = progress.Progress(runs, 2, io.StringIO())
    said.started(runs[0], "")
    said.started(runs[1], "")
    assert said.remaining_s({runs[0]: 0.0, runs[1]: 0.0}, waiting=4) is None
    now = 1060.0
    # The first takes 120 s, the second 240 s, each of four others 180 s: (60 + 180 + 720) / 2
    assert said.remaining_s({runs[0]: 0.5, runs[1]: 0.25}, waiting=4) == pytest.approx(480)
    assert said.remaining_s({runs[0]: 0.5, runs[1]: 0.25}, waiting=0) == pytest.approx(180)


def test_a_learning_curve_is_read_from_what_fit_logs(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.csv"
    assert learning_curve(metrics) == []
    metrics.write_text(
        "epoch,step,target_tokens,train_loss,train_minutes,valid_bleu,valid_loss\n"
        "0,49,,6.5,,,\n"
        "0,99,1000.0,,0.5,10.25,5.0\n"
        "0,149,1500.0,4.0,0.75,,\n"
        "1,199,2000.0,,1.0,nan,nan\n"  # diverged
        "1,299,3000.0,,1.5,,\n"  # one validation over two rows
        "1,299,,,,20.5,4.0\n"
        "1,399,4000.0,,2.0,30"  # killed here
    )
    assert learning_curve(metrics) == [Point(100, 1000, 0.5, 10.25, 5.0), Point(300, 3000, 1.5, 20.5, 4.0)]
