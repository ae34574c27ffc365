"""Doing all runs of a comparison, wherever they are done, and saying how far they are."""

import sys
import time
from collections.abc import Sequence
from typing import Protocol

from seq2seq.comparison.progress import Progress
from seq2seq.comparison.runs import Run


class Job(Protocol):
    """A run that was started.

    Attributes:
        where: it is done: "on GPU 1", or "" if that goes without saying.
    """

    where: str

    def is_running(self) -> bool: ...

    @property
    def last_words(self) -> str:
        """Why it ended, if it could not say so itself."""
        ...


class Launcher(Protocol):
    """A place to do runs in.

    Attributes:
        num_places: how many runs it does at a time.
        look_every_s: how often it may be asked whether they have ended.
    """

    num_places: int
    look_every_s: float

    def start(self, run: Run) -> Job:
        """Have `runs.carry_out` do what remains of a run."""
        ...

    def leave(self) -> str:
        """Leave the runs so that a second command can go on. Returns what to tell the user."""
        ...


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, after everything was left in order; the text says how to go on."""


def work_through(runs: Sequence[Run], launcher: Launcher) -> list[Run]:
    """Do what remains of all runs; one that fails does not stop the others. Says on standard error how far they are.

    Args:
        runs: in the order in which they are started.
        launcher: where they are done.

    Returns:
        The runs that failed.

    Raises:
        Interrupted: somebody pressed Ctrl-C.
    """
    waiting = [run for run in runs if not run.is_done]
    progress = Progress(runs, launcher.num_places, sys.stderr)
    if len(waiting) < len(runs):
        progress.say(f"{len(runs) - len(waiting)} of {len(runs)} runs are done already")
    running: dict[Run, Job] = {}
    failed = []
    try:
        while waiting or running:
            while waiting and len(running) < launcher.num_places:
                run = waiting.pop(0)
                running[run] = launcher.start(run)
                progress.started(run, running[run].where)
            for run, job in list(running.items()):
                if not job.is_running():
                    del running[run]
                    error = None if run.is_done else run.record.error or job.last_words
                    progress.ended(run, error, len(waiting))
                    failed += [run] if error else []
            progress.show(len(waiting))
            time.sleep(launcher.look_every_s)
    except BaseException as error:
        progress.clear()
        advice = launcher.leave()
        if isinstance(error, KeyboardInterrupt):
            raise Interrupted(advice) from None
        raise
    progress.clear()
    return failed
