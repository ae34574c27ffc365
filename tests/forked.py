"""`seq2seq` in processes of their own that import nothing: they are forked from one that has.

A fresh `python -m seq2seq.cli fit` spends 6 s of a CPU on its imports. A forked one spends none, and is a process like
another in all else: it has its own memory, signals and exit code. A fresh one is needed where the start itself is
tested (by Lightning's launcher, torchrun, srun), and where several have to agree although Python hashes strings anew in
each.
"""

import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerProcess as Process
from pathlib import Path

from lightning.pytorch.utilities.rank_zero import rank_zero_only

from seq2seq import cli

Program = Callable[[list[str]], int]
Variables = dict[str, str]
_CONTEXT = multiprocessing.get_context("forkserver")
# pytest, because multiprocessing has every process import the main program of the first.
_CONTEXT.set_forkserver_preload(["pytest", "seq2seq.training.fit", "seq2seq.commands.translate", __name__])


def start(
    arguments: list[str], output: Path | None = None, program: Program = cli.main, variables: Variables | None = None
) -> Process:
    """Start `program(arguments)`.

    Args:
        arguments: those after the program's name.
        output: a new file for all that is printed; None throws it away.
        program: a function of a module, which returns the exit code; `seq2seq` if none is named.
        variables: of its environment, beside ours.
    """
    environment = dict(os.environ) | (variables or {})
    process = _CONTEXT.Process(target=_run, args=(program, arguments, str(output or os.devnull), environment))
    process.start()
    return process


def run(
    arguments: list[str], program: Program = cli.main, variables: Sequence[Variables] = ({},), timeout_s: float = 300
) -> int:
    """Run `program(arguments)` to its end, in as many processes as there are `variables`; what they print is printed.

    Returns:
        The exit code, -n for signal n; of several processes, that of the first that has another than 0.
    """
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder, str(number)) for number in range(len(variables))]
        processes = [start(arguments, output, program, each) for output, each in zip(outputs, variables, strict=True)]
        end = time.monotonic() + timeout_s
        try:
            for process in processes:
                process.join(end - time.monotonic())
                assert process.exitcode is not None, f"not at its end after {timeout_s} s"
        finally:
            for process, output in zip(processes, outputs, strict=True):
                process.kill()
                process.join()
                print(output.read_text(encoding="utf-8") if output.exists() else "nothing")
    return next((process.exitcode for process in processes if process.exitcode), 0)


def ranks(number: int) -> list[Variables]:
    """What Lightning's launcher tells each of so many processes of this machine; nothing to one that is alone."""
    if number == 1:
        return [{}]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    return [meeting | {"NODE_RANK": "0", "LOCAL_RANK": str(rank), "WORLD_SIZE": str(number)} for rank in range(number)]


def _run(program: Program, arguments: list[str], output: str, environment: Variables) -> None:
    os.environ.clear()
    os.environ.update(environment)
    rank_zero_only.rank = int(environment.get("LOCAL_RANK", 0))  # which Lightning reads when it is imported
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the server is deaf to it
    # As in a fresh process; DataLoader's workers would otherwise come from the server as well.
    multiprocessing.set_start_method(multiprocessing.get_all_start_methods()[0], force=True)
    file = os.open(output, os.O_WRONLY | os.O_CREAT)
    for stream in (1, 2):
        os.dup2(file, stream)
    sys.exit(program(arguments))
