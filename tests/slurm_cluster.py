"""A SLURM of two nodes on this machine: the real daemons, in a folder of their own, for as long as tests need them."""

import contextlib
import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from tests.waiting import until

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "scancel")

# Whatever needs a kernel's or another service's help is left out. A job that is handed in again starts at once, where
# SLURM waits two minutes for its credentials to run out; a node that does not answer is given up after 10 s, not 300.
CONFIGURATION = """\
ClusterName=test
SlurmctldHost=localhost
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1
SlurmdTimeout=10
SlurmdParameters=config_overrides
ReturnToService=2
GresTypes=gpu
NodeName=node1 NodeAddr=127.0.0.1 Port={port1} CPUs=4 RealMemory=64000 Gres=gpu:1
NodeName=node2 NodeAddr=127.0.0.1 Port={port2} CPUs=4 RealMemory=64000 Gres=gpu:1
PartitionName=main Nodes=ALL Default=YES
"""


class Cluster:
    """A context manager; leaves no process behind.

    Args:
        folder: an empty one, for all that the daemons write.

    Attributes:
        environment: of the commands that are to talk to it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "MASTER_ADDR": "127.0.0.1",  # its nodes' names are in no DNS
        }
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Cluster":
        ports = dict(zip(("port", "port1", "port2"), _free_ports(3), strict=True))
        text = CONFIGURATION.format(folder=self.folder, user=getpass.getuser(), **ports)
        (self.folder / "slurm.conf").write_text(text)
        # A GPU that is none: so a job's script need not be another than on a cluster that has some.
        (self.folder / "gres.conf").write_text("NodeName=node[1-2] Name=gpu File=/dev/null\n")
        (self.folder / "state").mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        try:
            names = {name: f"--{name}={self.folder}/munge.{name}" for name in ("key-file", "pid-file", "seed-file")}
            names["key-file"] = f"--key-file={key}"
            socket_ = f"--socket={self.folder}/munge.socket"
            # By force: it would rather not be in a folder that others can look into.
            self._start("munged", "--foreground", "--force", socket_, *names.values())
            until((self.folder / "munge.socket").exists)
            self._start("slurmctld", "-D")
            for node in ("node1", "node2"):
                self.start_node(node)
            until(lambda: self("sinfo", "--noheader", "--format=%T") == "idle")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(subprocess.CalledProcessError, TimeoutError):
            self("scancel", "--user", getpass.getuser())
            until(lambda: not self("squeue", "--noheader"))
        for daemon in reversed(self._daemons.values()):
            daemon.terminate()
            daemon.wait()

    def __call__(self, *command: str) -> str:
        """What a command says on standard output."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
        return done.stdout.strip()

    def start_node(self, name: str) -> None:
        """Start a node, or start it again."""
        self._start("slurmd", "-D", "-N", name, name=name)

    def fail_node(self, name: str) -> None:
        """End a node as a power cut would: what ran on it is gone, and nobody is told."""
        self._daemons[name].kill()
        self._daemons[name].wait()
        ours = {f"SLURMD_NODENAME={name}".encode(), f"SLURM_CONF={self.environment['SLURM_CONF']}".encode()}
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if ours <= set((process / "environ").read_bytes().split(b"\0")):
                    parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
                    for pid in (parent, process.name):
                        if pid == process.name or Path(f"/proc/{pid}/comm").read_text() == "slurmstepd\n":
                            os.kill(int(pid), signal.SIGKILL)

    def job(self, number: str) -> dict[str, str]:
        """What SLURM knows of a job: JobState, Restarts, ExitCode, ..."""
        shown = self("scontrol", "--oneliner", "show", "job", number)
        return dict(field.partition("=")[::2] for field in shown.split() if "=" in field)

    def wait_for(self, number: str, **fields: str) -> None:
        """Until SLURM knows that of a job."""
        until(lambda: fields.items() <= self.job(number).items())

    def _start(self, program: str, *arguments: str, name: str | None = None) -> None:
        name = name or program
        path = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")
        assert path is not None
        with (self.folder / f"{name}.log").open("ab") as log:
            self._daemons[name] = subprocess.Popen(
                [path, *arguments], env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )


def missing_programs() -> list[str]:
    """Those of PROGRAMS that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
