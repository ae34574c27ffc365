"""What is found in a configuration as a whole: settings without effect, what never happens, what cannot train."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq import cli
from seq2seq.audit.findings import Finding
from seq2seq.training import sharding
from seq2seq.training.options import read_configuration
from seq2seq.training.settings import by_name, examine_settings
from seq2seq.training.settings import examine as examine_all
from tests.run_folder import NEEDS_FSDP, error_of

ROOT = Path(__file__).parent.parent
Examine = Callable[..., list[Finding]]


@pytest.fixture(scope="module")
def defaults() -> dict[str, Any]:
    """The settings of a configuration that says no more than it must, by name."""
    data = ["--data.src_lang=de", "--data.tgt_lang=en", "--data.train=train", "--data.valid=valid"]
    settings: dict[str, Any] = {}
    for model in ("lstm", "transformer"):
        settings |= by_name(read_configuration([*data, "--model", model]).config.as_dict())
    return settings


@pytest.fixture
def examine(defaults: dict[str, Any]) -> Examine:
    """examine({"trainer.max_steps": 5}) -> the findings on the defaults with these settings."""

    def examine(changed: dict[str, Any]) -> list[Finding]:
        assert changed.keys() <= defaults.keys() | {"optimizer.class_path"}, "a misspelt setting"
        return examine_settings({**defaults, **changed})

    return examine


# No false alarm


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(path, marks=NEEDS_FSDP) if path.name == "fsdp.yaml" else path
        for path in sorted(ROOT.glob("configs/**/*.yaml"))
        if path.parent.name != "compare"
    ],
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_our_own_configurations_have_no_findings(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    first = [str(ROOT / "configs/multi30k/transformer.yaml")] if config.name == "fsdp.yaml" else []
    found = read_configuration(["--config", *first, str(config)])
    assert examine_all(by_name(found.config.as_dict())) == []


def test_the_defaults_have_no_findings(examine: Examine) -> None:
    assert examine({}) == []


# Settings without effect

TOKENIZER = {"data.tokenizer.path": "runs/model"}
PLATEAU = {"model.optimization.schedule": "plateau"}


@pytest.mark.parametrize(
    ("others", "name", "value", "why"),
    [
        (TOKENIZER, "data.tokenizer.kind", "bpe", "names one that is trained"),
        (TOKENIZER, "data.tokenizer.vocab_size", 4000, "names one that is trained"),
        (TOKENIZER, "data.tokenizer.joint", False, "names one that is trained"),
        ({"model.optimization.optimizer": "sgd"}, "model.optimization.betas", (0.9, 0.999), "sgd has none"),
        ({}, "model.optimization.momentum", 0.9, "only sgd has it"),
        ({}, "model.optimization.patience", 5, "the other --patience"),
        (PLATEAU, "model.optimization.warmup_steps", 100, "plateau has no warm-up"),
        ({}, "model.search.length_penalty", "gnmt", "beam_width 1 compares no translations"),
        ({"model.search.beam_width": 4}, "model.search.alpha", 0.9, "only the length_penalty gnmt"),
        ({"model.search.beam_width": 4}, "model.search.num_best", 4, "the best translation alone"),
        ({}, "model.search.num_samples", 4, "the first one alone"),
        ({}, "model.max_positions", 2048, "sinusoidal positions never end"),
        ({}, "model.bptt_steps", 256, "no side of a training pair is longer than data.max_length, 256"),
        ({"trainer.gradient_clip_val": None}, "trainer.gradient_clip_algorithm", "value", "gradient_clip_val is off"),
        ({"budget.updates": 500}, "trainer.max_steps", 400, "budget.updates takes its place"),
        ({}, "trainer.min_steps", 100, "nothing ends the training before its last update"),
        ({}, "trainer.limit_test_batches", 5, "fit neither tests nor predicts"),
        ({}, "trainer.default_root_dir", "runs", "run_dir takes its place"),
        ({}, "trainer.sync_batchnorm", True, "no model here has batch norm"),
        ({}, "trainer.enable_autolog_hparams", False, "config.yaml alone"),
    ],
)
def test_a_setting_that_nothing_reads_is_found(
    examine: Examine, others: dict[str, Any], name: str, value: Any, why: str
) -> None:
    [finding] = examine({**others, name: value})
    assert finding.level == "warning"
    assert finding.message.startswith(f"{name} {value} has no effect: ")
    assert why in finding.message


@pytest.mark.parametrize(
    "settings",
    [
        {"data.tokenizer.vocab_size": 4000, "data.tokenizer.kind": "word", "data.tokenizer.character_coverage": 0.99},
        {**TOKENIZER, "data.tokenizer.sampling_alpha": 0.1},
        {"model.optimization.optimizer": "sgd", "model.optimization.momentum": 0.9},
        {**PLATEAU, "model.optimization.patience": 5},
        {"model.search.beam_width": 4, "model.search.length_penalty": "gnmt", "model.search.alpha": 0.9},
        {"model.search.num_samples": 1, "model.search.top_k": 5},
        {"model.positions": "learned", "model.max_positions": 300},
        {"model.bptt_steps": 20},
        {"patience": 3, "trainer.min_epochs": 2},
        {"budget.minutes": 3, "trainer.min_steps": 20},
    ],
)
def test_a_setting_that_something_reads_is_no_finding(examine: Examine, settings: dict[str, Any]) -> None:
    assert examine(settings) == []


# What never happens

EVERY_100 = {"trainer.check_val_every_n_epoch": None, "trainer.val_check_interval": 100}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {**EVERY_100, "trainer.max_steps": 400, "patience": 3},
            "patience 3 never acts: there are at most 4 validations",
        ),
        (
            {"trainer.limit_val_batches": 0.0},
            "trainer.limit_val_batches is 0: without a validation there will be no model",
        ),
        ({"trainer.max_epochs": 5, "patience": 5}, "patience 5 never acts: there are at most 5 validations"),
        (
            {**PLATEAU, "trainer.max_epochs": 3, "model.optimization.patience": 2},
            "model.optimization.patience 2 never acts: there are at most 3 validations",
        ),
        ({"trainer.max_steps": 200}, "model.optimization.warmup_steps 300 never ends: there are 200 updates"),
        (
            {"trainer.max_steps": 1000, "ema_decay": 0.9999},
            "ema_decay 0.9999 is too slow: after 1000 updates 90% of the average are still the first weights; lower "
            "it, to 0.9954 or less",
        ),
        (
            {"trainer.max_steps": 1000, "budget.target_tokens": 5e6, "trainer.accelerator": "cpu"},
            "budget.target_tokens 5000000 is never spent: 1000 updates have at most 4096000 tokens",
        ),
        (
            {"data.streaming": True, "trainer.val_check_interval": 100, "trainer.check_val_every_n_epoch": 2},
            "trainer.check_val_every_n_epoch 2 leaves one validation, at the end",
        ),
    ],
)
def test_what_never_happens_is_found(examine: Examine, settings: dict[str, Any], message: str) -> None:
    [finding] = examine(settings)
    assert finding.level == "warning"
    assert finding.message.startswith(message)


def test_more_checkpoints_than_validations_are_a_note(examine: Examine) -> None:
    assert examine({"trainer.max_epochs": 4, "keep_best": 4, "keep_last": 4}) == []
    [finding] = examine({"trainer.max_epochs": 4, "keep_best": 5})
    assert (finding.level, finding.message) == ("note", "keep_best 5 keeps all: there are at most 4 validations")


@pytest.mark.parametrize(
    "settings",
    [
        {**EVERY_100, "trainer.max_steps": 410, "patience": 3},
        {"trainer.max_epochs": 5, "trainer.val_check_interval": 0.5, "patience": 5},
        {"trainer.max_steps": 300},
        {"trainer.max_steps": 1000, "ema_decay": 0.99},
        {"trainer.max_steps": 1000, "budget.target_tokens": 4e6, "trainer.accelerator": "cpu"},
        {"trainer.fast_dev_run": True, "trainer.max_steps": 1},
    ],
)
def test_what_may_happen_is_no_finding(examine: Examine, settings: dict[str, Any]) -> None:
    assert examine(settings) == []


# What is refused


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trainer.limit_train_batches": 0}, "trainer.limit_train_batches is 0, which leaves no updates; leave it out"),
        (
            {"optimizer.class_path": "torch.optim.SGD"},
            "optimizer is set, but a model here brings its own; set model.optimization instead",
        ),
        (
            {"trainer.use_distributed_sampler": True, "trainer.devices": 2, "trainer.accelerator": "cpu"},
            "trainer.use_distributed_sampler is true, but batches are shared out already, and Lightning fails to do it "
            "again; leave it out",
        ),
    ],
)
def test_what_cannot_train_is_an_error(examine: Examine, settings: dict[str, Any], message: str) -> None:
    assert [(found.level, found.message) for found in examine(settings)] == [("error", message)]


def test_an_old_torch_shards_no_weights(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharding, "IS_POSSIBLE", False)
    [finding] = examine({"trainer.strategy": "fsdp"})
    assert (finding.level, finding.message) == (
        "error",
        f"trainer.strategy fsdp needs torch 2.8 or newer, and this is {torch.__version__}; install a newer one, or use "
        "ddp",
    )


# What `fit` does about it


def test_fit_refuses_errors_and_says_warnings(
    tmp_path: Path, toy_arguments: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert error_of(capsys, *toy_arguments(run, "--trainer.num_nodes=2")).startswith("trainer.num_nodes is 2, but")
    assert not run.exists()
    quickly = ["--trainer.max_steps=1", "--model.optimization.warmup_steps=1"]
    assert cli.main(toy_arguments(run, *quickly, "--model.optimization.momentum=0.5")) == 0
    warnings = [line for line in capsys.readouterr().err.split("\n") if line.startswith("seq2seq: warning: ")]
    # Of the text there is another one.
    assert warnings[0] == (
        "seq2seq: warning: model.optimization.momentum 0.5 has no effect: only sgd has it; leave it out"
    )
    wrong = error_of(capsys, *toy_arguments(run, *quickly, "--overwrite=true", "--trainer.val_check_interval=600"))
    assert wrong.startswith("Lightning cannot train so: `val_check_interval` (600) must be less than or equal to the")
