"""Long translations: gone on with after a kill, shared by processes; the bytes are those of an undisturbed job."""

import fcntl
import gzip
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from seq2seq import cli
from seq2seq.commands import translate
from seq2seq.commands.job import Job, Process, this_process
from seq2seq.translator import Translation, Translator
from tests import forked

BUNDLES = Path(__file__).parent / "data" / "bundles"
MODEL, OTHER_MODEL = str(BUNDLES / "0.1.0-lstm"), str(BUNDLES / "0.1.0-attention")
FAST = ["--beam_width", "1", "--max_length_factor", "1", "--max_length_offset", "2"]
LINES_PER_CHUNK = 7
Translate = Callable[..., tuple[int, str]]


@pytest.fixture
def text(tmp_path: Path, sentences: list[str]) -> Path:
    """Nine chunks, the last of four lines, some of which are blank."""
    path = tmp_path / "in.txt"
    path.write_text("".join(f"{line}\n" for line in [*sentences[:20], "", *sentences[20:58], " "]), encoding="utf-8")
    return path


@pytest.fixture
def run(text: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Translate:
    """run("out", *options, model=MODEL) -> exit code and standard error of a job that writes a file beside `text`."""
    monkeypatch.setattr(translate, "MAX_LINES_PER_CHUNK", LINES_PER_CHUNK)

    def run(output: str, *options: str, model: str = MODEL) -> tuple[int, str]:
        paths = ["--input", str(text), "--output", str(text.with_name(output))]
        code = cli.main(["translate", model, *FAST, *paths, *options])
        return code, capfd.readouterr().err

    return run


@pytest.fixture
def expected(run: Translate, tmp_path: Path) -> bytes:
    """What an undisturbed job writes."""
    assert run("expected") == (0, "")
    return (tmp_path / "expected").read_bytes()


def whole_part(run: Translate, folder: Path) -> bytes:
    """The part of a job that was killed when it had done everything but put it together."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Job, "finish", lambda *_: None)
        assert run("part") == (0, "")
    [part] = (folder / "part.partial").iterdir()
    assert part.name == "0-of-1"
    return part.read_bytes()


def left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("out") or path.name[0] == ".")


def begin(folder: Path, output: str, part: bytes, name: str = "0-of-1") -> None:
    """Leave a part beside an output, as a killed job does."""
    (folder / f"{output}.partial").mkdir(exist_ok=True)
    (folder / f"{output}.partial" / name).write_bytes(part)


# Going on


@pytest.mark.parametrize("output", ["out", "out.gz"])
def test_a_job_cut_off_at_any_byte_ends_as_an_undisturbed_one(
    run: Translate, expected: bytes, tmp_path: Path, output: str
) -> None:
    assert expected.count(b"\n") == 60
    assert run(output) == (0, "")
    undisturbed = (tmp_path / output).read_bytes()  # .gz holds the name as well
    (tmp_path / output).unlink()
    part = whole_part(run, tmp_path)
    lines = part.splitlines(keepends=True)
    borders = [sum(map(len, lines[:number])) for number in (0, 1, 2, 3, 9, 10, 17, len(lines) - 1, len(lines))]
    for cut in sorted({border + more for border in borders for more in (-1, 0, 1)} & set(range(len(part) + 1))):
        begin(tmp_path, output, part[:cut])
        code, err = run(output, "--resume")
        assert (code, err) == (0, ""), cut
        assert (tmp_path / output).read_bytes() == undisturbed, cut
        assert left_behind(tmp_path) == [output]
        (tmp_path / output).unlink()
    if output == "out.gz":
        assert gzip.decompress(undisturbed) == expected


def test_what_a_power_cut_leaves_of_a_chunk_is_done_again(run: Translate, expected: bytes, tmp_path: Path) -> None:
    part = whole_part(run, tmp_path)
    middle = part.index(b"\n", len(part) // 2)
    for torn in (part[:middle] + bytes(300), part[: middle - 5] + b"#" + part[middle - 4 :]):
        begin(tmp_path, "out", torn)
        assert run("out", "--resume") == (0, "")
        assert (tmp_path / "out").read_bytes() == expected
        (tmp_path / "out").unlink()


def test_what_is_done_is_not_done_again(
    run: Translate, expected: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    translated = 0
    translate = Translator.translate_nbest

    def counted(self: Translator, lines: list[str], prefixes: None) -> list[list[Translation]]:
        nonlocal translated
        translated += len(lines)
        if translated > 3 * LINES_PER_CHUNK:
            raise KeyboardInterrupt
        return translate(self, lines, prefixes)

    monkeypatch.setattr(Translator, "translate_nbest", counted)
    code, err = run("out")
    assert code == 130
    assert (
        err
        == f"seq2seq: 21 lines are kept in {tmp_path}/out.partial; --resume goes on with them\nseq2seq: interrupted\n"
    )
    assert left_behind(tmp_path) == ["out.partial"]
    translated = -1000
    assert run("out", "--resume") == (0, "")
    assert translated == -1000 + 60 - 21
    assert (tmp_path / "out").read_bytes() == expected


def test_a_job_that_was_stopped_in_its_first_chunk_leaves_nothing(
    run: Translate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Translator, "translate_nbest", interrupted)
    assert run("out") == (130, "seq2seq: interrupted\n")
    assert left_behind(tmp_path) == []


def in_small_chunks(arguments: list[str]) -> int:
    """`seq2seq` in a process of its own, so that a kill comes between two chunks."""
    translate.MAX_LINES_PER_CHUNK = 7
    return cli.main(arguments)


def test_a_killed_process_is_gone_on_with(run: Translate, text: Path, tmp_path: Path) -> None:
    text.write_bytes(text.read_bytes() * 20)
    assert run("expected") == (0, "")
    paths = ["--input", str(text), "--output", str(tmp_path / "out")]
    process = forked.start(["translate", MODEL, *FAST, *paths], program=in_small_chunks)
    part = tmp_path / "out.partial" / "0-of-1"
    while not (part.exists() and part.stat().st_size > 2000):
        assert process.is_alive()
        time.sleep(0.001)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert left_behind(tmp_path) == ["out.partial"]
    code, err = run("out")
    assert code == 2
    assert "out.partial holds " in err
    assert err.endswith("lines that an earlier job has translated; go on with --resume, or delete it\n")
    assert run("out", "--resume") == (0, "")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "expected").read_bytes()
    assert left_behind(tmp_path) == ["out"]


def test_a_job_is_not_gone_on_with_as_another(run: Translate, text: Path, tmp_path: Path) -> None:
    part = whole_part(run, tmp_path)
    begin(tmp_path, "out", part[: len(part) // 2])

    def difference(*options: str, model: str = MODEL) -> str:
        code, err = run("out", "--resume", *options, model=model)
        assert code == 2
        assert err.startswith(f"seq2seq: error: {tmp_path}/out.partial was begun with ")
        assert err.endswith("; give the same, or delete it and begin again\n")
        assert err.count("\n") == 1
        return err.split(" was begun with ")[1].split(";")[0]

    assert difference("--max_length_offset", "3") == "max_length_offset 2, and now it is 3"
    assert difference("--column", "1") == "column None, and now it is 1"
    assert difference("--num_best", "1") == "nbest False, and now it is True"
    assert difference(model=OTHER_MODEL).startswith("model ")
    text.write_bytes(text.read_bytes().replace(b"Hund", b"Rund", 1))
    assert difference().startswith("input ")
    text.write_bytes(text.read_bytes().replace(b"Rund", b"Hund", 1))
    # What makes no difference may be another.
    others = ["--max_tokens_per_batch", "999", "--max_tokens_per_line", "99", "--bad_lines", "skip", "--device", "cpu"]
    assert run("out", "--resume", *others) == (0, "")


def test_resume_without_a_beginning_begins_and_an_output_that_is_whole_is_left_alone(
    run: Translate, expected: bytes, tmp_path: Path
) -> None:
    assert run("out", "--resume") == (0, "")
    assert (tmp_path / "out").read_bytes() == expected
    os.utime(tmp_path / "out", (0, 0))
    code, err = run("out", "--resume")
    assert code == 2
    assert err.startswith(
        f"seq2seq: error: there is nothing to go on with: {tmp_path}/out is there and out.partial is not"
    )
    assert run("out") == (0, "")


def test_a_full_disk_ends_a_job_with_one_line_and_it_goes_on_when_there_is_room(
    run: Translate, expected: bytes, tmp_path: Path
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (900, before[1]))  # no file may be larger
    try:
        code, err = run("out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert code == 2
    assert err.endswith(f"goes on with them\nseq2seq: error: {tmp_path}/out.partial/0-of-1: File too large\n")
    assert run("out", "--resume") == (0, "")
    assert (tmp_path / "out").read_bytes() == expected


def test_what_ended_before_its_first_chunk_is_no_beginning(run: Translate, expected: bytes, tmp_path: Path) -> None:
    begin(tmp_path, "out", b'{"model": "another"}\n{"chunk": 0')
    assert run("out") == (0, "")
    assert (tmp_path / "out").read_bytes() == expected


def test_a_text_that_changes_meanwhile_is_noticed(
    run: Translate, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_translator = Translator.translate_nbest

    def slowly(self: Translator, lines: list[str], prefixes: None) -> list[list[Translation]]:
        text.write_bytes(text.read_bytes().replace(b"Katze", b"Tatze"))
        return of_translator(self, lines, prefixes)

    monkeypatch.setattr(Translator, "translate_nbest", slowly)
    code, err = run("out")
    assert code == 2
    assert err.startswith(
        f"seq2seq: error: {text} was changed while it was translated; delete {tmp_path}/out.partial and"
    )
    assert not (tmp_path / "out").exists()


def test_two_processes_do_not_write_one_output(run: Translate, tmp_path: Path) -> None:
    begin(tmp_path, "out", b"")
    with open(tmp_path / "out.partial" / "0-of-1", "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        code, err = run("out", "--resume")
    assert code == 2
    assert err.startswith(f"seq2seq: error: another process is writing {tmp_path}/out.partial/0-of-1; let it end, or ")


def test_an_empty_text_gives_an_empty_output(run: Translate, text: Path, tmp_path: Path) -> None:
    text.write_bytes(b"")
    assert run("out") == (0, "")
    assert (tmp_path / "out").read_bytes() == b""


def test_jobs_are_between_files(
    monkeypatch: pytest.MonkeyPatch, text: Path, error_of: Callable[..., str], tmp_path: Path
) -> None:
    resume = "--resume goes on with a job, which takes --input and --output that are files"
    assert error_of("translate", MODEL, "--input", str(text), "--resume") == resume
    assert error_of("translate", MODEL, "--input", str(text), "--output", "/dev/null", "--resume") == resume
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert error_of("translate", MODEL, "--input", str(text)) == (
        "this is rank 1 of 4, but several processes share a job only, with --input and --output files"
    )


# Several processes


def as_rank(monkeypatch: pytest.MonkeyPatch, rank: int, world_size: int) -> None:
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.setenv("WORLD_SIZE", str(world_size))


@pytest.mark.parametrize("world_size", [2, 3, 20])
def test_processes_share_a_job_and_the_last_puts_it_together(
    run: Translate, expected: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world_size: int
) -> None:
    for rank in range(world_size - 1):
        as_rank(monkeypatch, rank, world_size)
        code, err = run("out")
        assert code == 0
        left = ", ".join(map(str, range(rank + 1, world_size)))
        said = (
            f"seq2seq: rank {rank} of {world_size} is done; the last of all writes {tmp_path}/out: left is rank {left}"
        )
        assert err.split("\n")[0] == said
        assert left_behind(tmp_path) == ["out.partial"]
    as_rank(monkeypatch, world_size - 1, world_size)
    assert run("out") == (0, "")
    assert (tmp_path / "out").read_bytes() == expected
    assert left_behind(tmp_path) == ["out"]


@pytest.mark.parametrize("now", [1, 2, 3, 5])
def test_a_dead_process_is_named_and_its_work_goes_on_with_any_number_of_processes(
    run: Translate, expected: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("seq2seq.commands.parts.PartFile.end", lambda *_: None)  # as if it were killed just before
        as_rank(patch, 1, 3)
        assert run("out")[0] == 0
    for rank in (0, 2):
        as_rank(monkeypatch, rank, 3)
        _, err = run("out")
    assert err.endswith("\nseq2seq: rank 1 seems not to run; if so, start all again with --resume\n")
    part = tmp_path / "out.partial" / "1-of-3"
    part.write_bytes(part.read_bytes()[:-20])  # and within its last chunk
    for rank in reversed(range(now)):
        as_rank(monkeypatch, rank, now)
        assert run("out", "--resume")[0] == 0
        if (tmp_path / "out").exists():
            break
    assert (tmp_path / "out").read_bytes() == expected
    assert left_behind(tmp_path) == ["out"]
    # One that comes late has nothing to do.
    code, err = run("out", "--resume")
    assert (code, err) == (0, f"seq2seq: another process has ended {tmp_path}/out\n")


def test_processes_at_the_same_time_write_one_output(
    run: Translate, expected: bytes, text: Path, tmp_path: Path
) -> None:
    paths = ["--input", str(text), "--output", str(tmp_path / "out")]
    command = ["translate", MODEL, *FAST, *paths]
    ranks = [{"SLURM_PROCID": str(rank), "SLURM_NTASKS": "3", "SLURM_LOCALID": "0"} for rank in range(3)]
    assert forked.run(command, program=in_small_chunks, variables=ranks) == 0
    assert (tmp_path / "out").read_bytes() == expected
    assert left_behind(tmp_path) == ["out"]


def test_who_this_is_comes_from_torchrun_or_srun() -> None:
    assert this_process({}) == Process(0, 1, 0)
    assert this_process({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}) == Process(5, 8, 1)
    task = {"SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_LOCALID": "2"}
    assert this_process(task) == this_process(task | {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0"}) == Process(3, 4, 2)
    # In sbatch's script, outside of srun, there is one process, whatever --ntasks says.
    assert this_process({"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_JOB_ID": "7"}) == Process(0, 1, 0)
