"""Runs on a SLURM cluster, each a job of its own, through submitit.

The number of a run's job lies beside its folder, in lstm-1.job, until the job has ended: a second `seq2seq compare`
finds it and waits for it. The comparison's folder must be one that all machines see.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seq2seq.comparison.runs import Run, carry_out

# What submitit calls alike on all kinds of clusters; the others it wants with "slurm_" before them.
_GENERAL = {"name", "timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node", "tasks_per_node"}


def refuse_submitted(runs: Sequence[Run]) -> None:
    """Keep others away from runs that have jobs.

    Raises:
        ValueError: there is such a run.
    """
    for run in runs:
        if run.beside(".job").exists():
            number = run.beside(".job").read_text(encoding="utf-8").strip()
            raise ValueError(
                f"run {run} was submitted to SLURM as job {number}; use --launcher slurm, or, once that job has ended, "
                f"delete {run.beside('.job')}"
            )


class _CarryOut:
    """`carry_out` for submitit, which hands in again what SLURM interrupts: it goes on from the last checkpoint."""

    def __call__(self, folder: Path) -> int:
        code = carry_out(folder)
        if code > 128 or code == -signal.SIGTERM:  # as before SLURM requeues or cancels the job
            sys.exit(code)  # without a result, for which the job would be taken to be over
        return code

    def checkpoint(self, folder: Path) -> Any:
        """What to do in the next time slot. submitit calls this in its signal handler, and then ends all processes."""
        import submitit

        with contextlib.suppress(ChildProcessError):  # between two commands
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)  # the command had the signal too, and saves its training
        return submitit.helpers.DelayedSubmission(self, folder)


class SlurmJob:
    """A run as a job."""

    def __init__(self, run: Run, job: Any) -> None:
        self._run, self._job = run, job
        self.number = str(job.job_id)
        self.where = f"as SLURM job {self.number}"

    def is_running(self) -> bool:
        """Whether it waits or runs. SLURM itself is asked now and then, every ten minutes at last."""
        if not self._job.done():
            return True
        self._run.beside(".job").unlink(missing_ok=True)
        return False

    @property
    def last_words(self) -> str:
        return f"SLURM job {self.number} ended as {self._job.state}, see {self._job.paths.stderr}"


class SlurmLauncher:
    """Submits runs.

    Args:
        folder: for submitit's files.
        parameters: of a job, for submitit's `update_parameters`: timeout_min, gpus_per_node, partition, ...
        num_places: how many runs are submitted at a time.

    Raises:
        ValueError: submitit or SLURM is not there, or it does not know a parameter.
    """

    look_every_s = 5.0

    def __init__(self, folder: Path, parameters: Mapping[str, Any], num_places: int) -> None:
        try:
            import submitit
        except ImportError:
            raise ValueError("--launcher slurm needs submitit; install it with: pip install 'seq2seq[slurm]'") from None
        self.num_places = num_places
        self._folder, self._jobs = folder, list[SlurmJob]()
        try:
            self._executor = submitit.AutoExecutor(folder, cluster="slurm")
            self._executor.update_parameters(
                **{name if name in _GENERAL else f"slurm_{name}": value for name, value in parameters.items()}
            )
        except (RuntimeError, NameError, AssertionError) as error:  # each has a first line that says it
            raise ValueError(f"SLURM: {str(error).splitlines()[0]}") from None

    def start(self, run: Run) -> SlurmJob:
        """Submit what remains of `run`, or find the job that was submitted earlier."""
        import submitit

        number = run.beside(".job")
        if number.exists():
            job = SlurmJob(run, submitit.SlurmJob(self._folder, number.read_text(encoding="utf-8").strip()))
            if job.is_running():
                self._jobs.append(job)
                return job
        self._executor.update_parameters(name=run.folder.name)
        try:
            submitted = self._executor.submit(_CarryOut(), run.folder.resolve())
        except submitit.core.utils.FailedJobError as error:  # what sbatch says
            raise ValueError(f"SLURM: {str(error).splitlines()[-1]}") from None
        number.write_text(f"{submitted.job_id}\n", encoding="utf-8")
        self._jobs.append(SlurmJob(run, submitted))
        return self._jobs[-1]

    def leave(self) -> str:
        """Let the jobs go on without us."""
        numbers = " ".join(job.number for job in self._jobs if job.is_running())
        return f"the jobs go on, and the same command waits for them; scancel {numbers} ends them"
