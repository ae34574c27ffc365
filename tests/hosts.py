"""Two hosts on this machine: network namespaces with names, addresses and a cable between them.

They live as long as a process of each, which ends with this one, so nothing is left of them whatever happens.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ADDRESSES = {"host-a": "10.0.0.1", "host-b": "10.0.0.2"}
# A process that is started with this is killed when the one that started it ends.
_ENDS_WITH_US = ["setpriv", "--pdeathsig", "KILL"]


class Host:
    """A host with a name, an address and nothing else; programs run on it, with this machine's files."""

    def __init__(self, name: str, hosts_file: Path) -> None:
        set_up = f"echo {name} >/proc/sys/kernel/hostname && mount --bind {hosts_file} /etc/hosts && echo done"
        command = ["unshare", "--net", "--uts", "--mount", "sh", "-c", f"{set_up} && exec sleep infinity"]
        self.name = name
        self._idle = subprocess.Popen(
            [*_ENDS_WITH_US, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._idle.stdout is not None and self._idle.stderr is not None
        if self._idle.stdout.readline() != "done\n":
            pytest.skip(f"no namespaces here: {self._idle.stderr.read().strip()}")
        self.pid = self._idle.pid
        self._enter = ["nsenter", f"--target={self.pid}", "--net", "--uts", "--mount"]

    def run(self, *command: str) -> None:
        """Run a program to its end."""
        subprocess.run([*self._enter, *command], check=True)

    def start(self, *command: str, output: Path) -> "subprocess.Popen[bytes]":
        """Start a program, in a process namespace of its own: to kill it is to kill all that it has started."""
        alone = ["unshare", "--pid", "--fork", "--kill-child"]
        with output.open("w") as file:
            return subprocess.Popen(
                [*_ENDS_WITH_US, *self._enter, f"--wd={ROOT}", *alone, *command],
                stdout=file,
                stderr=subprocess.STDOUT,
                env=os.environ | {"TMPDIR": str(output.parent)},  # where torchrun leaves a folder for logs
            )

    def end(self) -> None:
        """End the host; the cable goes with it."""
        self._idle.kill()
        self._idle.communicate()


@contextmanager
def two_hosts(folder: Path) -> Iterator[tuple[Host, Host]]:
    """host-a and host-b, which reach each other by name; `folder` is for their /etc/hosts.

    Skips the test where there are no such hosts.
    """
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("making namespaces needs root")
    for tool in ("ip", "unshare", "nsenter", "setpriv"):
        if shutil.which(tool) is None:
            pytest.skip(f"needs the program {tool}: Debian has it in iproute2 or util-linux")
    names = folder / "hosts"
    names.write_text("127.0.0.1 localhost\n" + "".join(f"{ip} {name}\n" for name, ip in ADDRESSES.items()))
    with ExitStack() as stack:
        hosts = []
        for name in ADDRESSES:
            hosts.append(Host(name, names))
            stack.callback(hosts[-1].end)
        a, b = hosts
        a.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", str(b.pid))
        for host in hosts:
            host.run("ip", "address", "add", f"{ADDRESSES[host.name]}/24", "dev", "eth0")
            host.run("ip", "link", "set", "eth0", "up")
            host.run("ip", "link", "set", "lo", "up")
        yield a, b


def torchrun(*arguments: str) -> list[str]:
    """The command that both hosts are given, which runs `seq2seq` with these arguments."""
    program = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc_per_node=1"]
    meeting = ["--rdzv_backend=c10d", "--rdzv_id=test", "--rdzv_endpoint=host-a:29400"]
    # Without "--" torchrun takes --monitor for the beginning of an option of its own.
    return [*program, *meeting, "-m", "--", "seq2seq.cli", *arguments]
