"""What a long translation says of itself."""

import io

import pytest

from seq2seq.commands import progress
from seq2seq.commands.progress import Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """clock[0] is the time in seconds."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_time_left_counts_what_is_done_now_and_not_what_was_done_before(clock: list[float]) -> None:
    out = io.StringIO()
    shown = Progress(out, num_lines=10_000, on_one_line=True, in_a_log=True)
    shown.add(6000, translated=False, before=True)
    assert out.getvalue() == ""
    clock[0] += 10
    shown.add(1000, translated=True)
    assert out.getvalue() == "\r7,000 of 10,000 lines, 100.0 sentences/s, 0:00:30 left\x1b[K"
    shown.say("a bad line")
    shown.close()
    assert out.getvalue().endswith(" left\x1b[K\na bad line\n")


def test_of_several_processes_each_says_its_own_speed_and_when_all_will_be_done(clock: list[float]) -> None:
    out = io.StringIO()
    shown = Progress(out, num_lines=3000, prefix="rank 1 of 2: ", on_one_line=False, in_a_log=True)
    shown.add(500, translated=False)
    clock[0] += 60
    shown.add(500, translated=True)
    assert out.getvalue() == "seq2seq: rank 1 of 2: 1,000 of 3,000 lines, 8.3 sentences/s, 0:02:00 left\n"


def test_a_log_gets_a_line_a_minute_and_a_pipe_nothing(clock: list[float]) -> None:
    log, pipe = io.StringIO(), io.StringIO()
    in_a_log = Progress(log, num_lines=None, on_one_line=False, in_a_log=True)
    to_a_pipe = Progress(pipe, num_lines=None, on_one_line=False, in_a_log=False)
    for _ in range(130):
        clock[0] += 1
        in_a_log.add(5, translated=True)
        to_a_pipe.add(5, translated=True)
    assert log.getvalue() == "seq2seq: 300 lines, 5.0 sentences/s\nseq2seq: 600 lines, 5.0 sentences/s\n"
    assert pipe.getvalue() == ""
