"""Several hosts: as many devices as torchrun has started processes, and the same training on all of them."""

import datetime
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch.strategies import ParallelStrategy
from torch.distributed import TCPStore  # type: ignore[attr-defined]  # documented

# How long a host that torchrun has started tries to reach the first, and waits until all have read their command line.
_CONNECTED = datetime.timedelta(seconds=30)
_ALL_STARTED = datetime.timedelta(minutes=3)

# How long a process waits for the others in each exchange between them; for torch it is 30 minutes. A process that ends
# is noticed at once, so this is for a network that fails, and writing a checkpoint has to fit into it.
PATIENCE = datetime.timedelta(minutes=10)

_FOREVER = datetime.timedelta(days=1000)


def started_by_torchrun(num_nodes: int, devices: Any) -> dict[str, int]:
    """`num_nodes` and `devices` of the trainer, as torchrun has started hosts and processes on each; {} without it.

    Lightning takes one host for granted, so each process would train alone, into the run folder of all.

    Args:
        num_nodes: of the configuration, 1 if it says nothing.
        devices: of the configuration, "auto" if it says nothing.

    Raises:
        ValueError: the configuration asks for others, or the hosts do not find each other.
    """
    if not torch.distributed.is_torchelastic_launched():
        return {}
    world_size = int(os.environ["WORLD_SIZE"])
    hosts, processes = int(os.environ["GROUP_WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
    if num_nodes not in (1, hosts):
        raise ValueError(
            f"trainer.num_nodes is {num_nodes}, torchrun has started {hosts}; leave it out, or change --nnodes"
        )
    if str(devices) not in ("auto", "-1", str(processes)):
        raise ValueError(
            f"trainer.devices is {devices}, torchrun has started {processes} on this host; leave it out, or change "
            "--nproc_per_node"
        )
    if world_size != hosts * processes:
        raise ValueError(
            f"torchrun has started {processes} processes on this host and {world_size} on all {hosts}; give each the "
            "same --nproc_per_node"
        )
    if hosts > 1:
        _refuse_own_name_of_no_use()
        _wait_for_all(hosts)
    return {"num_nodes": hosts, "devices": processes}


def _refuse_own_name_of_no_use() -> None:
    """gloo, which Lightning uses beside NCCL too, tells the others the address that stands for this host's name."""
    name = socket.gethostname()
    try:
        address = socket.gethostbyname(name)
    except OSError:
        address = "nothing"
    if "GLOO_SOCKET_IFNAME" not in os.environ and (address.startswith("127.") or address == "nothing"):
        interfaces = ", ".join(interface for _, interface in socket.if_nameindex())
        raise ValueError(
            f"this host's name, {name}, stands for {address} here, where no other host finds it; set "
            f"GLOO_SOCKET_IFNAME to the network interface that leads to the others, one of {interfaces}"
        )


def _wait_for_all(hosts: int) -> None:
    """Until a process of each host has come so far, in torchrun's store."""
    first, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    try:
        store = TCPStore(first, port, is_master=False, timeout=_CONNECTED)
    except torch.distributed.DistError as error:
        raise ValueError(
            f"the first host calls itself {first}, and is not to be reached so at port {port}; give torchrun there "
            "--local_addr and an address that the others reach"
        ) from error
    store.set(f"seq2seq/{os.environ['GROUP_RANK']}", "")
    try:
        store.wait([f"seq2seq/{host}" for host in range(hosts)], _ALL_STARTED)
    except torch.distributed.DistError as error:
        raise ValueError(
            f"not all of {hosts} hosts have come within {_ALL_STARTED.seconds} s, or the first has ended; see what the "
            "others print"
        ) from error


def refuse_differences(strategy: ParallelStrategy, mine: dict[str, Any]) -> None:
    """Compare what must be the same in all processes with that of the first; each must call this.

    Raises:
        ValueError: it differs; the message names the first difference.
    """
    host = socket.gethostname()
    first, expected = strategy.broadcast((host, mine))
    for name in expected | mine:
        if mine.get(name) != expected.get(name):
            raise ValueError(
                f"{name} is {mine.get(name)} on {host} (rank {strategy.global_rank}), but {expected.get(name)} on "
                f"{first} (rank 0); start all hosts with the same configuration, versions, text and checkpoint"
            )


@contextmanager
def waiting_for_all() -> Iterator[Callable[[], None]]:
    """A function that waits, for as long as it takes, until all processes have called it; so does the end of the block.

    A process that ends within the block ends the waiting of the others at once. Lightning's own, for `prepare_data`,
    lasts forever if one ends before all are connected.
    """
    group = torch.distributed.new_group(backend="gloo", timeout=_FOREVER)

    def wait() -> None:
        torch.distributed.barrier(group)

    wait()  # for the connections
    yield wait
    wait()
    torch.distributed.destroy_process_group(group)


def lost_connection(error: Exception) -> str | None:
    """What gloo, NCCL or the store says of another process that cannot be reached; None if the error is another."""
    text = str(error)
    if not isinstance(error, torch.distributed.DistError) and "gloo" not in text:
        return None
    return re.sub(r"^\[\S+\] ", "", text.splitlines()[0]).split(". ")[0]
