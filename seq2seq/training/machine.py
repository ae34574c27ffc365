"""Whether a training fits to the machine that it is to run on: device, precision, cores, and the other processes.

What torchrun and srun have started is looked at in `hosts.py` and `slurm.py`.
"""

import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.fabric.plugins.environments import (
    LSFEnvironment,
    MPIEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)

from seq2seq.audit.findings import Finding
from seq2seq.parallel import num_cores
from seq2seq.training.configuration import CLASS_PATHS

Given = Mapping[str, Any]  # see settings.py

_AMPERE = 8  # the first compute capability with units for bfloat16


def examine_machine(given: Given) -> list[Finding]:
    """The findings on a configuration's trainer section, on this machine."""
    errors = [*_wrong_device(given), *_wrong_precision(given), *_processes_that_do_not_meet(given)]
    warnings = [*_slow_precision(given), *_crowded_cores(given)]
    return [Finding("machine", "error", message) for message in errors] + [
        Finding("machine", "warning", message) for message in warnings
    ]


def device_type(given: Given) -> str:
    """cpu, cuda or mps, as Lightning takes it from trainer.accelerator; another name if it is another."""
    accelerator = given["trainer.accelerator"]
    if accelerator in ("auto", "gpu"):
        if torch.cuda.is_available():
            return "cuda"
        if torch.backends.mps.is_available():
            return "mps"
        return "cpu" if accelerator == "auto" else "cuda"
    return str(accelerator)


def num_processes(given: Given) -> int | None:
    """All that share the training; None if somebody else than the configuration and torchrun says how many."""
    if TorchElasticEnvironment.detect():
        return int(os.environ["WORLD_SIZE"])
    devices = _num_devices(given)
    return None if devices is None or _is_started_by_others(given) else devices * given["trainer.num_nodes"]


def _num_devices(given: Given) -> int | None:
    """On this host; None where a form is not known."""
    devices, kind = given["trainer.devices"], device_type(given)
    if isinstance(devices, list):
        return len(devices)
    if str(devices) in ("auto", "-1"):
        return torch.cuda.device_count() if kind == "cuda" else 1
    if isinstance(devices, str) and "," in devices:
        return len([part for part in devices.split(",") if part.strip()])
    return int(devices) if str(devices).isdigit() else None


def _wrong_device(given: Given) -> Iterator[str]:
    accelerator = given["trainer.accelerator"]
    if accelerator not in ("gpu", "cuda", "auto") or device_type(given) != "cuda":
        return
    there = torch.cuda.device_count()
    if there == 0:
        build = f"torch {torch.__version__}"
        reason = (
            f"{build} is built for CPUs; install another build"
            if torch.version.cuda is None and torch.version.hip is None
            else f"{build} finds no driver or device (see nvidia-smi, CUDA_VISIBLE_DEVICES, docker's --gpus all)"
        )
        yield f"trainer.accelerator is {accelerator}, but there is no GPU: {reason}, or use --trainer.accelerator cpu"
        return
    wanted = _num_devices(given)
    if wanted is not None and wanted > there:
        yield f"trainer.devices is {given['trainer.devices']}, but there are {there} GPUs here; ask for fewer"


def _wrong_precision(given: Given) -> Iterator[str]:
    precision = str(given["trainer.precision"])
    on_cpu = device_type(given) == "cpu"
    said = f"trainer.precision is {precision}"
    best = "32-true" if on_cpu and cpu_bf16() != "units" else "bf16-mixed"
    if precision == "16-true":
        yield f"{said}, in which the loss soon is no number: float16 is too coarse for weights; use {best}"
    elif precision == "bf16-true" and (on_cpu or given["model.class_path"] != CLASS_PATHS["transformer"]):
        yield f"{said}, which only a transformer on a GPU can have its weights in; use {best}"
    elif on_cpu and precision in ("16", "16-mixed"):
        yield f"{said}, which CPUs do not compute in; use {best}"
    elif on_cpu and precision.startswith("bf16") and cpu_bf16() == "nothing":
        yield (
            f"{said}, but this CPU has neither units for bfloat16 (avx512_bf16, amx_bf16) nor AVX-512, and would take "
            f"6 times as long; use {best}"
        )


def _slow_precision(given: Given) -> Iterator[str]:
    precision, kind = str(given["trainer.precision"]), device_type(given)
    if not precision.startswith("bf16"):
        return
    if kind == "cpu" and cpu_bf16() == "vectors":
        yield (
            f"trainer.precision is {precision}, but this CPU has no units for bfloat16 (avx512_bf16, amx_bf16) and "
            "takes 1.7 times as long as in 32-true; use that"
        )
    if kind == "cuda" and torch.cuda.is_available() and torch.version.hip is None:
        mine = int(os.environ.get("LOCAL_RANK", 0))  # to ask another device is to take memory on it
        if torch.cuda.get_device_capability(mine)[0] < _AMPERE:
            yield (
                f"trainer.precision is {precision}, but {torch.cuda.get_device_name(mine)} is older than Ampere and "
                "has no units for bfloat16; 16-mixed is faster there"
            )


def cpu_bf16() -> Literal["units", "vectors", "nothing"]:
    """What this CPU multiplies bfloat16 with: units of its own, AVX-512 after a conversion, or, slowly, neither.

    Of CPUs other than Intel's and AMD's, and where the system does not say, nothing is known, and the best assumed.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "units"
    flags = {word for line in lines if line.startswith("flags") for word in line.split()}
    if "sse2" not in flags or flags & {"avx512_bf16", "amx_bf16"}:
        return "units"
    return "vectors" if {"avx512bw", "avx512vl", "avx512dq"} <= flags else "nothing"


def _crowded_cores(given: Given) -> Iterator[str]:
    """More threads than cores: they wait for each other."""
    if device_type(given) != "cpu":
        return
    there = num_cores()
    processes = 1 if _is_started_by_others(given) else _num_devices(given) or 1
    threads = torch.get_num_threads()
    if processes > 1 and "OMP_NUM_THREADS" not in os.environ:  # Lightning divides them
        threads = max(1, threads // processes)
    if processes * threads > there:
        what = f"{processes} processes with {threads} threads each" if processes > 1 else f"{threads} threads"
        advice = f"set OMP_NUM_THREADS={there // processes} in the environment"
        if processes > there:
            advice = f"lower trainer.devices to {there}"
        yield f"{what} are to compute on {there} cores, where they wait for each other; {advice}"


def _is_started_by_others(given: Given) -> bool:
    """Whether a launcher has started the processes, or the user names one in trainer.plugins."""
    launchers = TorchElasticEnvironment, SLURMEnvironment, LSFEnvironment, MPIEnvironment
    return bool(given["trainer.plugins"]) or any(launcher.detect() for launcher in launchers)


def _processes_that_do_not_meet(given: Given) -> Iterator[str]:
    """What would let a process wait for others that nobody starts, or train alone what others train as well."""
    yield from _wrong_interface(given)
    if _is_started_by_others(given):
        return
    nodes, devices = given["trainer.num_nodes"], _num_devices(given)
    if devices is None:
        return
    total = nodes * devices
    ranks = {name: os.environ[name] for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK") if name in os.environ}
    said = f"the environment says {', '.join(f'{name}={value}' for name, value in ranks.items())}"
    advice = "start all with torchrun, or unset these variables"
    if nodes > 1 and not {"NODE_RANK", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys():
        yield (
            f"trainer.num_nodes is {nodes}, but neither torchrun nor srun has started this process: it would wait for "
            "the others forever; start it with one of them, or leave it out"
        )
    elif ranks.get("WORLD_SIZE", str(total)) != str(total):
        yield f"{said}, but neither torchrun nor srun has started this process: it would train alone; {advice}"
    elif total == 1 and {ranks.get("RANK", "0"), ranks.get("LOCAL_RANK", "0")} != {"0"}:
        yield f"{said}, but the configuration makes one process: it would write no figures; {advice}"
    elif total > 1 and "LOCAL_RANK" in ranks and "WORLD_SIZE" not in ranks:
        yield f"{said}, as if others were started: this process would wait for them forever; {advice}"
    elif total > 1 and nodes == 1 and not _is_here(os.environ.get("MASTER_ADDR", "127.0.0.1")):
        yield (
            f"the environment says MASTER_ADDR={os.environ['MASTER_ADDR']}, not this host: its processes would "
            "wait for each other forever; unset it"
        )


def _is_here(address: str) -> bool:
    """Whether an address is one of this host's."""
    try:
        [family, kind, protocol, _, place] = socket.getaddrinfo(address, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.bind(place)
    except OSError:
        return False
    return True


def _wrong_interface(given: Given) -> Iterator[str]:
    """Names of network interfaces, for exchanges between processes, that this host has not."""
    if num_processes(given) == 1:
        return
    there = [name for _, name in socket.if_nameindex()]
    gloo = os.environ.get("GLOO_SOCKET_IFNAME", "")
    wrong = [("GLOO_SOCKET_IFNAME", gloo)] if any(name not in there for name in gloo.split(",") if name) else []
    nccl = os.environ.get("NCCL_SOCKET_IFNAME", "")
    # Beginnings of names, "=" before whole ones, "^" before those that are not to be taken.
    begins = nccl.removeprefix("=").split(",")
    is_exact = nccl.startswith("=")
    found = [name for name in there if (name in begins if is_exact else name.startswith(tuple(begins)))]
    if device_type(given) == "cuda" and nccl and not nccl.startswith("^") and not found:
        wrong.append(("NCCL_SOCKET_IFNAME", nccl))
    for variable, value in wrong:
        yield f"{variable} is {value}, but the network interfaces of this host are {', '.join(there)}; name one of them"
