"""Translating a file so that a kill, a power cut or a dead node costs no more than a chunk of lines.

The text is cut into chunks of lines, whose borders depend on the text alone. Of several processes, rank r takes every
chunk whose number leaves r when divided by their count. Contiguous byte ranges would spare each the reading of the
others' lines, but that takes nothing beside translating; chunks in turn also work in .gz, are balanced whether or not
the long sentences stand together, and stay what they are when a job goes on with more or fewer processes.

OUTPUT.partial/ holds a file for each process, RANK-of-COUNT: a line of JSON that says what is translated how, then for
each chunk a line of JSON and the translations, then a line that says that the process has ended. Each chunk is on the
disk before the next is begun; what a kill has left half written at the end does not count. Nobody waits for anybody:
the process that finds all others ended puts the chunks together and moves the whole to OUTPUT.
"""

import contextlib
import fcntl
import gzip
import hashlib
import json
import os
import shutil
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

from seq2seq.commands.files import BLOCK_BYTES, open_blocks
from seq2seq.commands.progress import Progress

_STARTED_S = time.time()

Record = Mapping[str, str | int | float | None]
Translate = Callable[[list[bytes], int], tuple[list[str], list[int]]]


class Process(NamedTuple):
    """Which of the processes that share a file this is."""

    rank: int
    world_size: int
    local_rank: int  # on its machine

    def __str__(self) -> str:
        return f"rank {self.rank} of {self.world_size}"


def this_process(environment: Mapping[str, str]) -> Process:
    """What torchrun or srun says; one of one without them."""
    names = [("RANK", "WORLD_SIZE", "LOCAL_RANK")]
    # sbatch's script itself has SLURM_PROCID too, and no step.
    if "SLURM_JOB_ID" not in environment or "SLURM_STEP_ID" in environment:
        names.append(("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"))
    for rank, count, local_rank in names:
        if rank in environment and count in environment:
            return Process(int(environment[rank]), int(environment[count]), int(environment.get(local_rank, 0)))
    return Process(0, 1, 0)


class Text(NamedTuple):
    """What tells one text from another."""

    sha256: str
    num_lines: int


def read_through(path: str) -> Text:
    """Read a file, .gz as its content."""
    digest, num_lines, block = hashlib.sha256(), 0, b"\n"
    read = open_blocks(path)
    try:
        while following := read(16 * BLOCK_BYTES):
            block = following
            digest.update(block)
            num_lines += block.count(b"\n")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is no complete gzip file ({error}); write it again") from None
    return Text(digest.hexdigest(), num_lines + (not block.endswith(b"\n")))


def has_just_appeared(output: str) -> bool:
    """Whether another process of a job has put the output together while this one started."""
    path = Path(output)
    return path.exists() and not partial_folder(output).exists() and path.stat().st_mtime >= _STARTED_S


class _Chunk(NamedTuple):
    """Where the translations of a chunk stand."""

    path: Path
    start: int
    num_bytes: int
    num_lines: int
    bad_lines: list[int]  # numbers of lines, from 0


class _Part(NamedTuple):
    """What one process has written."""

    record: Record | None
    chunks: dict[int, _Chunk]
    num_bytes: int  # up to the end of the last chunk
    of_chunks: int | None  # how many the whole text has, once the process has ended


class Job:
    """The translation of one file, by this process and perhaps others. A context manager.

    Args:
        output: the file that will appear when it is whole, compressed if it ends in .gz.
        record: what the translations depend on. A job that was begun with another is not gone on with.
        process: which one this is.
        resume: whether to go on with what an earlier job has left.

    Attributes:
        num_lines: how many this process and earlier jobs have translated.

    Raises:
        ValueError: what lies there must not be gone on with, or another process is writing it.
    """

    def __init__(self, output: str, *, record: Record, process: Process, resume: bool) -> None:
        self._output, self._folder = Path(output).resolve(), partial_folder(output)
        self._process, self._record = process, record
        if not self._output.parent.is_dir():
            raise FileNotFoundError(f"cannot write {self._output.name}: there is no folder {self._output.parent}")
        if resume and self._output.exists() and not self._folder.exists():
            raise ValueError(
                f"there is nothing to go on with: {self._output} is there and {self._folder.name} is not; leave out "
                "--resume to translate again"
            )
        self._folder.mkdir(exist_ok=True)
        self._own = self._path(process.rank)
        self._file = open(self._own, "a+b")  # noqa: SIM115 - closed by __exit__
        self._is_worth_keeping = True
        try:
            self._lock()
            parts = self._parts()
            self._check(parts, resume)
            own = parts[self._own]
            self._is_worth_keeping = bool(own.chunks)
            self._file.truncate(own.num_bytes if own.chunks else 0)
            if not own.chunks:
                self._append(json.dumps(record, ensure_ascii=False).encode() + b"\n")
                _flush_folder(self._folder)
        except BaseException:
            self._file.close()
            raise
        self._begun = {number: chunk for part in parts.values() for number, chunk in part.chunks.items()}
        self.num_lines = sum(chunk.num_lines for chunk in self._begun.values())

    def __enter__(self) -> "Job":
        return self

    def __exit__(self, *_: object) -> None:
        if not self._is_worth_keeping:
            self._own.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # others have parts in it
                self._folder.rmdir()
        self._file.close()

    def run(self, chunks: Iterable[list[bytes]], translate: Translate, progress: Progress) -> None:
        """Translate what falls to this process and is not yet done.

        Args:
            chunks: of the whole text, raw lines.
            translate: see `LineTranslator`.
            progress: is told of it.
        """
        num_lines = number = 0
        try:
            for number, raw in enumerate(chunks, 1):
                is_begun = number in self._begun
                is_ours = number % self._process.world_size == self._process.rank and not is_begun
                if is_ours:
                    self._append_chunk(number, len(raw), *translate(raw, num_lines))
                progress.add(len(raw), translated=is_ours, before=is_begun)
                num_lines += len(raw)
        except BaseException:
            if self.num_lines:
                progress.say(
                    f"seq2seq: {self.num_lines:,} lines are kept in {self._folder}; --resume goes on with them"
                )
            raise
        self._append(json.dumps({"of_chunks": number}).encode() + b"\n")
        self._is_worth_keeping = True

    def finish(self, say: Callable[[str], None]) -> None:
        """Put the output together if all processes have ended, and say what there is to say.

        Raises:
            ValueError: translations that were there are no longer.
        """
        try:
            parts = self._parts()
            ranks = [rank for rank in range(self._process.world_size) if self._is_open(parts, rank)]
            if ranks:
                say(f"seq2seq: {self._process} is done; rank {_and(ranks)} is not, and the last writes {self._output}")
                if dead := [rank for rank in ranks if not _is_locked(self._path(rank))]:
                    say(f"seq2seq: rank {_and(dead)} seems not to run; if it does not, start all again with --resume")
                return
            chunks: dict[int, _Chunk] = {}
            for part in parts.values():
                chunks |= part.chunks
            of_chunks = parts[self._own].of_chunks or 0
            if lacking := [number for number in range(1, of_chunks + 1) if number not in chunks]:
                raise ValueError(f"{self._folder} has lost chunk {lacking[0]}; start again with --resume")
            self._put_together([chunks[number] for number in range(1, of_chunks + 1)])
        except FileNotFoundError:
            if self._folder.exists():
                raise
            return  # two found all others ended, and the other one was faster
        if bad := [line + 1 for number in sorted(chunks) for line in chunks[number].bad_lines]:
            first = ", ".join(map(str, bad[:10])) + (", ..." if len(bad) > 10 else "")
            say(f"seq2seq: {len(bad):,} of {self.num_lines:,} lines were bad: {first}")

    def _put_together(self, chunks: Iterable[_Chunk]) -> None:
        whole = self._folder / f"whole.{self._process.rank}"
        with open(whole, "wb") as raw:
            is_compressed = self._output.suffix == ".gz"
            # The same bytes whenever it is written: no time of day.
            packed = gzip.GzipFile(self._output.stem, "wb", fileobj=raw, mtime=0) if is_compressed else None
            with packed or contextlib.nullcontext(raw) as file:
                for chunk in chunks:
                    with open(chunk.path, "rb") as part:
                        part.seek(chunk.start)
                        file.write(part.read(chunk.num_bytes))
            raw.flush()
            os.fsync(raw.fileno())
        os.replace(whole, self._output)
        _flush_folder(self._output.parent)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _check(self, parts: Mapping[Path, _Part], resume: bool) -> None:
        """Refuse to go on with what lies there, unless it is asked for and fits."""
        # Other processes of this job may have begun before this one.
        others = [self._path(rank) for rank in range(self._process.world_size) if rank != self._process.rank]
        left = sum(
            chunk.num_lines for path, part in parts.items() if path not in others for chunk in part.chunks.values()
        )
        if left and not resume:
            raise ValueError(
                f"{self._folder} holds {left:,} lines that an earlier job has translated; go on with --resume, or "
                "delete it"
            )
        for part in parts.values():
            begun = part.record if part.chunks else None
            if begun is not None and begun != self._record:
                name = next(name for name in (*begun, *self._record) if begun.get(name) != self._record.get(name))
                raise ValueError(
                    f"{self._folder} was begun with {name} {begun.get(name)}, and now it is {self._record.get(name)}; "
                    "give the same, or delete it and begin again"
                )

    def _parts(self) -> dict[Path, _Part]:
        return {path: _read(path) for path in self._folder.glob("*-of-*")}

    def _path(self, rank: int) -> Path:
        return self._folder / f"{rank}-of-{self._process.world_size}"

    def _is_open(self, parts: Mapping[Path, _Part], rank: int) -> bool:
        part = parts.get(self._path(rank))
        return part is None or part.of_chunks is None

    def _lock(self) -> None:
        for _ in range(20):
            if _try_lock(self._file):
                return
            time.sleep(0.1)  # perhaps another rank has just looked whether this one runs
        raise ValueError(f"another process is writing {self._own}; let it end, or choose another --output")

    def _append_chunk(self, number: int, num_lines: int, texts: Iterable[str], bad_lines: list[int]) -> None:
        content = "".join(text + "\n" for text in texts).encode("utf-8")
        entry = {"chunk": number, "lines": num_lines, "bad_lines": bad_lines}
        entry |= {"bytes": len(content), "crc32": zlib.crc32(content)}
        self._append(json.dumps(entry).encode() + b"\n" + content)
        self._is_worth_keeping = True
        self.num_lines += num_lines

    def _append(self, content: bytes) -> None:
        """Write at the end, and wait until it is on the disk."""
        self._file.write(content)
        self._file.flush()
        os.fsync(self._file.fileno())


def partial_folder(output: str) -> Path:
    """Where the parts of an output stand until it is whole."""
    path = Path(output).resolve()
    return path.with_name(f"{path.name}.partial")


def _read(path: Path) -> _Part:
    """What is whole of a part."""
    record: Record | None = None
    chunks: dict[int, _Chunk] = {}
    num_bytes = 0
    of_chunks = None
    with open(path, "rb") as file:
        for line in iter(file.readline, b""):
            try:
                entry = json.loads(line) if line.endswith(b"\n") else {}
            except ValueError:  # a power cut leaves zeros
                break
            if record is None:
                record = entry
            elif "chunk" in entry:
                chunk = _Chunk(path, file.tell(), entry["bytes"], entry["lines"], entry["bad_lines"])
                text = file.read(chunk.num_bytes)
                if len(text) < chunk.num_bytes or zlib.crc32(text) != entry["crc32"]:
                    break
                chunks[entry["chunk"]] = chunk
            else:
                of_chunks = entry.get("of_chunks")
                break
            num_bytes = file.tell()
    return _Part(record, chunks, num_bytes, of_chunks)


def _try_lock(file: BinaryIO) -> bool:
    """Whether nobody else has it now; also where the file system has no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _is_locked(path: Path) -> bool:
    """Whether a process is writing it, as far as the file system tells."""
    try:
        with open(path, "rb") as file:
            return not _try_lock(file)
    except FileNotFoundError:
        return False


def _flush_folder(folder: Path) -> None:
    """Let the names in a folder outlive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _and(ranks: list[int]) -> str:
    return ", ".join(map(str, ranks))
