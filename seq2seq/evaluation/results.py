"""The results of a comparison as data: what `seq2seq compare` writes and every report is made from.

One JSON file holds everything: the test sets' text, each run's translations, costs, configuration and origin. Scores
are not in it: they are computed from the translations, so they cannot disagree with them. docs/results-format.md
describes the file; `FORMAT` rises when a reader of the old form could misread the new one.
"""

import dataclasses
import hashlib
import json
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from seq2seq.atomic import write_whole

FORMAT = 1
BUDGETS = ("target_tokens", "updates", "minutes", "flops")


@dataclass(frozen=True)
class TestSet:
    """Sentences that every run translates.

    Attributes:
        name: such as "test_2016_flickr".
        sources: raw text; empty if only references are known (foreign systems).
        references: raw text, one reference a source.
        rarest_word_frequency: for each source, how often its rarest word stands in the training text; None if unknown.
    """

    name: str
    sources: list[str]
    references: list[str]
    rarest_word_frequency: list[int] | None = None


@dataclass(frozen=True)
class Attention:
    """Attention of one translation.

    Attributes:
        source_pieces: S pieces, the end of sentence last.
        target_pieces: T pieces, the end of sentence last.
        weights: T * S bytes row by row, base64; 255 stands for 1.
    """

    source_pieces: list[str]
    target_pieces: list[str]
    weights: str


@dataclass(frozen=True)
class Output:
    """What a run made of one test set.

    Attributes:
        hypotheses: detokenized translations, line for line.
        seconds: time of translating them, None if unknown.
        search: options of the search, {} if unknown.
        attention: one for each sentence (None: no attention kept for it), or [] if the run has none.
    """

    hypotheses: list[str]
    seconds: float | None = None
    search: dict[str, Any] = field(default_factory=dict)
    attention: list[Attention | None] = field(default_factory=list)


@dataclass(frozen=True)
class Point:
    """One validation: what had been spent until then, and the scores."""

    updates: int
    target_tokens: int
    minutes: float  # of training alone
    valid_bleu: float
    valid_loss: float


@dataclass(frozen=True)
class Run:
    """One training of one system with one seed, or one foreign system's files.

    Attributes:
        system: name of the system.
        seed: of the training; None for a foreign system.
        outputs: by name of the test set.
        training: figures of the finished model: parameters, updates, target_tokens, minutes (wall-clock),
            minutes_in_updates (training alone), minutes_in_validations, minutes_in_checkpoints, flops,
            peak_memory_bytes, valid_bleu, ...; {} for a foreign system.
        curve: the validations in order.
        config: the complete configuration of `seq2seq fit`; {} for a foreign system.
        commands: what repeats the run, to be typed in this order.
        origin: hardware, versions and hashes: cpu, device, num_threads, python, torch, seq2seq, git_commit,
            train_sha256, valid_sha256, tokenizer_sha256, bundle_sha256, ... ; whatever is known.
    """

    system: str
    seed: int | None
    outputs: dict[str, Output]
    training: dict[str, Any] = field(default_factory=dict)
    curve: list[Point] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    origin: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class System:
    """One of the systems compared.

    Attributes:
        name: unique.
        architecture: "lstm", "attention" or "transformer"; None for a foreign system.
        configs_tried: how many configurations were tried before this one was settled: the tuning effort; None if
            nobody said.
    """

    name: str
    architecture: str | None = None
    configs_tried: int | None = None


@dataclass(frozen=True)
class Results:
    """A comparison.

    Attributes:
        name: of the comparison.
        budget: kind and amount of what every training could spend: "target_tokens", "updates", "minutes" or "flops";
            {} if there was none in common.
        parameters: how many parameters each system was to have; None if they were as configured.
        systems: in the order of the specification.
        test_sets: in the order of the specification.
        runs: any number for each system.
    """

    name: str
    systems: list[System]
    test_sets: list[TestSet]
    runs: list[Run]
    budget: dict[str, float] = field(default_factory=dict)
    parameters: int | None = None
    format: int = FORMAT

    def __post_init__(self) -> None:
        if len(self.budget) > 1 or not self.budget.keys() <= set(BUDGETS):
            raise ValueError(f"the budget is {self.budget}; it must be one of {', '.join(BUDGETS)}, or none")
        _refuse_doubles([system.name for system in self.systems], "system")
        _refuse_doubles([test.name for test in self.test_sets], "test set")
        _refuse_doubles([f"{run.system}, seed {run.seed}" for run in self.runs], "run")
        for test in self.test_sets:
            for what, lines in (
                ("sources", test.sources or test.references),
                ("frequencies", test.rarest_word_frequency),
            ):
                if lines is not None and len(lines) != len(test.references):
                    raise ValueError(f"test set {test.name}: {len(lines)} {what}, {len(test.references)} references")
        for system in self.systems:
            if not any(run.system == system.name for run in self.runs):
                raise ValueError(f"system {system.name} has no finished run")
        for run in self.runs:
            who = run.system if run.seed is None else f"{run.system}, seed {run.seed}"
            if run.system not in [system.name for system in self.systems]:
                raise ValueError(f"run {who}: there is no such system")
            for test in self.test_sets:
                if test.name not in run.outputs:
                    raise ValueError(f"run {who} did not translate {test.name}, which others did")
                count = len(run.outputs[test.name].hypotheses)
                if count != len(test.references):
                    raise ValueError(
                        f"run {who}: {count} hypotheses for {test.name}, {len(test.references)} references"
                    )

    def runs_of(self, system: str) -> list[Run]:
        """The runs of one system, by seed."""
        return sorted((run for run in self.runs if run.system == system), key=lambda run: run.seed or 0)


def merge(several: Sequence[Results]) -> Results:
    """Results of several machines, or foreign systems, as one comparison.

    Raises:
        ValueError: a test set has other sentences in one than in another, a run stands in both, a run lacks a test set,
            or what the trainings could spend differs.
    """
    first = several[0]
    trained = [results for results in several if any(run.training for run in results.runs)] or [first]
    systems, tests = {s.name: s for s in first.systems}, {t.name: t for t in first.test_sets}
    runs = list(first.runs)
    for other in several[1:]:
        for test in other.test_sets:
            known = tests.setdefault(test.name, test)
            if (known.references, known.sources or test.sources) != (test.references, test.sources or known.sources):
                raise ValueError(f"test set {test.name} has other sentences in {other.name} than in {first.name}")
            if not known.sources or known.rarest_word_frequency is None:
                tests[test.name] = dataclasses.replace(
                    known,
                    sources=known.sources or test.sources,
                    rarest_word_frequency=known.rarest_word_frequency or test.rarest_word_frequency,
                )
        for system in other.systems:
            known_system = systems.setdefault(system.name, system)
            if known_system != system:
                raise ValueError(f"system {system.name} differs between {first.name} and {other.name}; rename one")
        runs += other.runs
    one, *others = trained
    for other in others:
        if (other.budget, other.parameters) != (one.budget, one.parameters):
            raise ValueError(
                f"{other.name} has budget {other.budget or 'none'} and parameters {other.parameters}, {one.name} "
                f"{one.budget or 'none'} and {one.parameters}; they cannot be one comparison"
            )
    return dataclasses.replace(
        first,
        systems=[*systems.values()],
        test_sets=[*tests.values()],
        runs=runs,
        budget=one.budget,
        parameters=one.parameters,
    )


def dotted(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The options of a configuration with their dotted names; corpora, whose names are not fixed, are one."""
    for key, value in options.items():
        if isinstance(value, dict) and value and key not in ("train", "tests"):
            yield from dotted(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def sha256_of_lines(lines: Sequence[str]) -> str:
    """Of the text, as `sha256sum` gives it for the file of these lines."""
    return hashlib.sha256("".join(line + "\n" for line in lines).encode()).hexdigest()


def write_results(results: Results, path: Path) -> None:
    """Write the file, whole or not at all."""
    text = json.dumps(dataclasses.asdict(results), ensure_ascii=False, indent=1, allow_nan=False)
    write_whole(path, text + "\n")


def read_results(path: Path) -> Results:
    """Read a file that `write_results` wrote, and check it.

    Raises:
        ValueError: it is something else; the message names the file and the place in it.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or "format" not in content:
            raise ValueError("not the results of a comparison; give a results.json that seq2seq compare wrote")
        if content["format"] != FORMAT:
            raise ValueError(f"results of format {content['format']}; this version reads format {FORMAT}")
        results = _build(Results, content, "results")
    except ValueError as error:  # JSON's and Unicode's errors are ValueErrors as well
        raise ValueError(f"{path}: {error}") from None
    assert isinstance(results, Results)
    return results


def _build(kind: Any, value: Any, where: str) -> Any:
    """JSON's value as the type that a dataclass declares."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _build(next(a for a in arguments if a is not type(None)), value, where)
    if origin is list and isinstance(value, list):
        return [_build(arguments[0], item, f"{where}[{index}]") for index, item in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {key: _build(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(kind) and isinstance(kind, type) and isinstance(value, dict):
        hints = get_type_hints(kind)
        if unknown := value.keys() - hints.keys():
            raise ValueError(f"{where} has an unknown key {min(unknown)}")
        required = {f.name for f in dataclasses.fields(kind) if f.default is f.default_factory is dataclasses.MISSING}
        if missing := required - value.keys():
            raise ValueError(f"{where} lacks the key {min(missing)}")
        return kind(**{key: _build(hints[key], item, f"{where}.{key}") for key, item in value.items()})
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(kind, type) and isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    raise ValueError(f"{where} is {str(value)[:40]!r}; expected {getattr(kind, '__name__', kind)}")


def _refuse_doubles(names: Sequence[str], what: str) -> None:
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise ValueError(f"{what} {double} stands in the results twice")
