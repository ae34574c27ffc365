"""What is found in a configuration that does not fit to this machine: device, precision, cores, other processes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from seq2seq.audit.findings import Finding
from seq2seq.training import machine
from seq2seq.training.machine import examine_machine
from seq2seq.training.options import read_configuration
from seq2seq.training.settings import by_name

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
    return dict(by_name(read_configuration([*data, "--model=transformer"]).config.as_dict()))


@pytest.fixture
def examine(defaults: dict[str, Any]) -> Examine:
    """examine({"trainer.devices": 2}) -> the findings on the defaults with these settings, on this machine."""

    def examine(changed: dict[str, Any]) -> list[Finding]:
        assert changed.keys() <= defaults.keys(), "a misspelt setting"
        return examine_machine({**defaults, **changed})

    return examine


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
