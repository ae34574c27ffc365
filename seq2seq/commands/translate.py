"""`seq2seq translate`: lines of text in, as many translated lines out."""

import functools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, BinaryIO

from seq2seq.atomic import replaced_when_whole
from seq2seq.commands.arguments import Parser, add_model_arguments, add_search_arguments, given_search_options
from seq2seq.commands.files import open_blocks, read_chunks
from seq2seq.commands.outputs import Wanted, Written, side_files, write_lines

if TYPE_CHECKING:
    from seq2seq.translator import Translator

DESCRIPTION = """\
Translates standard input to standard output, or --input to --output, one sentence a line: there are as many lines out
as in, in the same order, and a blank line stays blank. From a pipe or terminal, each is translated when it arrives.
With --format jsonl each line becomes an object with text, score, log_probability, tokens, token_log_probabilities,
finished (false: cut at the length limit) and unknown (what of the source the vocabulary has no piece for); with
--num_best also nbest, with --alignment also alignment, attention and source_tokens."""

MAX_LINES_PER_CHUNK = 2048  # sorted by length together; about a dozen batches, so hardly any padding


def main(argv: list[str]) -> None:
    """Translate as `argv` says."""
    parser = Parser("translate", DESCRIPTION)
    add_model_arguments(parser)
    parser.add_argument("--input", metavar="FILE", help="text to translate, .gz is read too; default standard input")
    parser.add_argument(
        "--output", metavar="FILE", help="appears when it is whole, .gz is compressed; default standard output"
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
    names = ["beam_width", "length_penalty", "alpha", "max_length_factor", "max_length_offset", "num_best"]
    add_search_arguments(parser, names)
    arguments = parser.parse(argv)
    given = given_search_options(arguments)
    wanted = Wanted(
        format=arguments.format,
        nbest="num_best" in given,
        alignment=arguments.alignment is not None,
        attention=arguments.attention is not None,
    )
    if arguments.alignment == "" and wanted.format == "text":
        raise ValueError("--alignment needs a FILE to write to, unless --format is jsonl")

    # Opened first: a wrong name is reported before torch takes its seconds to import.
    read = open_blocks(arguments.input) if arguments.input else functools.partial(os.read, sys.stdin.fileno())

    from seq2seq.bundle import load_bundles
    from seq2seq.decoding import SearchOptions
    from seq2seq.translator import Translator, choose_device

    options = SearchOptions(**given)
    device = choose_device(arguments.device)
    bundle = load_bundles(arguments.models, device, ensemble=arguments.ensemble, weights=arguments.weights)
    translator = Translator(bundle, options=options, max_tokens_per_batch=arguments.max_tokens_per_batch)
    models = " and ".join(arguments.models)
    if (wanted.alignment or wanted.attention) and not translator.has_attention:
        option = "--alignment" if wanted.alignment else "--attention"
        raise ValueError(f"{models} has no attention for {option}; give an attention model or a transformer")

    if not arguments.input and sys.stdin.isatty():
        print("Type one sentence a line; Ctrl-D ends.", file=sys.stderr)
    chunks = read_chunks(read, name=arguments.input or "standard input", max_lines=MAX_LINES_PER_CHUNK)
    # Being terminated cleans up as being interrupted does.
    terminate = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with (
            replaced_when_whole(arguments.output) if arguments.output else nullcontext(sys.stdout.buffer) as output,
            side_files(arguments.alignment, arguments.attention, f"Attention of {models}") as write_beside,
        ):
            _translate(translator, chunks, wanted, output, write_beside)
    finally:
        signal.signal(signal.SIGTERM, terminate)


def _translate(
    translator: "Translator",
    chunks: Iterable[list[str]],
    wanted: Wanted,
    output: BinaryIO,
    write_beside: Callable[[Sequence[Written]], None],
) -> None:
    num_sentences = 0
    # Not between translations that go to the same terminal.
    show_progress = sys.stderr.isatty() and not (output is sys.stdout.buffer and sys.stdout.isatty())
    started = time.monotonic()
    try:
        for lines in chunks:
            written = write_lines(translator, lines, translator.translate_nbest(lines), num_sentences, wanted)
            output.write("".join(line.text + "\n" for line in written).encode("utf-8"))
            output.flush()
            write_beside(written)
            num_sentences += len(lines)
            if show_progress:
                speed = num_sentences / (time.monotonic() - started)
                print(f"\r{num_sentences:,} sentences, {speed:.1f}/s ", end="", file=sys.stderr, flush=True)
    finally:
        if show_progress:
            print(file=sys.stderr)
