"""What is wrong with a configuration as a whole, though each of its values is possible: seen before anything is read.

Whether every setting has an effect is answered here, whether the training fits to this machine in `machine.py`.
"""

import dataclasses
import importlib
import inspect
import math
import sys
from collections.abc import Mapping
from typing import Any

import lightning as L
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from seq2seq.audit.findings import Finding
from seq2seq.batching import round_up
from seq2seq.datamodule import TokenizerConfig, TranslationDataModule
from seq2seq.decoding import SearchOptions
from seq2seq.evaluation.results import dotted
from seq2seq.training.machine import examine_machine, num_processes
from seq2seq.training.schedules import Optimization
from seq2seq.training.sharding import refuse_what_cannot_be_sharded

_NESTED = (Optimization, SearchOptions, TokenizerConfig)

Given = Mapping[str, Any]  # the value of each setting by its name on the command line: "model.optimization.lr"


def by_name(config: Mapping[str, Any]) -> Given:
    """The settings of a complete configuration, as the parser gives it; the trainer's objects are one setting each."""
    trainer = {f"trainer.{name}": value for name, value in config["trainer"].items()}
    others = dotted({section: value for section, value in config.items() if section != "trainer"})
    return trainer | {name.replace("model.init_args.", "model."): value for name, value in others}


def examine(given: Given) -> list[Finding]:
    """The findings on a complete configuration with which this machine is to train."""
    findings = examine_settings(given)
    return findings if any(finding.level == "error" for finding in findings) else findings + examine_machine(given)


def examine_settings(given: Given) -> list[Finding]:
    """The findings on a complete configuration, whichever machine trains."""
    try:
        _refuse_the_impossible(given)
    except ValueError as error:
        return [Finding("impossible settings", "error", str(error))]
    return [*_idle_settings(given), *_what_never_happens(given)]


def refuse_or_warn(findings: list[Finding], *, of: str = "") -> None:
    """What `fit` and `compare` do about findings: the first process says the warnings on standard error, a line each.

    Args:
        findings: of `examine` or `examine_settings`.
        of: what a message begins with; `compare` names a system.

    Raises:
        ValueError: there is an error; its message.
    """
    for finding in findings:
        if finding.level == "error":
            raise ValueError(f"{of}{finding.message}")
    for finding in findings:
        if finding.level == "warning" and getattr(rank_zero_only, "rank", 0) == 0:
            print(f"seq2seq: warning: {of}{finding.message}", file=sys.stderr)


def _refuse_the_impossible(given: Given) -> None:
    """ValueError for settings of which each is possible, or nearly, and which do not go together."""
    if not 0 <= given["ema_decay"] < 1:
        raise ValueError(f"ema_decay is {given['ema_decay']}; it must lie between 0 (off) and 1, such as 0.999")
    for name in ("keep_best", "keep_last"):
        if given[name] < 1:
            raise ValueError(f"{name} is {given[name]}; it must be at least 1")
    strategy = str(given["trainer.strategy"])
    if strategy == "fsdp":
        precision = str(given["trainer.precision"])
        refuse_what_cannot_be_sharded(given["ema_decay"], precision, given["data.max_tokens_per_batch"])
    elif "fsdp" in strategy.lower() or "ModelParallel" in strategy:
        name = given["trainer.strategy"]["class_path"] if isinstance(given["trainer.strategy"], dict) else strategy
        raise ValueError(f"trainer.strategy is {name}, which cannot share these models out; use fsdp")
    if given["trainer.limit_train_batches"] in (0, 0.0):
        raise ValueError("trainer.limit_train_batches is 0, which leaves no updates; leave it out")
    for name in ("optimizer", "lr_scheduler"):  # which Lightning offers beside
        if given.get(name) or given.get(f"{name}.class_path"):
            raise ValueError(f"{name} is set, but a model here brings its own; set model.optimization instead")
    if given["trainer.use_distributed_sampler"] and num_processes(given) != 1:
        raise ValueError(
            "trainer.use_distributed_sampler is true, but batches are shared out already, and Lightning fails to do it "
            "again; leave it out"
        )
    if given["data.streaming"] and not isinstance(given["trainer.val_check_interval"], int):
        raise ValueError("a stream has no end to validate at; set trainer.val_check_interval to a number of batches")


def _idle_settings(given: Given) -> list[Finding]:
    """Settings that somebody has changed and that nothing reads, given the others."""
    optimization, search, tokenizer = "model.optimization.", "model.search.", "data.tokenizer."
    longest = round_up(given["data.max_length"], given["data.pad_to_multiple_of"])
    ends_early = (
        given["patience"] or given["trainer.max_time"] or given["trainer.callbacks"] or _has_other_budget(given)
    )
    # If so, the settings have no effect, because.
    table: list[tuple[Any, str, list[str], str]] = [
        (
            given["data.tokenizer.path"],
            tokenizer,
            ["kind", "vocab_size", "joint", "character_coverage", "normalization"],
            "data.tokenizer.path names one that is trained",
        ),
        (given.get(optimization + "optimizer") == "sgd", optimization, ["betas"], "sgd has none"),
        (given.get(optimization + "optimizer") != "sgd", optimization, ["momentum"], "only sgd has it"),
        (
            given.get(optimization + "schedule") != "plateau",
            optimization,
            ["patience"],
            "only the schedule plateau has it; what ends a training early is the other --patience",
        ),
        (given.get(optimization + "schedule") == "plateau", optimization, ["warmup_steps"], "plateau has no warm-up"),
        (
            given.get(search + "beam_width") == 1,
            search,
            ["length_penalty", "alpha"],
            "a search with beam_width 1 compares no translations",
        ),
        (given.get(search + "length_penalty") != "gnmt", search, ["alpha"], "only the length_penalty gnmt has it"),
        (True, search, ["num_best"], "a validation takes the best translation alone"),
        (given.get(search + "num_samples", 0) > 1, search, ["num_samples"], "a validation takes the first one alone"),
        (given.get("model.positions") == "sinusoidal", "model.", ["max_positions"], "sinusoidal positions never end"),
        (
            (given.get("model.bptt_steps") or 0) >= longest,
            "model.",
            ["bptt_steps"],
            f"no side of a training pair is longer than data.max_length, {longest}",
        ),
        (
            not given["trainer.gradient_clip_val"],
            "trainer.",
            ["gradient_clip_algorithm"],
            "trainer.gradient_clip_val is off",
        ),
        (given["budget.updates"], "trainer.", ["max_steps"], "budget.updates takes its place"),
        (not ends_early, "trainer.", ["min_epochs", "min_steps"], "nothing ends the training before its last update"),
        (True, "trainer.", ["limit_test_batches", "limit_predict_batches"], "fit neither tests nor predicts"),
        (True, "trainer.", ["default_root_dir"], "run_dir takes its place"),
        (True, "trainer.", ["sync_batchnorm"], "no model here has batch norm"),
        (True, "trainer.", ["enable_autolog_hparams"], "the hyperparameters stand in config.yaml alone"),
    ]
    defaults = _defaults(given["model.class_path"])
    found: dict[str, Finding] = {}
    for is_idle, section, names, why in table:
        for name in (section + name for name in names):
            if is_idle and given.get(name) != defaults.get(name) and name not in found:
                message = f"{name} {given[name]} has no effect: {why}; leave it out"
                found[name] = Finding("idle setting", "warning", message)
    return list(found.values())


def _defaults(class_path: str) -> dict[str, Any]:
    """Of the settings of data, trainer and this model."""
    module, _, name = class_path.rpartition(".")
    system = getattr(importlib.import_module(module), name)
    found: dict[str, Any] = {}
    for section, owner in (("data", TranslationDataModule), ("trainer", L.Trainer), ("model", system)):
        for parameter in inspect.signature(owner).parameters.values():
            default: Any = parameter.default
            default = dataclasses.asdict(default) if isinstance(default, _NESTED) else default
            found |= dotted({section: {parameter.name: default}})
    return found


def _has_other_budget(given: Given) -> bool:
    """Whether something else than updates is counted."""
    return any(given[f"budget.{kind}"] for kind in ("target_tokens", "minutes", "flops"))


def _what_never_happens(given: Given) -> list[Finding]:
    """What waits for a number of validations, updates or tokens that this training does not come to."""
    if given["trainer.fast_dev_run"]:
        return []
    messages = []
    if given["trainer.limit_val_batches"] in (0, 0.0):
        messages.append("trainer.limit_val_batches is 0: without a validation there will be no model; leave it out")
    updates = last_update(given)
    validations = _most_validations(given, updates)
    schedule = given.get("model.optimization.schedule")
    waiting = [("patience", given["patience"])]
    if schedule == "plateau":
        waiting.append(("model.optimization.patience", given["model.optimization.patience"]))
    for name, patience in waiting:
        # The first validation is the best so far, and after the last there is nothing to end.
        if validations is not None and patience and patience + 1 >= validations:
            messages.append(
                f"{name} {patience} never acts: there are at most {validations} validations; lower it, or validate "
                "more often (trainer.val_check_interval)"
            )
    if updates is not None and schedule not in (None, "plateau"):
        warmup = given["model.optimization.warmup_steps"]
        if warmup > updates:
            messages.append(
                f"model.optimization.warmup_steps {warmup} never ends: there are {updates} updates; lower it, or the "
                "learning rate stays below lr"
            )
    if updates is not None and given["ema_decay"]:
        share = given["ema_decay"] ** (updates - 1)
        if share > 0.1:
            messages.append(
                f"ema_decay {given['ema_decay']} is too slow: after {updates} updates {share:.0%} of the average are "
                f"still the first weights; lower it, to {_shorter(updates)} or less"
            )
    tokens = given["budget.target_tokens"]
    size, world_size = given["data.max_tokens_per_batch"], num_processes(given)
    if tokens and updates is not None and size != "auto" and world_size is not None:
        most = updates * size * given["trainer.accumulate_grad_batches"] * world_size
        if most < tokens:
            messages.append(
                f"budget.target_tokens {tokens:.0f} is never spent: {updates} updates have at most {most} tokens; "
                "leave one of the two limits out"
            )
    if given["data.streaming"] and given["trainer.check_val_every_n_epoch"] not in (None, 1):
        messages.append(
            f"trainer.check_val_every_n_epoch {given['trainer.check_val_every_n_epoch']} leaves one validation, at the "
            "end: to Lightning a stream is one epoch; set it to null"
        )
    findings = [Finding("never happens", "warning", message) for message in messages]
    for name in ("keep_best", "keep_last"):
        if validations is not None and given[name] > max(1, validations):
            message = f"{name} {given[name]} keeps all: there are at most {validations} validations"
            findings.append(Finding("never happens", "note", message))
    return findings


def last_update(given: Given) -> int | None:
    """The number of updates after which the training ends, if the configuration says so alone."""
    updates = given["budget.updates"] or given["trainer.max_steps"]
    return updates if updates > 0 else None


def _most_validations(given: Given, updates: int | None) -> int | None:
    """How many there are at most; None if the data decide."""
    interval, epochs = given["trainer.val_check_interval"], given["trainer.max_epochs"]
    every = given["trainer.check_val_every_n_epoch"]
    if every is None and isinstance(interval, int) and updates is not None:
        return math.ceil(updates * given["trainer.accumulate_grad_batches"] / interval)
    if every is not None and interval in (None, 1.0) and epochs not in (None, -1) and not given["data.streaming"]:
        return math.ceil(epochs / every)
    return None


def _shorter(updates: int) -> str:
    """A decay of which one hundredth of the first weights is left."""
    return f"{0.01 ** (1 / updates):.4g}"
