"""`seq2seq translate`: lines of text in, as many translated lines out."""

import argparse
import dataclasses
import functools
import os
import signal
import stat
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, BinaryIO

from seq2seq import __version__
from seq2seq.atomic import replaced_when_whole
from seq2seq.commands.arguments import (
    SEARCH_OPTIONS,
    Parser,
    add_model_arguments,
    add_search_arguments,
    chosen_utility,
    given_search_options,
    loaded_model,
    search_options,
)
from seq2seq.commands.files import open_blocks, read_lines, read_raw_chunks
from seq2seq.commands.job import Job, Process, Text, has_just_appeared, read_through, this_process
from seq2seq.commands.outputs import Wanted, Written, side_files, write_lines
from seq2seq.commands.progress import Progress

if TYPE_CHECKING:
    from seq2seq.commands.lines import LineTranslator, Write
    from seq2seq.translator import Translator

DESCRIPTION = """\
Translates standard input to standard output, or --input to --output, one sentence a line: there are as many lines out
as in, in the same order, and a blank line stays blank. From a pipe or terminal, each is translated when it arrives.

From file to file it is a job. What is done stands in OUTPUT.partial; when a job was stopped or killed, the same command
with --resume goes on. Several processes share a job, each with a GPU of its own, under torchrun or SLURM's srun:
    torchrun --nproc_per_node 4 -m seq2seq.cli translate MODEL --input FILE --output FILE"""

MAX_LINES_PER_CHUNK = 2048  # sorted by length together; about a dozen batches, so hardly any padding
# Options that say nothing of the translation of a good line, but for rounding: a job may go on with others. The models
# are recorded by their hash.
NOT_RECORDED = ("models", "output", "resume", "device", "max_tokens_per_batch", "max_tokens_per_line", "bad_lines")


def _parsed(argv: list[str]) -> argparse.Namespace:
    parser = Parser("translate", DESCRIPTION)
    add_model_arguments(parser)
    parser.add_argument("--input", metavar="FILE", help="text to translate, .gz is read too; default standard input")
    parser.add_argument(
        "--output", metavar="FILE", help="appears when it is whole, .gz is compressed; default standard output"
    )
    parser.add_argument("--column", type=int, metavar="N", help="translate this column of a TSV file, from 1")
    parser.add_argument("--resume", action="store_true", help="go on with an --output that was begun, if one was")
    parser.add_argument(
        "--bad_lines",
        choices=["stop", "skip", "translate"],
        help="at a line that is not UTF-8, too long or without the column: stop, skip it (its translation is blank) or "
        "translate what can be; it is reported by its number in any case; default stop, on a terminal skip",
    )
    parser.add_argument(
        "--max_tokens_per_line", type=int, default=1024, metavar="N", help="a longer line is a bad one; default 1024"
    )
    parser.add_argument(
        "--prefix", metavar="FILE", help="what each translation begins with, line for line, blank for nothing"
    )
    parser.add_argument("--format", choices=["text", "jsonl"], default="text", help="default text")
    parser.add_argument(
        "--alignment",
        nargs="?",
        const="",
        metavar="FILE",
        help="words that belong together by the model's attention: lines 0-0 1-2 in FILE; jsonl needs no FILE",
    )
    parser.add_argument("--attention", metavar="FILE", help="draw the model's attention: a page of HTML")
    add_search_arguments(parser, list(SEARCH_OPTIONS))
    return parser.parse(argv)


def main(argv: list[str]) -> None:
    """Translate as `argv` says."""
    arguments = _parsed(argv)
    wanted = Wanted(
        format=arguments.format,
        nbest=not arguments.mbr and bool({"num_best", "num_samples"} & given_search_options(arguments).keys()),
        alignment=arguments.alignment is not None,
        attention=arguments.attention is not None,
    )
    if arguments.alignment == "" and wanted.format == "text":
        raise ValueError("--alignment needs a FILE to write to, unless --format is jsonl")
    process = this_process(os.environ)
    if arguments.column is not None and arguments.column < 1:
        raise ValueError(f"column is {arguments.column}; the first is 1")

    # Opened first: a wrong name is reported before torch takes its seconds to import.
    read = open_blocks(arguments.input) if arguments.input else functools.partial(os.read, sys.stdin.fileno())
    prefixes = read_lines(arguments.prefix) if arguments.prefix else None
    text = _text_of_job(arguments, process)
    if arguments.resume and has_just_appeared(arguments.output):
        print(f"seq2seq: another process has ended {arguments.output}", file=sys.stderr)
        return

    from seq2seq.commands.lines import LineTranslator
    from seq2seq.translator import Translator

    options = search_options(arguments)
    bundle = loaded_model(arguments, process.local_rank)
    translator = Translator(
        bundle,
        options=options,
        max_tokens_per_batch=arguments.max_tokens_per_batch,
        max_tokens_per_line=arguments.max_tokens_per_line,
        utility=chosen_utility(arguments),
    )
    models = " and ".join(arguments.models)
    if (wanted.alignment or wanted.attention) and not translator.has_attention:
        option = "--alignment" if wanted.alignment else "--attention"
        raise ValueError(f"{models} has no attention for {option}; give an attention model or a transformer")
    if prefixes is not None and text is not None and len(prefixes) != text.num_lines:
        raise ValueError(_unlike_prefixes(prefixes, text.num_lines))
    name = arguments.input or "standard input"
    is_dialogue = not arguments.input and sys.stdin.isatty()
    is_whole = _is_file(arguments.input or sys.stdin.fileno())
    chunks = read_raw_chunks(read, name=name, max_lines=MAX_LINES_PER_CHUNK, wait=is_whole)
    # Not between translations that go to the same terminal, nor between what other processes say.
    shows_one_line = (
        sys.stderr.isatty() and process.world_size == 1 and bool(arguments.output or not sys.stdout.isatty())
    )
    progress = Progress(
        sys.stderr,
        num_lines=text.num_lines if text else None,
        prefix=f"{process}: " if process.world_size > 1 else "",
        on_one_line=shows_one_line,
        in_a_log=text is not None,
    )
    translate = LineTranslator(
        _writer(translator, prefixes, wanted),
        translator.shortened,
        name=name,
        column=arguments.column,
        bad_lines=arguments.bad_lines or ("skip" if is_dialogue else "stop"),
        say=progress.say,
    )
    # Being terminated cleans up as being interrupted does.
    terminate = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if text is not None:
            record = _record(arguments, text) | dataclasses.asdict(options)
            record |= {"model": bundle.sha256[:16], "nbest": wanted.nbest}
            with Job(arguments.output, record=record, process=process, resume=arguments.resume) as job:
                job.run(chunks, translate, progress)
                if read_through(arguments.input) != text:
                    raise ValueError(f"{name} was changed while it was translated; delete {job.folder} and begin again")
                job.finish(progress.say)
        else:
            opened = replaced_when_whole(arguments.output) if arguments.output else nullcontext(sys.stdout.buffer)
            with (
                opened as output,
                side_files(arguments.alignment, arguments.attention, f"Attention of {models}") as write_beside,
            ):
                num_lines = _translate_stream(
                    chunks, translate, output, write_beside, progress, is_dialogue=is_dialogue
                )
                if prefixes is not None and len(prefixes) != num_lines:
                    raise ValueError(_unlike_prefixes(prefixes, num_lines))
    finally:
        progress.close()
        signal.signal(signal.SIGTERM, terminate)


def _text_of_job(arguments: argparse.Namespace, process: Process) -> Text | None:
    """The input, if it goes from file to file and so is a job; None if it is translated as it arrives."""
    beside = next((f"--{name}" for name in ("alignment", "attention") if getattr(arguments, name)), None)
    if beside:  # files that are no parts of a job's output
        if arguments.resume or process.world_size > 1:
            raise ValueError(f"{beside} takes one process and no --resume; leave it out, or do without these")
        return None
    if _is_file(arguments.input) and (not os.path.exists(arguments.output or os.sep) or _is_file(arguments.output)):
        return read_through(arguments.input)
    if arguments.resume:
        raise ValueError("--resume goes on with a job, which takes --input and --output that are files")
    if process.world_size > 1:
        raise ValueError(f"this is {process}, but several processes share a job only, with --input and --output files")
    return None


def _record(arguments: argparse.Namespace, text: Text) -> dict[str, Any]:
    """What the translations of a job depend on, but for the model and the search."""
    recorded = {key: value for key, value in vars(arguments).items() if key not in NOT_RECORDED}
    if arguments.prefix:
        recorded["prefix"] = read_through(arguments.prefix).sha256[:16]
    return recorded | {"input": f"{text.sha256[:16]} ({text.num_lines:,} lines)", "seq2seq": __version__}


def _writer(translator: "Translator", prefixes: Sequence[str] | None, wanted: Wanted) -> "Write":
    """What is written for each line."""

    def write(lines: Sequence[str], first: int) -> list[Written]:
        own = None if prefixes is None else prefixes[first : first + len(lines)]
        if prefixes is not None and len(prefixes) < first + len(lines):
            raise ValueError(_unlike_prefixes(prefixes, "more"))
        return write_lines(translator, lines, translator.translate_nbest(lines, own), first, wanted)

    return write


def _unlike_prefixes(prefixes: Sequence[str], num_lines: int | str) -> str:
    return f"--prefix has {len(prefixes)} lines and the text {num_lines}; line n of one must belong to line n"


def _translate_stream(
    chunks: Iterable[list[bytes]],
    translate: "LineTranslator",
    output: BinaryIO,
    write_beside: Callable[[Sequence[Written]], None],
    progress: Progress,
    *,
    is_dialogue: bool,
) -> int:
    """Write the translations of lines as they arrive; those before a line at which it stops as well. How many."""
    from seq2seq.commands.lines import BadLineError

    num_lines = 0
    if is_dialogue:
        print("Type one sentence a line; Ctrl-D ends.\n> ", end="", file=sys.stderr, flush=True)
    for raw in chunks:
        stop: BadLineError | None = None
        while True:
            try:
                written, _ = translate(raw, num_lines)
                break
            except BadLineError as error:
                stop, raw = error, raw[: error.number - num_lines]
        output.write("".join(line.text + "\n" for line in written).encode("utf-8"))
        output.flush()
        write_beside(written)
        if stop is not None:
            raise stop
        num_lines += len(raw)
        progress.add(len(raw), translated=True)
        if is_dialogue:
            print("> ", end="", file=sys.stderr, flush=True)
    if is_dialogue:
        print(file=sys.stderr)
    return num_lines


def _is_file(path: str | int | None) -> bool:
    """Whether this is a regular file, which is whole now and can be read twice."""
    try:
        return path is not None and stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return False
