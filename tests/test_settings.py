"""What is found in a configuration as a whole: settings without effect, what never happens, what does not fit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq import cli
from seq2seq.audit.findings import Finding
from seq2seq.training import machine, sharding
from seq2seq.training.options import read_configuration
from seq2seq.training.settings import by_name
from seq2seq.training.settings import examine as examine_all
from tests.run_folder import NEEDS_FSDP, error_of

ROOT = Path(__file__).parent.parent
Examine = Callable[..., list[Finding]]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the environment says that others train too, and there are cores enough."""
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "GLOO_SOCKET_IFNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(machine, "num_cores", lambda: 64)


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
        return examine_all({**defaults, **changed})

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


# Device and precision

GPU = {"trainer.accelerator": "gpu"}


def test_a_gpu_that_is_not_there_is_an_error(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    [finding] = examine(GPU)
    assert finding.level == "error"
    assert finding.message == (
        f"trainer.accelerator is gpu, but there is no GPU: torch {torch.__version__} finds no driver or device (see "
        "nvidia-smi, CUDA_VISIBLE_DEVICES, docker's --gpus all), or use --trainer.accelerator cpu"
    )
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None)
    assert "is built for CPUs; install another build, or use" in examine(GPU)[0].message


def test_more_gpus_than_there_are_is_an_error(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert examine({**GPU, "trainer.devices": 2}) == []
    for devices in (4, "4", [0, 1, 2, 3], "0,1,2,3"):
        [finding] = examine({**GPU, "trainer.devices": devices})
        assert finding.level == "error"
        assert finding.message == f"trainer.devices is {devices}, but there are 2 GPUs here; ask for fewer"


CPU = {"trainer.accelerator": "cpu"}


@pytest.mark.parametrize(
    ("cpu", "precision", "level", "message"),
    [
        ("avx512_bf16", "16-mixed", "error", "16-mixed, which CPUs do not compute in; use bf16-mixed"),
        ("avx2", "16-mixed", "error", "16-mixed, which CPUs do not compute in; use 32-true"),
        ("avx512_bf16", "16-true", "error", "16-true, in which the loss soon is no number"),
        ("avx512_bf16", "bf16-true", "error", "bf16-true, which only a transformer on a GPU can have its weights in"),
        ("avx2", "bf16-mixed", "error", "bf16-mixed, but this CPU has neither units for bfloat16"),
        ("avx512bw avx512vl avx512dq", "bf16-mixed", "warning", "bf16-mixed, but this CPU has no units for bfloat16"),
    ],
)
def test_a_precision_that_does_not_suit_the_cpu_is_found(
    examine: Examine, monkeypatch: pytest.MonkeyPatch, cpu: str, precision: str, level: str, message: str
) -> None:
    monkeypatch.setattr(machine.Path, "read_text", lambda *_, **__: f"processor : 0\nflags : fpu sse2 {cpu}\n")
    assert examine({**CPU, "trainer.precision": "64-true"}) == []
    [finding] = examine({**CPU, "trainer.precision": precision})
    assert finding.level == level
    assert finding.message.startswith(f"trainer.precision is {message}")


@pytest.mark.parametrize("cpuinfo", ["flags : sse2 avx512_bf16", "flags : sse2 amx_bf16", "Features : asimd"])
def test_bfloat16_on_a_cpu_that_may_have_it_is_no_finding(
    examine: Examine, monkeypatch: pytest.MonkeyPatch, cpuinfo: str
) -> None:
    monkeypatch.setattr(machine.Path, "read_text", lambda *_, **__: cpuinfo)
    assert examine({**CPU, "trainer.precision": "bf16-mixed"}) == []


def test_bfloat16_on_an_old_gpu_is_a_warning(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla T4")
    monkeypatch.setattr(torch.version, "hip", None)
    for generation, level in ((7, ["warning"]), (8, [])):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, generation=generation: (generation, 5))
        found = examine({**GPU, "trainer.precision": "bf16-mixed"})
        assert [finding.level for finding in found] == level


def test_more_threads_than_cores_are_a_warning(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    monkeypatch.setattr(machine, "num_cores", lambda: 8)
    assert examine({**CPU, "trainer.devices": 2}) == []
    [finding] = examine({**CPU, "trainer.devices": 4})
    assert (finding.level, finding.message) == (
        "warning",
        "4 processes with 4 threads each are to compute on 8 cores, where they wait for each other; set "
        "OMP_NUM_THREADS=2 in the environment",
    )
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert examine({**CPU, "trainer.devices": 4}) == [], "Lightning divides the threads"
    [finding] = examine({**CPU, "trainer.devices": 9})
    assert finding.message.endswith("lower trainer.devices to 8")


# Processes that would wait forever, or train alone


@pytest.mark.parametrize(
    ("environment", "settings", "message"),
    [
        (
            {},
            {"trainer.num_nodes": 2},
            "trainer.num_nodes is 2, but neither torchrun nor srun has started this process: it would wait for the "
            "others forever; start it with one of them, or leave it out",
        ),
        (
            {"WORLD_SIZE": "2", "RANK": "0"},
            {},
            "the environment says WORLD_SIZE=2, RANK=0, but neither torchrun nor srun has started this process: it "
            "would train alone; start all with torchrun, or unset these variables",
        ),
        (
            {"RANK": "1"},
            {},
            "the environment says RANK=1, but the configuration makes one process: it would write no figures; start "
            "all with torchrun, or unset these variables",
        ),
        (
            {"LOCAL_RANK": "0"},
            {"trainer.devices": 2},
            "the environment says LOCAL_RANK=0, as if others were started: this process would wait for them forever; "
            "start all with torchrun, or unset these variables",
        ),
        (
            {"MASTER_ADDR": "192.0.2.1"},
            {"trainer.devices": 2},
            "the environment says MASTER_ADDR=192.0.2.1, not this host: its processes would wait for each other "
            "forever; unset it",
        ),
    ],
)
def test_processes_that_do_not_meet_are_an_error(
    examine: Examine,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    settings: dict[str, Any],
    message: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert [(found.level, found.message) for found in examine({**CPU, **settings})] == [("error", message)]


@pytest.mark.parametrize(
    ("environment", "settings"),
    [
        ({"MASTER_ADDR": "127.0.0.1"}, {"trainer.devices": 2}),
        ({"MASTER_ADDR": "192.0.2.1", "WORLD_SIZE": "1"}, {}),
        # What Lightning gives to the processes that it starts, and an administrator to those of two hosts.
        (
            {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "4711", "NODE_RANK": "0", "LOCAL_RANK": "1", "WORLD_SIZE": "2"},
            {"trainer.devices": 2},
        ),
        ({"MASTER_ADDR": "192.0.2.1", "MASTER_PORT": "4711", "NODE_RANK": "1"}, {"trainer.num_nodes": 2}),
    ],
)
def test_processes_that_meet_are_no_finding(
    examine: Examine, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], settings: dict[str, Any]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert examine({**CPU, **settings}) == []


def test_an_interface_that_this_host_has_not_is_an_error(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.socket, "if_nameindex", lambda: [(1, "lo"), (2, "eth0")])
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth1")
    assert examine({**CPU, "trainer.devices": 1}) == []
    [finding] = examine({**CPU, "trainer.devices": 2})
    assert (finding.level, finding.message) == (
        "error",
        "GLOO_SOCKET_IFNAME is eth1, but the network interfaces of this host are lo, eth0; name one of them",
    )
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth0")
    for name, is_wrong in (("eth", False), ("=eth", True), ("^docker", False), ("ib", True), ("ib,lo", False)):
        monkeypatch.setenv("NCCL_SOCKET_IFNAME", name)
        assert bool(examine({**GPU, "trainer.devices": 2})) == is_wrong


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
