"""Runs on this machine, each in processes of its own, several at a time.

Each run has a lock, lstm-1.lock, which its processes hold as long as one of them lives: also when `seq2seq compare` or
the process that started them was killed. So no folder is ever written by two.
"""

import contextlib
import fcntl
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from seq2seq.comparison.runs import Run

_PATIENCE_S = 300.0  # for a run that was told to end: it writes a checkpoint and a model before


class LocalJob:
    """The processes of one run."""

    def __init__(self, run: Run, process: "subprocess.Popen[bytes]", where: str) -> None:
        self._run, self._process, self.where = run, process, where

    def is_running(self) -> bool:
        if self._process.poll() is None:
            return True
        lock = _lock(self._run)  # the command may have outlived the process that began it
        if lock is not None:
            os.close(lock)
        return lock is None

    def interrupt(self) -> None:
        """Ctrl-C."""
        _interrupt(self._process.pid)

    @property
    def last_words(self) -> str:
        return "its process has gone without a word"


class LocalLauncher:
    """Starts runs on this machine.

    Args:
        environments: variables for the run in each place; there are as many runs at a time as places.
    """

    look_every_s = 0.2

    def __init__(self, environments: Sequence[dict[str, str]]) -> None:
        self.num_places = len(environments)
        self._environments = environments
        self._jobs: list[LocalJob | None] = [None] * len(environments)

    def start(self, run: Run) -> LocalJob:
        """Carry out what remains of `run`, in a free place."""
        place = next(i for i, job in enumerate(self._jobs) if job is None or not job.is_running())
        lock = _take(run)
        try:
            os.ftruncate(lock, 0)
            with run.beside(".log").open("ab") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "seq2seq.comparison.runs", str(run.folder)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=os.environ | self._environments[place],
                    pass_fds=(lock,),
                    start_new_session=True,  # a terminal's Ctrl-C is to reach it once: through us
                )
            os.pwrite(lock, f"{process.pid} {platform.node()}".encode(), 0)
        finally:
            os.close(lock)
        device = self._environments[place].get("CUDA_VISIBLE_DEVICES")
        self._jobs[place] = job = LocalJob(run, process, where=f"on GPU {device}" if device else "")
        return job

    def leave(self) -> str:
        """Have all runs save their state and end; wait until they have. Returns how to go on."""
        jobs = [job for job in self._jobs if job is not None and job.is_running()]
        if jobs:
            print("seq2seq: waiting for the runs to save their state", file=sys.stderr)
        for job in jobs:
            job.interrupt()
        while any(job.is_running() for job in jobs):
            time.sleep(0.05)
        return "the same command goes on"


def environments(devices: Sequence[int], jobs: int) -> list[dict[str, str]]:
    """For each place the variables that give it its CUDA device and its share of the cores."""
    places = len(devices) or jobs
    variables: list[dict[str, str]] = [{"CUDA_VISIBLE_DEVICES": str(device)} for device in devices] or [{}] * places
    if places > 1 and "OMP_NUM_THREADS" not in os.environ:
        cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
        variables = [{**given, "OMP_NUM_THREADS": str(max(1, cores // places))} for given in variables]
    return variables


def end_leftovers(runs: Sequence[Run]) -> None:
    """End what a `seq2seq compare` that was killed has left behind; it saves its state, and so is no work lost.

    Raises:
        ValueError: it does not end, or belongs to another machine.
    """
    for run in runs:
        if run.beside(".lock").exists():
            os.close(_take(run))


def _lock(run: Run) -> int | None:
    """Take the lock of a run: its file descriptor, or None if processes of the run live."""
    descriptor = os.open(run.beside(".lock"), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _take(run: Run) -> int:
    """Take the lock, ending whoever holds it."""
    deadline = time.monotonic() + _PATIENCE_S
    told = False
    while (descriptor := _lock(run)) is None:
        process, _, host = run.beside(".lock").read_text(encoding="utf-8").partition(" ")
        if host and host != platform.node():
            raise ValueError(f"run {run} is still going on on {host}; wait for it or end it there")
        if time.monotonic() > deadline:
            raise ValueError(f"run {run} is still going on in process group {process}; wait for it or end it")
        if host and not told:
            print(f"seq2seq: run {run} is still going on, from a command that was killed; ending it", file=sys.stderr)
            _interrupt(int(process))
            told = True
        time.sleep(0.05)
    return descriptor


def _interrupt(process_group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process_group, signal.SIGINT)
