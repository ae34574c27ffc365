"""The language of configurations: short names of the architectures, and errors of one line.

    model:
      class_path: transformer        # or lstm, attention; a dotted class path works as well
      init_args: {d_model: 256}

On the command line `--model transformer --model.d_model 256`.
"""

import dataclasses
import difflib
import inspect
import re
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

import jsonargparse
import yaml
from lightning.pytorch.cli import LightningArgumentParser

from seq2seq.training.systems import SYSTEMS

CLASS_PATHS = {name: f"{system.__module__}.{system.__qualname__}" for name, system in SYSTEMS.items()}
PARSER_MODE = "seq2seq"


def long_form(argv: list[str]) -> list[str]:
    """`--model lstm` as the class path it stands for, and `--config A B` as `--config A --config B`."""
    result: list[str] = []
    is_config = False  # whether the last option was --config, which may take several files
    for arg in argv:
        previous = result[-1] if result else ""
        if arg.startswith("-"):
            is_config = arg in ("-c", "--config")
            option, equals, value = arg.partition("=")
            result.append(f"--model={CLASS_PATHS.get(value, value)}" if option == "--model" and equals else arg)
        elif is_config and previous not in ("-c", "--config"):
            result += ["--config", arg]
        else:
            result.append(CLASS_PATHS.get(arg, arg) if previous == "--model" else arg)
    return result


def _load_yaml(text: str) -> Any:
    """YAML in which `class_path: transformer` names an architecture."""
    value = yaml.safe_load(text)
    model = value.get("model") if isinstance(value, dict) else None
    if isinstance(model, str):
        value["model"] = CLASS_PATHS.get(model, model)
    elif isinstance(model, dict) and "class_path" in model:
        model["class_path"] = CLASS_PATHS.get(model["class_path"], model["class_path"])
    return value


jsonargparse.set_loader(PARSER_MODE, _load_yaml, (yaml.YAMLError,))


class Parser(LightningArgumentParser):
    """Ends with one line and exit code 2 on a wrong configuration, and names the key that was probably meant."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        print(f"seq2seq: error: {explain(message, list(self._known_keys()))}", file=sys.stderr)
        sys.exit(2)

    def _known_keys(self) -> Iterator[str]:
        yield from (action.dest for action in self._actions)
        for system in SYSTEMS.values():
            for parameter in inspect.signature(system).parameters.values():
                yield f"model.{parameter.name}"
                if dataclasses.is_dataclass(parameter.default):
                    yield from (f"model.{parameter.name}.{f.name}" for f in dataclasses.fields(parameter.default))


def explain(message: str, known_keys: list[str]) -> str:
    """One line out of jsonargparse's message: what came, what is allowed, what was probably meant."""
    unknown = re.search(r"accept option '([^']+)'|Option '([^']+)' is not|unrecognized arguments: --([\w.]+)", message)
    if unknown:
        key = next(filter(None, unknown.groups()))
        if key == "class_path":
            return "model has other keys beside class_path; they belong under model.init_args"
        return f"unknown key {key}; {_suggest(key, known_keys)}"
    model = re.search(r"""import path string: (\S+)|class_path '([^']+)'|path (\S+) does not correspond""", message)
    if model is None and "Import path does not correspond" in message:
        model = re.search(r"Given value: (\S+)", message)
    if model and message.startswith('Parser key "model":'):
        name = next(filter(None, model.groups()))
        close = difflib.get_close_matches(name, CLASS_PATHS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"use {', '.join(CLASS_PATHS)}"
        return f"unknown model {name}; {hint}"
    wrong = re.fullmatch(r'Parser key "([^"]+)":\s*Expected an? (.+)\. Got value: (.*)', message, re.DOTALL)
    several = re.match(r'Parser key "([^"]+)":.*Subtypes: \[(.*?)\]\s*Errors:.*Given value: (\S+)', message, re.DOTALL)
    if wrong or several:
        key, expected, value = (wrong or several).groups()  # type: ignore[union-attr]
        expected = re.sub(r"<class '(\w+)'>", r"\1", expected).replace("typing.Literal", "one of ")
        return f"{key} is {value}; expected {expected}"
    missing = re.search(r"arguments are required: (.+)", message)
    if missing and missing[1] == "model":
        return f"no model is named; add --model with one of {', '.join(CLASS_PATHS)}"
    if missing:
        return f"missing {missing[1]}; set it in a --config file or on the command line"
    return " ".join(re.sub(r'Parser key "([^"]+)":', r"\1:", message).split())


def _suggest(key: str, known_keys: list[str]) -> str:
    """The known key that is nearest, by the part that no key has: messages may lack what stands before it."""
    parts: dict[str, str] = {}
    for known in known_keys:
        for end in re.finditer(r"\.|$", known):
            parts.setdefault(known[: end.start()].rpartition(".")[2], known[: end.start()])
    if f"model.{key}" in parts.values():
        return f"did you mean model.{key}, which not every model has?"
    *sections, last = key.split(".")
    wrong = next((section for section in sections if section not in parts), last)
    close = difflib.get_close_matches(wrong, parts, n=1)
    return f"did you mean {parts[close[0]]}?" if close else "seq2seq fit --print_config shows all keys"
