"""The specification of a comparison: a YAML file that names the systems and what is equal for all of them.

    name: multi30k
    output_dir: runs/compare/multi30k     # default: runs/compare/NAME
    data:                                 # options of the data module, over those of the configs
      train: data/multi30k/train
    systems:
      lstm:
        config: ../multi30k/lstm.yaml     # beside this file; or a list of files
        overrides: {model.dropout: 0.3}   # options of `seq2seq fit`
        configs_tried: 2                  # how many were tried before this one: the tuning effort
    seeds: [1, 2, 3]
    budget: {minutes: 20}                 # one of target_tokens, updates, minutes, flops
    parameters: 6000000                   # widths are chosen so that each system has as many, within 2 %
    search: {beam_width: 5}               # options of `seq2seq test`
    attention: true                       # keep what the first seed's runs attended to
    devices: [0, 1]                       # CUDA devices, a run on each at a time
    jobs: 1                               # without devices: so many runs at a time
    slurm: {partition: gpu, timeout_min: 600}

Only name and systems must be there. Paths of configs start at the specification's folder; all others, as in the configs
themselves, at the folder where the command is called.
"""

import dataclasses
import difflib
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from seq2seq.decoding import SearchOptions
from seq2seq.evaluation.results import BUDGETS

# Options of `seq2seq fit` that the comparison gives each run itself.
_OUR_OPTIONS = ("config", "seed_everything", "data.seed", "run_dir", "resume", "overwrite")
# One translation is scored, the best that is found.
_NO_SEARCH = ("num_best", "num_samples", "temperature", "top_k", "top_p", "seed")
SEARCH = [f.name for f in dataclasses.fields(SearchOptions) if f.name not in _NO_SEARCH]


@dataclass(frozen=True)
class SystemSpec:
    """One of the systems to compare.

    Attributes:
        name: becomes part of the names of its folders.
        configs: paths from the working directory; the later ones win.
        overrides: options of `seq2seq fit` with dotted names; they win over the configs.
        configs_tried: the tuning effort; None if nobody said.
    """

    name: str
    configs: tuple[str, ...]
    overrides: dict[str, Any] = field(default_factory=dict)
    configs_tried: int | None = None


@dataclass(frozen=True)
class Spec:
    """A comparison as it was asked for.

    Attributes:
        name: of the comparison.
        output_dir: for runs, results and report.
        systems: in the order of the report.
        data: options of the data module for every system.
        seeds: of the trainings of each system.
        budget: kind and amount of what each training may spend, such as {"minutes": 20}; {}: as the configs say.
        parameters: how many each system is to have; None: as the configs say.
        search: options of `SearchOptions`.
        attention: whether the runs of the first seed keep their attention weights.
        devices: numbers of CUDA devices, one run on each at a time; (): whatever fit finds.
        jobs: runs at a time if no devices are given.
        slurm: submitit's parameters of a job.
    """

    name: str
    output_dir: Path
    systems: tuple[SystemSpec, ...]
    data: dict[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = (1,)
    budget: dict[str, float] = field(default_factory=dict)
    parameters: int | None = None
    search: dict[str, Any] = field(default_factory=dict)
    attention: bool = True
    devices: tuple[int, ...] = ()
    jobs: int = 1
    slurm: dict[str, Any] = field(default_factory=dict)


def read_spec(path: Path) -> Spec:
    """Read a specification and check all that can be checked without its configs and data.

    Raises:
        ValueError: it says something that is not possible; the message names file and key.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
        return _spec(content, path.parent)
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


class _Loader(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error: the first of two systems of one name would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [str(key.value) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        for key in keys:
            if keys.count(key) > 1:
                raise ValueError(f"{key} stands twice in one section (line {node.start_mark.line + 1})")
        return super().construct_mapping(node, deep)


def _spec(content: Any, folder: Path) -> Spec:
    content = _section(content, "the specification", [f.name for f in dataclasses.fields(Spec)])
    for key in ("name", "systems"):
        if key not in content:
            raise ValueError(f"{key} is missing")
    name = _name(content.pop("name"), "name")
    systems = content.pop("systems")
    if not isinstance(systems, dict) or not systems:
        raise ValueError("systems names nothing to compare; write a name and a config: for each system")
    spec = Spec(
        name=name,
        output_dir=Path(_text(content.pop("output_dir", f"runs/compare/{name}"), "output_dir")),
        systems=tuple(_system(system, value, folder) for system, value in systems.items()),
    )
    folded = [system.name.casefold() for system in spec.systems]
    if len(set(folded)) < len(folded):  # some file systems take them for one folder
        raise ValueError("two systems have names that differ in upper and lower case only; rename one")
    checks: dict[str, Callable[[Any], Any]] = {
        "data": _data,
        "seeds": lambda value: _integers(value, "seeds", at_least=0),
        "budget": _budget,
        "parameters": lambda value: int(_positive(value, "parameters", whole=True)),
        "search": _search,
        "attention": lambda value: _flag(value, "attention"),
        "devices": lambda value: _integers(value, "devices", at_least=0),
        "jobs": lambda value: int(_positive(value, "jobs", whole=True)),
        "slurm": lambda value: _section(value, "slurm"),
    }
    # A key without a value means what leaving it out means.
    given = {key: checks[key](value) for key, value in content.items() if value is not None}
    return dataclasses.replace(spec, **given)


def _system(name: Any, value: Any, folder: Path) -> SystemSpec:
    name = _name(name, "system")
    where = f"systems.{name}"
    value = _section(value, where, ["config", "overrides", "configs_tried"])
    configs = value.get("config")
    configs = [configs] if isinstance(configs, str) else configs
    if not isinstance(configs, list) or not configs or not all(isinstance(path, str) for path in configs):
        raise ValueError(f"{where}.config is {value.get('config')!r}; name a configuration of seq2seq fit, or a list")
    paths = [os.path.normpath(folder / path) for path in configs]
    if missing := [path for path in paths if not Path(path).is_file()]:
        raise ValueError(
            f"{where}.config: there is no file {missing[0]}; the path starts at the specification's folder"
        )
    overrides = {str(key): given for key, given in _section(value.get("overrides") or {}, f"{where}.overrides").items()}
    if ours := [key for key in overrides if key in _OUR_OPTIONS]:
        raise ValueError(f"{where}.overrides sets {ours[0]}, which the comparison sets for each run; leave it out")
    tried = value.get("configs_tried")
    tried = None if tried is None else int(_positive(tried, f"{where}.configs_tried", whole=True))
    return SystemSpec(name, tuple(paths), overrides, tried)


def _data(value: Any) -> dict[str, Any]:
    value = _section(value, "data")
    for key in ("tokenizer", "tests"):
        if value.get(key) is not None:
            _section(value[key], f"data.{key}")
    return value


def _budget(value: Any) -> dict[str, float]:
    value = _section(value, "budget", BUDGETS)
    if len(value) != 1:
        raise ValueError(f"budget names {' and '.join(value) or 'nothing'}; give exactly one of {', '.join(BUDGETS)}")
    [(kind, amount)] = value.items()
    return {kind: _positive(amount, f"budget.{kind}", whole=kind == "updates")}


def _search(value: Any) -> dict[str, Any]:
    value = _section(value, "search", SEARCH)
    kinds = {f.name: type(f.default) for f in dataclasses.fields(SearchOptions)}
    for key, setting in value.items():
        is_whole = type(setting) is int and kinds[key] is float  # 2 stands for 2.0
        if type(setting) is not kinds[key] and not is_whole:
            raise ValueError(f"search.{key} is {setting!r}; expected {kinds[key].__name__}")
    SearchOptions(**value)  # says itself what is not possible
    return value


def _section(value: Any, where: str, allowed: Iterable[str] | None = None) -> dict[Any, Any]:
    """A mapping, whose keys are among those allowed."""
    if not isinstance(value, dict):
        raise ValueError(f"{where} is {value!r}; expected keys and values")
    for key in value if allowed is not None else ():
        if key not in (allowed := list(allowed or ())):
            close = difflib.get_close_matches(str(key), allowed, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(allowed)}"
            raise ValueError(f"{where} has no key {key!r}; {hint}")
    return dict(value)


def _name(value: Any, where: str) -> str:
    if not re.fullmatch(r"[\w+][\w.+-]*", str(value)):
        raise ValueError(f"{where} {value!r} becomes a folder's name: use letters, digits, and . _ + - after the first")
    return str(value)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{where} is {value!r}; expected text")
    return value


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{where} is {value!r}; expected true or false")
    return value


def _integers(value: Any, where: str, *, at_least: int) -> tuple[int, ...]:
    numbers = value if isinstance(value, list) else [value]
    if not numbers or not all(type(number) is int and number >= at_least for number in numbers):
        raise ValueError(f"{where} is {value!r}; expected whole numbers from {at_least}, such as [1, 2, 3]")
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"{where} {value} names a number twice")
    return tuple(numbers)


def _positive(value: Any, where: str, *, whole: bool) -> float:
    """A positive number; YAML takes 1e15, which has no point, for text."""
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else 0.0
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf") or (whole and number != int(number)):
        raise ValueError(f"{where} is {value!r}; expected a positive {'whole ' if whole else ''}number")
    return number
