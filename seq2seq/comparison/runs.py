"""One run of a comparison: its commands, what is done of them, and doing the rest.

What is known of a run lies beside its folder, so whoever comes later, on whichever machine, finds it as it is:

    lstm-1/        the folder that `seq2seq fit` and `seq2seq test` write
    lstm-1.json    the commands, how many of them are done, and the last error
    lstm-1.log     what they said
"""

import dataclasses
import json
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seq2seq.atomic import write_whole

PROGRAM = (sys.executable, "-m", "seq2seq.cli")


@dataclass(frozen=True)
class Run:
    """One training of one system with one seed, and its test.

    Attributes:
        system, seed: which.
        folder: what the commands write.
        commands: each with its arguments, in order: the training, which makes the folder, and the test.
        config: the complete configuration of the training.
        fingerprints: SHA-256 of each corpus, by the option that names it.
    """

    system: str
    seed: int
    folder: Path
    commands: tuple[tuple[str, ...], ...]
    config: dict[str, Any] = field(default_factory=dict, hash=False)
    fingerprints: dict[str, str] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return f"{self.system}, seed {self.seed}"

    def beside(self, ending: str) -> Path:
        """The file with the folder's name and an ending of its own."""
        return self.folder.with_name(self.folder.name + ending)

    @property
    def record(self) -> "Record":
        """What is known of it."""
        return Record.read(self.beside(".json"))

    @property
    def is_done(self) -> bool:
        """Whether nothing remains to be done."""
        return self.record.done == len(self.commands)


@dataclass
class Record:
    """How far a run has come.

    Attributes:
        commands: as they are executed.
        fingerprints: of the corpora, when the run began.
        done: how many of the commands have ended well.
        error: why the last attempt failed; None if it did not.
    """

    commands: list[list[str]]
    fingerprints: dict[str, str]
    done: int = 0
    error: str | None = None

    @classmethod
    def read(cls, path: Path) -> "Record":
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def write(self, path: Path) -> None:
        write_whole(path, json.dumps(dataclasses.asdict(self), indent=1) + "\n")


def as_typed(command: tuple[str, ...]) -> str:
    """A command as people type it."""
    is_ours = command[: len(PROGRAM)] == PROGRAM
    return shlex.join(["seq2seq", *command[len(PROGRAM) :]] if is_ours else command)


def carry_out(folder: Path) -> int:
    """Do what remains of a run, going on where an earlier attempt ended. Returns the exit code of the last command.

    Args:
        folder: of the run, which need not exist yet; its record does.
    """
    path = folder.with_name(folder.name + ".json")
    record = Record.read(path)
    record.error = None
    record.write(path)
    with folder.with_name(folder.name + ".log").open("ab") as log:
        while record.done < len(record.commands):
            going_on = ["--resume=auto"] if record.done == 0 else []
            command = [*record.commands[record.done], *going_on]
            log.write(f"$ {as_typed(tuple(command))}\n".encode())
            log.flush()
            # Not close_fds: the process inherits the lock that says that somebody works on this run.
            code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, close_fds=False).returncode
            if code != 0:
                record.error = _why(code, Path(log.name))
                record.write(path)
                return code
            record.done += 1
            record.write(path)
    return 0


def _why(code: int, log: Path) -> str:
    """The reason that a command ended so: the last line it said, or the signal that killed it."""
    if code < 0:
        name = signal.Signals(-code).name
        return f"killed by {name}" + (", as the system does when memory is short" if name == "SIGKILL" else "")
    said = log.read_bytes()[-10_000:].decode("utf-8", errors="replace").replace("\r", "\n").split("\n")
    last = next((line.strip() for line in reversed(said) if line.strip()), "")
    return last.removeprefix("seq2seq: error: ").removeprefix("seq2seq: ")


if __name__ == "__main__":
    # Only the command is to end by Ctrl-C, in its own way. (Ignored, the signal would be ignored by the command too.)
    signal.signal(signal.SIGINT, lambda *_: None)
    sys.exit(carry_out(Path(sys.argv[1])))
