"""Command lines: a parser with one-line errors, and the options of everything that translates; no torch."""

import argparse
import dataclasses
import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from seq2seq.bundle import Bundle
    from seq2seq.decoding import SearchOptions, Utility


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
        return self.parse_intermixed_args(argv)

    def error(self, message: str) -> NoReturn:
        """Raise the message for `seq2seq.cli` to print; argparse, whose hook this is, would print its usage as well."""
        raise ValueError(f"{message} (see {self.prog} --help)")


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add MODEL, of which several are an ensemble, --ensemble, --weights, --device and --max_tokens_per_batch."""
    parser.add_argument(
        "models",
        metavar="MODEL",
        nargs="+",
        help="folder of a finished run, or the bundle model/ inside it; several with one tokenizer are an ensemble",
    )
    parser.add_argument(
        "--ensemble",
        choices=["linear", "log_linear"],
        default="linear",
        help="what is averaged at each step: the models' probabilities or their logarithms; default linear",
    )
    parser.add_argument(
        "--weights", type=float, nargs="+", metavar="W", help="of the models in that average; default equal ones"
    )
    parser.add_argument("--device", default="auto", help="auto (a GPU if there is one), cpu, cuda or cuda:N")
    parser.add_argument(
        "--max_tokens_per_batch",
        type=int,
        default=4096,
        metavar="N",
        help="source tokens searched at once, padding included; halved where memory does not suffice; default 4096",
    )


def loaded_model(arguments: argparse.Namespace, local_rank: int = 0) -> "Bundle":
    """The model or ensemble that the command line names, on its device."""
    from seq2seq.bundle import load_bundles
    from seq2seq.device_memory import keep_memory
    from seq2seq.translator import choose_device

    keep_memory()  # a program that calls `seq2seq.load` may want its memory otherwise
    device = choose_device(arguments.device, local_rank)
    return load_bundles(arguments.models, device, ensemble=arguments.ensemble, weights=arguments.weights)


SEARCH_OPTIONS: dict[str, dict[str, Any]] = {
    "beam_width": {"type": int, "metavar": "W", "help": "hypotheses kept per sentence, 1 is greedy; default 5"},
    "length_penalty": {
        "choices": ["average", "none", "gnmt"],
        "help": "log-probability per token, the plain sum, or Wu et al. 2016; default average",
    },
    "alpha": {"type": float, "metavar": "A", "help": "strength of the gnmt length penalty; default 0.6"},
    "coverage_penalty": {
        "type": float,
        "metavar": "B",
        "help": "what source positions without attention cost, beta of Wu et al. 2016; default 0.0",
    },
    "max_length_factor": {
        "type": float,
        "metavar": "F",
        "help": "a translation has at most factor * source tokens + offset; default 2.0",
    },
    "max_length_offset": {"type": int, "metavar": "N", "help": "the offset of that sum; default 10"},
    "num_best": {"type": int, "metavar": "N", "help": "print the N best of each line as INDEX ||| TEXT ||| SCORE"},
    "min_length": {"type": int, "metavar": "N", "help": "tokens that a translation has at least; default 0"},
    "no_repeat_ngram_size": {
        "type": int,
        "metavar": "N",
        "help": "no N tokens in a row come twice in a translation, 0 is off; default 0",
    },
    "allow_unk": {"action": "store_true", "help": "let the unknown token stand in a translation; default False"},
    "num_samples": {
        "type": int,
        "metavar": "N",
        "help": "draw N translations of each line, printed as the N best are, instead of searching; default 0",
    },
    "temperature": {"type": float, "metavar": "T", "help": "of the draws: below 1 safer, above 1 wilder; default 1.0"},
    "top_k": {"type": int, "metavar": "K", "help": "draw among the K most probable tokens, 0 is all; default 0"},
    "top_p": {"type": float, "metavar": "P", "help": "draw among the most probable tokens that sum to P; default 1.0"},
    "seed": {"type": int, "metavar": "N", "help": "of the draws; default 1"},
}


def add_search_arguments(parser: argparse.ArgumentParser, names: Sequence[str]) -> None:
    """Add these options of `SearchOptions`, which knows their default values (and is not imported: it needs torch)."""
    for name in names:
        parser.add_argument(f"--{name}", default=argparse.SUPPRESS, **SEARCH_OPTIONS[name])
    parser.add_argument(
        "--mbr",
        choices=["chrf", "bleu"],
        help="minimum Bayes risk: take what agrees best with the other samples, or with all that the beam ends with",
    )


def given_search_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The search options that stood on the command line, as keyword arguments of `SearchOptions`."""
    return {name: value for name, value in vars(arguments).items() if name in SEARCH_OPTIONS}


def search_options(arguments: argparse.Namespace) -> "SearchOptions":
    """What the command line asks for: without being told, sampling has no beam, and --mbr looks at a whole beam."""
    from seq2seq.decoding import SearchOptions

    given = given_search_options(arguments)
    if given.get("num_samples"):
        given.setdefault("beam_width", 1)
    options = SearchOptions(**given)
    if arguments.mbr and "num_best" not in given and not options.num_samples:
        options = dataclasses.replace(options, num_best=options.beam_width)
    return options


def chosen_utility(arguments: argparse.Namespace) -> "Utility | None":
    """What --mbr measures agreement by."""
    if not arguments.mbr:
        return None
    from seq2seq.evaluation.metrics import sentence_score

    return sentence_score(arguments.mbr)
