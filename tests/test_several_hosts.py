"""Two hosts train one model under torchrun; what happens when one of them ends."""

import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import seq2seq
from seq2seq import cli
from tests.hosts import ROOT, Host, torchrun, two_hosts
from tests.run_folder import NEEDS_FSDP, assert_equal, checkpoint, figures, weights

Arguments = Callable[..., list[str]]
LOST = (
    r"another process has ended or cannot be reached \(.* \[10\.0\.0\.2\]:\d+.*\); what it says stands in its own "
    r"output\. The same command on all hosts with --resume auto goes on from the last checkpoint"
)
DOUBLE = "--trainer.plugins+=lightning.pytorch.plugins.precision.DoublePrecision"


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, Host]]:
    with two_hosts(tmp_path_factory.mktemp("hosts")) as both:
        yield both


class Job:
    """`seq2seq` under torchrun on both hosts, with these arguments; the second host may have some more."""

    def __init__(self, hosts: tuple[Host, Host], folder: Path, arguments: list[str], *more: str) -> None:
        folder.mkdir(exist_ok=True)
        self.outputs = [folder / host.name for host in hosts]
        commands = torchrun(*arguments), torchrun(*arguments, *more)
        each = zip(hosts, commands, self.outputs, strict=True)
        self.processes = [host.start(*command, output=output) for host, command, output in each]

    def __enter__(self) -> "Job":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
            process.wait()

    def succeeds(self) -> None:
        codes = [process.wait(timeout=300) for process in self.processes]
        assert codes == [0, 0], self.said(0) + self.said(1)

    def said(self, host: int) -> str:
        return self.outputs[host].read_text(encoding="utf-8")

    def error(self, host: int) -> str:
        """The one line with which a host's process ended."""
        [line] = re.findall("^seq2seq: error: (.*)$", self.said(host), re.MULTILINE)
        return str(line)

    def says(self, line: str) -> None:
        """Wait for the beginning of a line of the first host's."""
        end = time.monotonic() + 300
        while f"\n{line}" not in self.said(0):
            assert time.monotonic() < end and self.processes[0].poll() is None, self.said(0) + self.said(1)
            time.sleep(0.01)


@pytest.fixture(scope="module")
def options() -> list[str]:
    # Of batches of 112 tokens the toy corpus has an even number (18), so that no host lacks its last one.
    validations = ["--trainer.val_check_interval=10", "--trainer.check_val_every_n_epoch=null"]
    recorder = "--trainer.callbacks+=tests.trainer_callbacks.Recorder"
    return [DOUBLE, *validations, recorder, "--data.max_tokens_per_batch=112", "--trainer.max_steps=60"]


@pytest.fixture(scope="module")
def whole(
    hosts: tuple[Host, Host],
    options: list[str],
    toy_arguments: Arguments,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The folder of a training on both hosts that nothing disturbed, and of one on this machine alone."""
    folder = tmp_path_factory.mktemp("whole")

    def arguments(name: str, *more: str) -> list[str]:
        (folder / name).mkdir()
        return toy_arguments(folder / name / "run", *options, f"--trainer.callbacks.folder={folder / name}", *more)

    with Job(hosts, folder, arguments("two")) as job, pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT)
        alone = arguments("one", "--trainer.accumulate_grad_batches=2")
        # The same validations: there they are counted in batches.
        assert cli.main([*alone, "--trainer.val_check_interval=20"]) == 0
        job.succeeds()
    return folder


def test_two_hosts_do_what_one_does(whole: Path) -> None:
    one = torch.load(whole / "one" / "rank0.pt")
    ranks = [torch.load(whole / "two" / f"rank{rank}.pt") for rank in (0, 1)]
    for rank in ranks:
        assert len(rank["weights"]) == len(one["weights"]) == 61
        assert_equal(rank["weights"][-1], one["weights"][-1], atol=1e-7)
        assert_equal(rank["weights"][-1], ranks[0]["weights"][-1])
        assert rank["valid_bleu"] == one["valid_bleu"]
    assert len(set(one["valid_bleu"])) > 3
    assert [len(rank["rows"]) for rank in ranks] == [60, 60]
    assert "update 10 " in (whole / "host-a").read_text(encoding="utf-8")
    assert "update" not in (whole / "host-b").read_text(encoding="utf-8")


def test_a_job_that_lost_a_host_fails_and_goes_on_to_the_same_weights(
    hosts: tuple[Host, Host], whole: Path, options: list[str], toy_arguments: Arguments, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    command = toy_arguments(run, *options, "--resume=auto")
    with Job(hosts, tmp_path / "killed", command) as job:
        job.says("update 20 ")
        first, second = job.processes
        second.kill()
        start = time.monotonic()
        assert first.wait(timeout=60) == 1
        print(f"the other host ended {time.monotonic() - start:.1f} s later")
        assert second.wait() == -signal.SIGKILL
    assert re.fullmatch(LOST, job.error(0))
    assert checkpoint(run, "last")["global_step"] in range(10, 60, 10), "of a validation, and of no half update"
    with Job(hosts, tmp_path / "resumed", command) as job:
        job.succeeds()
    assert checkpoint(run, "last")["global_step"] == 60
    for name in ("last", "best"):
        assert_equal(weights(run, name), weights(whole / "two" / "run", name))
    for name in ("train_loss", "valid_bleu"):
        assert figures(run)[name] == figures(whole / "two" / "run")[name]


@NEEDS_FSDP
def test_sharded_weights_on_two_hosts(
    hosts: tuple[Host, Host], toy_arguments: Arguments, toy_config: Path, tmp_path: Path
) -> None:
    options = [DOUBLE, "--data.max_tokens_per_batch=112", "--trainer.max_steps=20", "--trainer.val_check_interval=5"]
    options.append("--monitor=valid_loss")  # so the best weights are the last
    on_cpus = ["--trainer.accelerator=cpu", "--trainer.precision=null"]
    sharded = ["--config", str(ROOT / "configs" / "fsdp.yaml"), *on_cpus, "--resume=auto"]
    run = tmp_path / "run"
    with Job(hosts, tmp_path / "begun", toy_arguments(run, *options, *sharded, "--trainer.max_steps=9")) as job:
        alone = toy_arguments(tmp_path / "one", *options, "--trainer.accumulate_grad_batches=2")
        assert cli.main([*alone, "--trainer.val_check_interval=10"]) == 0
        job.succeeds()
    with Job(hosts, tmp_path / "resumed", toy_arguments(run, *options, *sharded)) as job:
        job.succeeds()
    assert checkpoint(run, "last")["global_step"] == 20
    assert_equal(weights(run, "last"), weights(tmp_path / "one", "last"), atol=1e-7)
    source = (toy_config.parent / "valid.de").read_text(encoding="utf-8").splitlines()
    assert seq2seq.load(run).translate(source) == seq2seq.load(tmp_path / "one").translate(source)


def test_a_host_with_another_configuration_is_refused(
    hosts: tuple[Host, Host], toy_arguments: Arguments, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with Job(hosts, tmp_path / "outputs", toy_arguments(run), "--trainer.max_steps=13") as job:
        assert [process.wait(timeout=300) for process in job.processes] == [1, 1]
    assert re.fullmatch(LOST, job.error(0))
    assert job.error(1) == (
        "trainer.max_steps is 13 on host-b (rank 1), but 12 on host-a (rank 0); start all hosts with the same "
        "configuration, versions, text and checkpoint"
    )
    assert not run.exists()
