"""What a specification comes to: the runs with their commands, after all that can be wrong with them was looked for."""

import contextlib
import io
import json
import logging
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from seq2seq.comparison.runs import PROGRAM, Record, Run
from seq2seq.comparison.spec import Spec, SystemSpec
from seq2seq.comparison.widths import match_parameters
from seq2seq.corpus import fingerprint, outer_fingerprint
from seq2seq.datamodule import corpora
from seq2seq.evaluation.results import dotted
from seq2seq.models import ARCHITECTURES
from seq2seq.training.options import Configuration, read_configuration
from seq2seq.training.settings import by_name, examine, examine_settings, refuse_or_warn

# What must be the same for all systems. Batch sizes, for instance, need not: they belong to a system's recipe.
SAME_DATA = ("src_lang", "tgt_lang", "train", "valid", "tests", "tokenizer", "max_length")
# Options that say where and how a run is done, and not what comes out.
_OF_NO_CONSEQUENCE = {"run_dir", "resume", "overwrite", "trainer.enable_progress_bar", "data.cache_dir"}


def plan(spec: Spec, *, here: bool = True) -> list[Run]:
    """The runs of a comparison, the first seed of all systems first.

    Reads the configurations as `seq2seq fit` does, says its warnings, and prepares the data: trains the tokenizer and
    fills the cache.

    Args:
        spec: what is compared.
        here: whether this machine is to train, so that what it cannot do is an error.

    Raises:
        ValueError: a system's configuration or the data is not possible, or the systems have not the same data.
    """
    logging.getLogger("lightning.fabric.utilities.seed").setLevel(logging.WARNING)  # nothing is trained here
    configurations = {}
    for system in spec.systems:
        with _errors_that_name(system):
            configurations[system.name] = read_configuration(_options(spec, system))
            _refuse_second_budget(spec, configurations[system.name].as_dict()["budget"])
            architecture = ARCHITECTURES[configurations[system.name].model.architecture]
            if spec.search.get("coverage_penalty") and not architecture.has_attention:
                raise ValueError("search.coverage_penalty needs attention, which this system has not; leave it out")
            if configurations[system.name].datamodule.max_tokens_per_batch == "auto":
                raise ValueError("data.max_tokens_per_batch auto gives each system other batches; write a number")
        given = by_name(configurations[system.name].config.as_dict())
        refuse_or_warn(examine(given) if here else examine_settings(given), of=f"system {system.name}: ")
    sections = {name: one.as_dict()["data"] for name, one in configurations.items()}
    _refuse_unequal_data(sections)
    data = next(iter(sections.values()))
    if not data["tests"]:
        raise ValueError("there is no test set; name one under data.tests of the specification")
    next(iter(configurations.values())).datamodule.prepare_data()
    fingerprints = fingerprints_of(data)

    runs = []
    widths = {system.name: _widths(spec, system, configurations[system.name]) for system in spec.systems}
    for seed in spec.seeds:
        for system in spec.systems:
            folder = spec.output_dir / "runs" / f"{system.name}-{seed}"
            sizes = [f"--model.{name}={width}" for name, width in widths[system.name].items()]
            seeds = [f"--seed_everything={seed}", f"--data.seed={seed}"]
            fit = ("fit", *_options(spec, system), *sizes, *seeds, f"--run_dir={folder}")
            keeps_attention = spec.attention and seed == spec.seeds[0]
            search = [
                f"--{key}" if value is True else f"--{key}={value}"
                for key, value in spec.search.items()
                if value is not False
            ]
            test = ("test", str(folder), *search, *(["--attention"] if keeps_attention else []))
            config = configurations[system.name].as_dict()
            config["model"]["init_args"] |= widths[system.name]
            config["seed_everything"] = config["data"]["seed"] = seed
            runs.append(Run(system.name, seed, folder, (PROGRAM + fit, PROGRAM + test), config, fingerprints))
    return runs


def begin(run: Run) -> None:
    """Note down what is to be done, beside what is done already.

    Raises:
        ValueError: the run began under another specification, or its folder holds something else.
    """
    config_file, record_file = run.folder / "config.yaml", run.beside(".json")
    record = Record([list(command) for command in run.commands], run.fingerprints)
    if run.folder.exists() and not record_file.exists():
        raise ValueError(f"{run.folder} is there and belongs to no comparison; give another output_dir, or delete it")
    if config_file.exists():
        earlier = run.record
        what = ""
        if change := first_change(yaml.safe_load(config_file.read_text(encoding="utf-8")), run.config):
            what = "{} {}, the specification now says {}".format(*change)
        elif change := first_change(earlier.fingerprints, run.fingerprints):
            what = f"other text in {change[0]}"
        if change:
            raise ValueError(
                f"run {run} began with {what}; give another output_dir, or delete {run.folder} to train it again"
            )
        record.error = earlier.error
        record.done = min(earlier.done, _num_done(run))
        if earlier.commands[1:] != record.commands[1:]:  # other search options: the test is done again
            record.done = min(record.done, 1)
        if record == earlier:
            return
    record_file.parent.mkdir(parents=True, exist_ok=True)
    record.write(record_file)


def _num_done(run: Run) -> int:
    """Of how many commands the results are there: somebody may have deleted some."""
    if not (run.folder / "model" / "config.json").is_file():
        return 0
    is_tested = all((run.folder / "test" / f"{name}.json").is_file() for name in run.config["data"]["tests"])
    return 2 if is_tested else 1


def fingerprints_of(data: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 of each of the `corpora`."""
    langs = data["src_lang"], data["tgt_lang"]
    return {
        option: (outer_fingerprint if data["streaming"] and option.startswith("data.train") else fingerprint)(
            corpus, *langs
        )
        for option, corpus in corpora(data).items()
    }


def first_change(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """The first option that both name with different values, and the two values.

    Names are dotted, in the order of `before`. An option that one of them lacks is no change: a later version may have
    more of them.
    """
    values = dict(dotted(now))
    for option, value in dotted(before):
        if option not in _OF_NO_CONSEQUENCE and values.get(option, value) != value:
            return option, value, values[option]
    return None


def _options(spec: Spec, system: SystemSpec) -> list[str]:
    """The options of `seq2seq fit` that all seeds of a system have in common."""
    data = {f"data.{key}": value for key, value in spec.data.items() if key != "tokenizer"}
    data |= {f"data.tokenizer.{key}": value for key, value in (spec.data.get("tokenizer") or {}).items()}
    options = [f"--config={config}" for config in system.configs]
    for key, value in (data | system.overrides).items():
        options.append(f"--{key}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")
    for kind, amount in spec.budget.items():
        whole = int(amount) if amount == int(amount) else amount
        # Nothing else may end the training.
        options += [f"--budget.{kind}={whole}", "--trainer.max_steps=-1", "--trainer.max_epochs=-1"]
    return options


def _refuse_second_budget(spec: Spec, budget: Mapping[str, Any]) -> None:
    others = [kind for kind, amount in budget.items() if amount is not None and kind not in spec.budget]
    if spec.budget and others:
        raise ValueError(f"its configuration sets budget.{others[0]} beside the budget of the comparison; remove it")


@contextlib.contextmanager
def _errors_that_name(system: SystemSpec) -> Iterator[None]:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            yield
    except SystemExit:  # how the parser of `seq2seq fit` ends, having printed its line
        line = said.getvalue().strip().rpartition("\n")[2].removeprefix("seq2seq: error: ")
        raise ValueError(f"system {system.name}: {line}") from None
    except (ValueError, FileNotFoundError) as error:
        raise ValueError(f"system {system.name}: {error}") from None


def _widths(spec: Spec, system: SystemSpec, configuration: Configuration) -> dict[str, int]:
    """The widths with which a system has the parameters that the specification demands; {} if it demands none."""
    if spec.parameters is None:
        return {}
    data, model = configuration.datamodule, configuration.model
    data.prepare_data()
    sizes = data.tokenizers.src.vocab_size, data.tokenizers.tgt.vocab_size
    with _errors_that_name(system):
        found = match_parameters(model.architecture, model.model_config, *sizes, spec.parameters)
    figures = ", ".join(f"{name} {width}" for name, width in found.items())
    print(f"{system.name}: {figures} for {spec.parameters:,} parameters", file=sys.stderr)
    return found


def _refuse_unequal_data(sections: Mapping[str, Mapping[str, Any]]) -> None:
    (first, expected), *others = sections.items()
    for name, data in others:
        alike = [{"data": {key: side[key] for key in SAME_DATA}} for side in (expected, data)]
        if change := first_change(*alike):
            option, before, now = change
            raise ValueError(
                f"{option} is {before} in system {first} and {now} in {name}; all systems need the same data: set it "
                "under data of the specification"
            )
