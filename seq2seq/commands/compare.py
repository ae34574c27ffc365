"""`seq2seq compare`: train and test the systems of a specification, and report who is better."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from seq2seq.commands.arguments import Parser

if TYPE_CHECKING:
    from seq2seq.comparison.runs import Run
    from seq2seq.comparison.spec import Spec
    from seq2seq.comparison.watch import Launcher

DESCRIPTION = """\
Trains each system of a specification with each seed, tests them, and writes results.json, report.html, report.md and
report.json into the comparison's folder. What is done is not done again: after Ctrl-C, a failure or a crash the same
command goes on. seq2seq/comparison/spec.py describes the specification; there are examples in configs/compare/."""


def main(argv: list[str]) -> int:
    """Compare as `argv` says. Returns the exit code."""
    parser = Parser("compare", DESCRIPTION)
    parser.add_argument("spec", metavar="SPEC", help="specification of the comparison, a YAML file")
    parser.add_argument(
        "--launcher", choices=["local", "slurm"], default="local", help="where the runs are done; default local"
    )
    parser.add_argument("--dry_run", action="store_true", help="check everything, print the commands and end")
    arguments = parser.parse(argv)

    from seq2seq.comparison.plan import begin, plan
    from seq2seq.comparison.runs import as_typed
    from seq2seq.comparison.spec import read_spec
    from seq2seq.comparison.watch import Interrupted, work_through

    spec = read_spec(Path(arguments.spec))
    runs = plan(spec, here=arguments.launcher == "local")
    if arguments.dry_run:
        for run in runs:
            print(*map(as_typed, run.commands), sep="\n")
        return 0
    with _alone_in(spec.output_dir), _ended_by_signals():
        launcher = _launcher(arguments.launcher, spec, runs)
        for run in runs:
            begin(run)
        try:
            failed = work_through(runs, launcher)
        except Interrupted as interrupted:
            print(f"seq2seq: interrupted; {interrupted}", file=sys.stderr)
            return 130
        if failed:
            names = "; ".join(map(str, failed))
            raise ValueError(
                f"no report, for {len(failed)} of {len(runs)} runs failed ({names}); mend what is said of them above, "
                "then the same command goes on"
            )
        _report(spec, runs)
    return 0


def _launcher(name: str, spec: "Spec", runs: "list[Run]") -> "Launcher":
    from seq2seq.comparison.local import LocalLauncher, end_leftovers, environments
    from seq2seq.comparison.slurm import SlurmLauncher, refuse_submitted

    end_leftovers(runs)
    if name == "slurm":
        return SlurmLauncher(spec.output_dir / "slurm", spec.slurm, num_places=len(runs))
    refuse_submitted(runs)
    return LocalLauncher(environments(spec.devices, spec.jobs))


def _report(spec: "Spec", runs: "list[Run]") -> None:
    """Write results and report, and print the most important table."""
    from seq2seq.comparison.collect import collect
    from seq2seq.evaluation.analysis import analyse
    from seq2seq.evaluation.results import write_results
    from seq2seq.report import write_report
    from seq2seq.report.tables import headline_text

    results = collect(spec, runs)
    write_results(results, spec.output_dir / "results.json")
    analysis = analyse(results)
    page = write_report(results, analysis, spec.output_dir)
    print(headline_text(results, analysis))
    print(page)


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """No second `seq2seq compare` in the same folder."""
    import filelock

    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise ValueError(f"another seq2seq compare is at work in {folder}; wait for it or end it") from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Being told to end, or losing the terminal, is like Ctrl-C; what `nohup` has us ignore stays ignored."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
