"""`seq2seq doctor`: what is wrong with a configuration and its data, and what the training would take."""

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

from seq2seq.atomic import write_whole
from seq2seq.audit.findings import EXIT_CODES, Finding, Section, exit_code
from seq2seq.device_memory import keep_memory
from seq2seq.doctor.corpora import examine_files, examine_text_of, examine_vocabulary_of
from seq2seq.doctor.training import examine_training
from seq2seq.training.machine import device_type, num_processes
from seq2seq.training.options import Configuration, command_line
from seq2seq.training.settings import Given, by_name, examine

_USAGE = """\
usage: seq2seq doctor CONFIG [CONFIG...] [--quick] [--json FILE] [options of seq2seq fit]

Examines a configuration and its data, and trains a few steps to tell how long a training takes and what memory it
needs. Writes nothing but the tokenised text, which `seq2seq fit` then finds.

  --quick      no more than what is seen without reading corpora and without training steps
  --json FILE  write all that is found into FILE too

Exit code: 0 nothing or notes, 1 warnings, 2 errors.
"""


def main(argv: list[str]) -> int:
    """Examine as the command line says. Returns the exit code."""
    if {"-h", "--help"} & set(argv):
        print(_USAGE, end="")
        sys.exit(0)
    argv, quick, json_file = _own_options(argv)
    keep_memory()  # or steps would take longer than those of `fit`
    with _without_news():
        return _main(argv, quick, json_file)


def _main(argv: list[str], quick: bool, json_file: Path | None) -> int:
    configuration = command_line(Configuration, argv)
    sections = []
    load = os.getloadavg()[0]
    for section in _examine(configuration, quick=quick, load=load):
        section.print(sys.stdout)
        sys.stdout.flush()
        sections.append(section)
    code = exit_code(sections)
    if json_file is not None:
        content = {"exit_code": code, "sections": [section.as_dict() for section in sections]}
        write_whole(json_file, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    levels = [finding.level for section in sections for finding in section.findings]
    counts = [(levels.count(level), level) for level in reversed(EXIT_CODES)]
    print("\n" + ", ".join(f"{count} {level}{'s' * (count != 1)}" for count, level in counts))
    return code


@contextmanager
def _without_news() -> Iterator[None]:
    """Lightning says what it begins and with what, which is no finding."""
    loggers = [logging.getLogger(f"lightning.{name}") for name in ("fabric.utilities.seed", "pytorch", "fabric")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _own_options(argv: list[str]) -> tuple[list[str], bool, Path | None]:
    """The arguments for `seq2seq fit`, and what --quick and --json say."""
    rest: list[str] = []
    quick, json_file = False, None
    remaining = iter(argv)
    for argument in remaining:
        option, equals, value = argument.partition("=")
        if argument == "--quick":
            quick = True
        elif option == "--json":
            if not (name := value if equals else next(remaining, "")):
                raise ValueError("--json needs the name of a file")
            json_file = Path(name)
        else:
            rest.append(argument)
    configs = list(takewhile(lambda argument: not argument.startswith("-"), rest))
    options = [option for config in configs for option in ("--config", config)]
    return options + rest[len(configs) :], quick, json_file


def _examine(configuration: Configuration, *, quick: bool, load: float) -> Iterator[Section]:
    """The sections, the cheap ones first; what needs something that is wrong is left out."""
    config = configuration.config.as_dict()
    given = by_name(config)
    settings = Section("Configuration", [_in_short(given)], findings=examine(given))
    yield settings
    files = examine_files(config["data"])
    yield files
    if quick or exit_code([files]) == 2:
        return
    seen = [settings]
    for section in examine_text_of(config["data"]):
        yield section
        seen.append(section)
    errors = [finding for section in seen for finding in section.findings if finding.level == "error"]
    if any(error.check != "shifted" for error in errors):  # shifted text can be read, and trained on
        return
    try:
        configuration.datamodule.prepare_data()
    except (OSError, ValueError) as error:
        yield Section("Tokenizer", findings=[Finding("tokenizer", "error", str(error))])
        return
    if not config["data"]["streaming"]:
        yield examine_vocabulary_of(config["data"], configuration.datamodule.tokenizers)
    yield examine_training(configuration.model, configuration.datamodule, given, load=load)


def _in_short(given: Given) -> str:
    """Architecture and place of the training."""
    name = given["model.class_path"].rpartition(".")[2]
    processes = num_processes(given)
    count = "as many processes as are started" if processes is None else f"{processes} process{'es' * (processes > 1)}"
    return f"{name} on {device_type(given)}, {count}, precision {given['trainer.precision'] or '32-true'}"
