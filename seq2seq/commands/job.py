"""Translating a file so that a kill, a power cut or a dead node costs no more than a chunk of lines.

The text is cut into chunks of lines, whose borders depend on the text alone. Of several processes, rank r takes every
chunk whose number leaves r when divided by their count. Contiguous byte ranges would spare each the reading of the
others' lines, but that takes nothing beside translating; chunks in turn also work in .gz, are balanced whether or not
the long sentences stand together, and stay what they are when a job goes on with more or fewer processes.

OUTPUT.partial/ holds a file for each process, RANK-of-WORLD_SIZE, see `parts.py`. Nobody waits for anybody: the process
that finds all others ended puts the chunks together and moves the whole to OUTPUT. If one has died, that is left to the
next job: with --resume it translates what no part has.
"""

import contextlib
import gzip
import hashlib
import os
import shutil
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from seq2seq.commands.files import BLOCK_BYTES, open_blocks
from seq2seq.commands.outputs import Written
from seq2seq.commands.parts import Chunk, Part, PartFile, Record, flush_folder, is_written, read_part
from seq2seq.commands.progress import Progress

Translate = Callable[[list[bytes], int], tuple[list[Written], list[int]]]
_STARTED_S = time.time()


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


class Job:
    """The translation of one file, by this process and perhaps others. A context manager.

    Args:
        output: the file that will appear when it is whole, compressed if it ends in .gz.
        record: what the translations depend on. A job that was begun with another is not gone on with.
        process: which one this is.
        resume: whether to go on with what an earlier job has left.

    Attributes:
        folder: where the parts are until the output is whole.

    Raises:
        ValueError: what lies there must not be gone on with, or another process is writing it.
    """

    def __init__(self, output: str, *, record: Record, process: Process, resume: bool) -> None:
        self._output, self.folder = Path(output).resolve(), partial_folder(output)
        self._process = process
        if not self._output.parent.is_dir():
            raise FileNotFoundError(f"cannot write {self._output.name}: there is no folder {self._output.parent}")
        if resume and self._output.exists() and not self.folder.exists():
            raise ValueError(
                f"there is nothing to go on with: {self._output} is there and {self.folder.name} is not; leave out "
                "--resume to translate again"
            )
        self.folder.mkdir(exist_ok=True)
        self._own = self._path(process.rank)
        self._file = PartFile(self._own)
        try:
            parts = self._parts()
            self._check(parts, record, resume)
            self._file.begin(parts[self._own], record)
        except BaseException:
            self._close()
            raise
        self._begun = {number: chunk for part in parts.values() for number, chunk in part.chunks.items()}
        self._num_lines = sum(chunk.num_lines for chunk in self._begun.values())  # that are translated

    def __enter__(self) -> "Job":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def run(self, chunks: Iterable[list[bytes]], translate: Translate, progress: Progress) -> None:
        """Translate what falls to this process and is not yet done.

        Args:
            chunks: of the whole text, raw lines.
            translate: see `LineTranslator`.
            progress: is told of it.
        """
        num_lines = num_chunks = 0
        try:
            for number, raw in enumerate(chunks):
                is_begun = number in self._begun
                is_ours = number % self._process.world_size == self._process.rank and not is_begun
                if is_ours:
                    written, bad_lines = translate(raw, num_lines)
                    self._file.add(number, len(raw), [line.text for line in written], bad_lines)
                    self._num_lines += len(raw)
                progress.add(len(raw), translated=is_ours, before=is_begun)
                num_lines += len(raw)
                num_chunks += 1
        except BaseException:
            if self._num_lines:
                progress.say(
                    f"seq2seq: {self._num_lines:,} lines are kept in {self.folder}; --resume goes on with them"
                )
            raise
        self._file.end(num_chunks)

    def finish(self, say: Callable[[str], None]) -> None:
        """Put the output together if all processes have ended, and say what there is to say.

        Raises:
            ValueError: translations that were there are no longer.
        """
        try:
            parts = self._parts()
            if ranks := [rank for rank in range(self._process.world_size) if not self._has_ended(parts, rank)]:
                say(
                    f"seq2seq: {self._process} is done; the last of all writes {self._output}: left is {_listed(ranks)}"
                )
                if dead := [rank for rank in ranks if not is_written(self._path(rank))]:
                    say(f"seq2seq: {_listed(dead)} seems not to run; if so, start all again with --resume")
                return
            chunks: dict[int, Chunk] = {}
            for part in parts.values():
                chunks |= part.chunks
            numbers = range(parts[self._own].num_chunks or 0)
            if lost := [number for number in numbers if number not in chunks]:
                raise ValueError(f"{self.folder} has lost chunk {lost[0]}; start again with --resume")
            self._put_together([chunks[number] for number in numbers])
        except FileNotFoundError:
            if self.folder.exists():
                raise
            return  # two found all others ended, and the other one was faster
        if bad := [line + 1 for number in numbers for line in chunks[number].bad_lines]:
            first = ", ".join(map(str, bad[:10])) + (", ..." if len(bad) > 10 else "")
            say(f"seq2seq: {self._output} is whole; bad lines: {first} ({len(bad):,} in all)")

    def _put_together(self, chunks: Iterable[Chunk]) -> None:
        whole = self.folder / f"whole.{self._process.rank}"
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
        flush_folder(self._output.parent)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _check(self, parts: Mapping[Path, Part], record: Record, resume: bool) -> None:
        """Refuse to go on with what lies there, unless it is asked for and fits."""
        # Other processes of this job may have begun before this one.
        others = [self._path(rank) for rank in range(self._process.world_size) if rank != self._process.rank]
        left = [chunk for path, part in parts.items() if path not in others for chunk in part.chunks.values()]
        if left and not resume:
            raise ValueError(
                f"{self.folder} holds {sum(chunk.num_lines for chunk in left):,} lines that an earlier job has "
                "translated; go on with --resume, or delete it"
            )
        for part in parts.values():
            begun = part.record or {}
            if part.chunks and begun != record:
                [name, *_] = (name for name in (*record, *begun) if begun.get(name) != record.get(name))
                raise ValueError(
                    f"{self.folder} was begun with {name} {begun.get(name)}, and now it is {record.get(name)}; "
                    "give the same, or delete it and begin again"
                )

    def _parts(self) -> dict[Path, Part]:
        return {path: read_part(path) for path in self.folder.glob("*-of-*")}

    def _path(self, rank: int) -> Path:
        return self.folder / f"{rank}-of-{self._process.world_size}"

    def _has_ended(self, parts: Mapping[Path, Part], rank: int) -> bool:
        part = parts.get(self._path(rank))
        return part is not None and part.num_chunks is not None

    def _close(self) -> None:
        self._file.close()
        with contextlib.suppress(OSError):  # there are parts in it, or another process has put them together
            self.folder.rmdir()


def partial_folder(output: str) -> Path:
    """Where the parts of an output stand until it is whole."""
    path = Path(output).resolve()
    return path.with_name(f"{path.name}.partial")


def has_just_appeared(output: str) -> bool:
    """Whether another process of a job has put the output together while this one started."""
    path = Path(output)
    return path.exists() and not partial_folder(output).exists() and path.stat().st_mtime >= _STARTED_S


def _listed(ranks: list[int]) -> str:
    return "rank " + ", ".join(map(str, ranks))
