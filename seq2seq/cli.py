"""The command `seq2seq`: finds the subcommand and imports only that one; turns user errors into one line.

Exit codes: 0 done, 2 the user can mend it, 130 interrupted, 141 the reader of our output has gone, 128 + n
`fit` was ended by signal n.
"""

import difflib
import importlib
import opcode
import os
import signal
import sys
from collections.abc import Callable

from seq2seq import __version__

# name -> (module with main(argv), one line of help). Importing torch takes seconds: a module is imported when called.
COMMANDS = {
    "clean": ("seq2seq.commands.clean", "drop what would harm a training from parallel text, by named rules"),
    "fit": ("seq2seq.training.fit", "train a model from configuration files"),
    "doctor": ("seq2seq.doctor.command", "what is wrong with a configuration and its data, and what a training takes"),
    "translate": ("seq2seq.commands.translate", "translate lines of text with a trained model"),
    "test": ("seq2seq.commands.test", "translate a model's test sets and score them"),
    "average": ("seq2seq.commands.average", "the mean of a run's best or last checkpoints as a model"),
    "export": ("seq2seq.commands.export", "a model for CTranslate2, Hugging Face or ONNX Runtime"),
    "score": ("seq2seq.commands.score", "score any system's output: BLEU, chrF, TER"),
    "score-model": ("seq2seq.commands.score_model", "how probable given translations are to a model"),
    "analyze": ("seq2seq.commands.analyze", "what happens inside models: gradients, gates, attention"),
    "compare": ("seq2seq.commands.compare", "train and test several systems under one budget, and report"),
    "report": ("seq2seq.commands.report", "report again, of several results or of any systems' outputs"),
}

HELP = """\
usage: seq2seq COMMAND [options]
       seq2seq COMMAND --help
       seq2seq --version

Trains, translates with and compares sequence-to-sequence models.

commands:
{commands}

A MODEL is the folder of a run that has finished, or the bundle model/ inside it; several together are an ensemble.
Errors are one line long; SEQ2SEQ_TRACEBACK=1 in the environment shows the Python traceback as well.
"""


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand.

    Args:
        argv: the arguments after the program's name; those of the process if None.

    Returns:
        The exit code of the process.
    """
    argv = sys.argv[1:] if argv is None else argv
    if os.getpid() == 1:  # of a container: the kernel keeps signals from it that it has not asked for
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        exit_code = _run(argv)
        sys.stdout.flush()  # here, where a closed pipe is caught
        return exit_code
    except BrokenPipeError:
        # `seq2seq translate ... | head` is no error. Python flushes standard output once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        print("seq2seq: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if os.environ.get("SEQ2SEQ_TRACEBACK") or not _is_user_error(error):
            raise
        return _fail(_one_line(error))


def _run(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        width = max(map(len, COMMANDS))
        lines = [f"  {name:{width}}  {help_line}" for name, (_, help_line) in COMMANDS.items()]
        print(HELP.format(commands="\n".join(lines)), end="")
        return 0 if argv else 2
    if argv[0] in ("-V", "--version"):
        print(f"seq2seq {__version__}")
        return 0
    if argv[0] not in COMMANDS:
        close = difflib.get_close_matches(argv[0], COMMANDS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(COMMANDS)}"
        return _fail(f"{argv[0]!r} is no command; {hint}")
    command: Callable[[list[str]], int | None] = importlib.import_module(COMMANDS[argv[0]][0]).main
    return command(argv[1:]) or 0


def _is_user_error(error: Exception) -> bool:
    """Whether the message is meant for the user: the system's about a file, or one written in a `raise` of ours.

    A ValueError of somebody else's code, or of an int("x") in ours, is a bug of ours and keeps its traceback.
    """
    if isinstance(error, OSError):
        return True
    traceback = error.__traceback__
    if not isinstance(error, ValueError) or traceback is None:
        return False
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    code = traceback.tb_frame.f_code.co_code
    is_ours = traceback.tb_frame.f_globals["__name__"].startswith("seq2seq.")
    return is_ours and code[traceback.tb_lasti] == opcode.opmap["RAISE_VARARGS"]


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror is not None:  # without "[Errno 2]"
        where = f"{error.filename}: " if error.filename is not None else ""
        return f"{where}{error.strerror}"
    return " ".join(str(error).split("\n"))


def _fail(message: str) -> int:
    print(f"seq2seq: error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
