"""Command lines: a parser with one-line errors, and the options of everything that translates; no torch."""

import argparse
import difflib
from collections.abc import Sequence
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, with a suggestion for a misspelt option."""

    def __init__(self, command: str, description: str) -> None:
        super().__init__(
            prog=f"seq2seq {command}",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,  # an abbreviation in somebody's script must not change its meaning with a new option
        )

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """The arguments of `argv`; ValueError with one line if they are wrong."""
        for argument in argv:
            option = argument.partition("=")[0]
            if option.startswith("--") and option not in self._option_string_actions:
                close = difflib.get_close_matches(option, self._option_string_actions, n=1)
                self.error(f"there is no option {option}" + (f"; did you mean {close[0]}?" if close else ""))
        return self.parse_args(argv)

    def error(self, message: str) -> NoReturn:
        """Raise the message for `seq2seq.cli` to print; argparse, whose hook this is, would print its usage as well."""
        raise ValueError(f"{message} (see {self.prog} --help)")


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add MODEL, --device and --max_tokens_per_batch."""
    parser.add_argument("model", metavar="MODEL", help="folder of a finished run, or the bundle model/ inside it")
    parser.add_argument("--device", default="auto", help="auto (a GPU if there is one), cpu, cuda or cuda:N")
    parser.add_argument(
        "--max_tokens_per_batch",
        type=int,
        default=4096,
        metavar="N",
        help="source tokens of a batch, padding included; halved where memory does not suffice; default 4096",
    )


SEARCH_OPTIONS: dict[str, dict[str, Any]] = {
    "beam_width": {"type": int, "metavar": "W", "help": "hypotheses kept per sentence, 1 is greedy; default 5"},
    "length_penalty": {
        "choices": ["average", "none", "gnmt"],
        "help": "log-probability per token, the plain sum, or Wu et al. 2016; default average",
    },
    "alpha": {"type": float, "metavar": "A", "help": "strength of the gnmt length penalty; default 0.6"},
    "max_length_factor": {
        "type": float,
        "metavar": "F",
        "help": "a translation has at most factor * source tokens + offset; default 2.0",
    },
    "max_length_offset": {"type": int, "metavar": "N", "help": "the offset of that sum; default 10"},
    "num_best": {"type": int, "metavar": "N", "help": "print the N best of each line as INDEX ||| TEXT ||| SCORE"},
}


def add_search_arguments(parser: argparse.ArgumentParser, names: Sequence[str]) -> None:
    """Add these options of `SearchOptions`, which knows their default values (and is not imported: it needs torch)."""
    for name in names:
        parser.add_argument(f"--{name}", default=argparse.SUPPRESS, **SEARCH_OPTIONS[name])


def given_search_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The search options that stood on the command line, as keyword arguments of `SearchOptions`."""
    return {name: value for name, value in vars(arguments).items() if name in SEARCH_OPTIONS}
