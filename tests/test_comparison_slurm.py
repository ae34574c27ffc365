"""Runs as SLURM jobs, through submitit and, in place of SLURM, programs that answer as its own do."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from seq2seq.comparison.plan import begin
from seq2seq.comparison.runs import Run
from seq2seq.comparison.slurm import SlurmJob, SlurmLauncher, refuse_submitted
from seq2seq.comparison.watch import Interrupted, work_through

ROOT = Path(__file__).parent.parent
PARAMETERS = {"timeout_min": 30, "gpus_per_node": 1, "partition": "small"}

# A job is a process; its number is that of the process group.
SBATCH = """#!/bin/bash
setsid bash -c 'export SLURM_JOB_ID=$$ SLURM_PROCID=0 SLURM_NTASKS=1 SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0
    SLURM_LOCALID=0; cp "$0" "$SPOOL/$$.sh"; source "$0"' "$1" > /dev/null 2>&1 &
until kill -0 -$! 2> /dev/null || ! kill -0 $! 2> /dev/null; do sleep 0.01; done  # until it has its group, or is over
echo "Submitted batch job $!"
"""
SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do [[ $1 == --output || $1 == --error ]] && shift; shift; done
exec "$@"
"""
SACCT = """#!/bin/bash
echo "JobID|State|NodeList"
for job in "$@"; do
    if [[ $job =~ ^[0-9]+$ ]]; then
        kill -0 -$job 2> /dev/null && echo "$job|RUNNING|here" || echo "$job|FAILED|here"
    fi
done
"""


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the scripts of the submitted jobs are found; SLURM seems to be there."""
    pytest.importorskip("submitit", reason="submitit is not installed")
    spool, programs = tmp_path / "spool", tmp_path / "bin"
    spool.mkdir()
    programs.mkdir()
    for name, text in (("sbatch", SBATCH), ("srun", SRUN), ("sacct", SACCT)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("SPOOL", str(spool))
    return spool


def run_of(folder: Path, seed: int, fit: str) -> Run:
    """A run whose training is some Python text and whose test does nothing."""
    path = folder / "runs" / f"lstm-{seed}"
    config = {"budget": {"updates": None}, "trainer": {"max_steps": -1}, "data": {"tests": {}}}
    training = '{"training": {"minutes_in_updates": 1}}'
    model = f"import os\nos.makedirs('{path}/model')\nopen('{path}/model/config.json', 'w').write('{training}')\n"
    run = Run("lstm", seed, path, ((sys.executable, "-c", fit + "\n" + model), (sys.executable, "-c", "")), config)
    begin(run)
    return run


def launcher(folder: Path) -> SlurmLauncher:
    slurm = SlurmLauncher(folder / "slurm", PARAMETERS, num_places=2)
    slurm.look_every_s = 0.1
    return slurm


def test_runs_are_done_as_jobs(spool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = run_of(tmp_path, 1, ""), run_of(tmp_path, 2, "import sys; sys.exit('no GPU')")
    assert work_through([good, bad], launcher(tmp_path)) == [bad]
    said = capsys.readouterr().err
    assert "[1/2] lstm, seed 1: trains as SLURM job " in said
    assert f"[2/2] lstm, seed 2: failed: no GPU (see {bad.beside('.log')})" in said
    assert good.is_done
    assert not good.beside(".job").exists()
    script = next(path.read_text() for path in spool.iterdir() if "job-name=lstm-1" in path.read_text())
    for line in ("--time=30", "--gpus-per-node=1", "--partition=small"):
        assert f"#SBATCH {line}\n" in script


def test_jobs_outlive_us_and_are_found_again(spool: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    run = run_of(tmp_path, 1, f"import os, time\nwhile not os.path.exists('{gate}'): time.sleep(0.05)")

    class ImpatientLauncher(SlurmLauncher):
        def start(self, run: Run) -> SlurmJob:
            super().start(run)
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as interrupted:
        work_through([run], ImpatientLauncher(tmp_path / "slurm", PARAMETERS, num_places=1))
    number = run.beside(".job").read_text().strip()
    assert str(interrupted.value) == f"the jobs go on, and the same command waits for them; scancel {number} ends them"
    with pytest.raises(ValueError, match=f"was submitted to SLURM as job {number}; use --launcher slurm"):
        refuse_submitted([run])

    gate.touch()
    assert work_through([run], launcher(tmp_path)) == []
    assert len(list(spool.iterdir())) == 1, "submitted once"


def test_a_job_that_slurm_ended_is_reported_with_its_state(
    spool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of(tmp_path, 1, "import time; time.sleep(60)")
    slurm = launcher(tmp_path)
    job = slurm.start(run)
    while not run.beside(".log").exists():
        time.sleep(0.05)
    os.killpg(int(job.number), signal.SIGKILL)
    assert work_through([run], slurm) == [run]
    assert f"failed: SLURM job {job.number} ended as FAILED, see " in capsys.readouterr().err
    assert not run.beside(".job").exists()


def test_what_slurm_does_not_know_is_refused_in_one_line(spool: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="SLURM: Unknown argument 'colour' for executor 'slurm'") as error:
        SlurmLauncher(tmp_path / "slurm", {"colour": "red"}, num_places=1)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match='SLURM: Parameter "timeout_min" expected type'):
        SlurmLauncher(tmp_path / "slurm", {"timeout_min": "long"}, num_places=1)


def test_what_sbatch_refuses_is_one_line(spool: Path, tmp_path: Path) -> None:
    refusal = "sbatch: error: Batch job submission failed: Invalid partition name specified"
    (tmp_path / "bin" / "sbatch").write_text(f"#!/bin/sh\necho '{refusal}' >&2\nexit 1\n")
    with pytest.raises(ValueError, match=f"^SLURM: {refusal}$"):
        launcher(tmp_path).start(run_of(tmp_path, 1, ""))


def test_without_slurm_the_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match='SLURM: Could not detect "srun", are you indeed on a slurm cluster'):
        launcher(tmp_path)


def test_without_submitit_the_error_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ValueError, match=r"install it with: pip install 'seq2seq\[slurm\]'"):
        launcher(tmp_path)
