"""What is refused before several hosts begin to train."""

import socket
from collections.abc import Callable
from unittest.mock import Mock

import pytest
import torch

from seq2seq.training import hosts
from seq2seq.training.hosts import lost_connection, refuse_differences, started_by_torchrun

Launch = Callable[..., None]


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> Launch:
    """launched(hosts=2, processes=4) -> a process that torchrun has started."""

    def launch(hosts: int, processes: int, world_size: int | None = None) -> None:
        variables = {
            "TORCHELASTIC_RUN_ID": "test",
            "GROUP_WORLD_SIZE": hosts,
            "LOCAL_WORLD_SIZE": processes,
            "WORLD_SIZE": world_size or hosts * processes,
            "GROUP_RANK": 1,
            "MASTER_ADDR": "127.0.0.1",
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))

    return launch


def test_the_trainer_takes_what_torchrun_has_started(launched: Launch) -> None:
    assert started_by_torchrun(1, "auto") == {}
    launched(hosts=1, processes=4)
    for devices in ("auto", -1, 4, "4"):
        assert started_by_torchrun(1, devices) == {"num_nodes": 1, "devices": 4}


@pytest.mark.parametrize(
    ("num_nodes", "devices", "message"),
    [
        (3, "auto", "trainer.num_nodes is 3, torchrun has started 2; leave it out, or change --nnodes"),
        (
            2,
            8,
            "trainer.devices is 8, torchrun has started 4 on this host; leave it out, or change --nproc_per_node",
        ),
    ],
)
def test_other_numbers_than_torchruns_are_refused(
    launched: Launch, num_nodes: int, devices: object, message: str
) -> None:
    launched(hosts=2, processes=4)
    with pytest.raises(ValueError) as error:
        started_by_torchrun(num_nodes, devices)
    assert str(error.value) == message


def test_hosts_with_different_numbers_of_processes_are_refused(launched: Launch) -> None:
    launched(hosts=2, processes=4, world_size=6)
    message = "^torchrun has started 4 processes on this host and 6 on all 2; give each the same --nproc_per_node$"
    with pytest.raises(ValueError, match=message):
        started_by_torchrun(1, "auto")


def test_a_host_whose_name_is_of_no_use_to_the_others_is_refused(
    launched: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched(hosts=2, processes=1)
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    monkeypatch.setattr(socket, "gethostname", lambda: "mine")
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo"), (2, "eth0")])
    monkeypatch.setattr(socket, "gethostbyname", lambda _: "127.0.1.1")
    message = (
        "^this host's name, mine, stands for 127.0.1.1 here, where no other host finds it; set GLOO_SOCKET_IFNAME to "
        "the network interface that leads to the others, one of lo, eth0$"
    )
    with pytest.raises(ValueError, match=message):
        started_by_torchrun(1, "auto")


def test_a_first_host_that_cannot_be_reached_and_one_that_does_not_come_are_named(
    launched: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched(hosts=2, processes=1)
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    monkeypatch.setattr(hosts, "_CONNECTED", hosts.datetime.timedelta(seconds=1))
    monkeypatch.setattr(hosts, "_ALL_STARTED", hosts.datetime.timedelta(seconds=1))
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MASTER_PORT", str(nobody.getsockname()[1]))
        message = "^the first host calls itself 127.0.0.1, and is not to be reached so at port .* --local_addr "
        with pytest.raises(ValueError, match=message):
            started_by_torchrun(1, "auto")
    store = hosts.TCPStore("127.0.0.1", 0, is_master=True)
    monkeypatch.setenv("MASTER_PORT", str(store.port))
    message = "^not all of 2 hosts have come within 1 s, or the first has ended; see what the others print$"
    with pytest.raises(ValueError, match=message):
        started_by_torchrun(1, "auto")
    store.set("seq2seq/0", "")
    assert started_by_torchrun(1, "auto") == {"num_nodes": 2, "devices": 1}


def test_a_host_that_differs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "host-b")
    mine = {"torch": "2.13.0", "trainer.max_steps": "10"}
    strategy = Mock(global_rank=1)
    strategy.broadcast.return_value = ("host-a", dict(mine))
    refuse_differences(strategy, mine)
    strategy.broadcast.return_value = ("host-a", {"torch": "2.13.0", "trainer.max_steps": "12"})
    message = (
        r"^trainer.max_steps is 10 on host-b \(rank 1\), but 12 on host-a \(rank 0\); start all hosts with the same "
        "configuration, versions, text and checkpoint$"
    )
    with pytest.raises(ValueError, match=message):
        refuse_differences(strategy, mine)


def test_the_error_of_a_lost_connection_is_told_from_others() -> None:
    gloo = (
        "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer [10.0.0.2]:31135. This "
        "is typically caused by a remote worker crashing. Check the logs."
    )
    assert lost_connection(RuntimeError(gloo)) == "Connection closed by peer [10.0.0.2]:31135"
    assert lost_connection(torch.distributed.DistBackendError("NCCL error: remote\nmore")) == "NCCL error: remote"
    assert lost_connection(RuntimeError("shapes cannot be multiplied")) is None
