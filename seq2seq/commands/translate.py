"""`seq2seq translate`: lines of text in, as many translated lines out."""

import functools
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, BinaryIO

from seq2seq.atomic import replaced_when_whole
from seq2seq.commands.arguments import (
    SEARCH_OPTIONS,
    Parser,
    add_model_arguments,
    add_search_arguments,
    chosen_utility,
    given_search_options,
    search_options,
)
from seq2seq.commands.files import open_blocks, read_chunks, read_lines

if TYPE_CHECKING:
    from seq2seq.translator import Translator

DESCRIPTION = """\
Translates standard input to standard output, or --input to --output, one sentence a line: there are as many lines out
as in, in the same order, and a blank line stays blank. From a pipe or terminal, each is translated when it arrives."""

MAX_LINES_PER_CHUNK = 2048  # sorted by length together; about a dozen batches, so hardly any padding


def main(argv: list[str]) -> None:
    """Translate as `argv` says."""
    parser = Parser("translate", DESCRIPTION)
    add_model_arguments(parser)
    parser.add_argument("--input", metavar="FILE", help="text to translate, .gz is read too; default standard input")
    parser.add_argument(
        "--output", metavar="FILE", help="appears when it is whole, .gz is compressed; default standard output"
    )
    parser.add_argument(
        "--prefix", metavar="FILE", help="what each translation begins with, line for line, blank for nothing"
    )
    add_search_arguments(parser, list(SEARCH_OPTIONS))
    arguments = parser.parse(argv)

    # Opened first: a wrong name is reported before torch takes its seconds to import.
    read = open_blocks(arguments.input) if arguments.input else functools.partial(os.read, sys.stdin.fileno())
    prefixes = read_lines(arguments.prefix) if arguments.prefix else None

    from seq2seq.bundle import load_bundle
    from seq2seq.translator import Translator, choose_device

    options = search_options(arguments)
    bundle = load_bundle(arguments.model, device=choose_device(arguments.device))
    translator = Translator(
        bundle,
        options=options,
        max_tokens_per_batch=arguments.max_tokens_per_batch,
        utility=chosen_utility(arguments),
    )
    print_nbest = not arguments.mbr and bool({"num_best", "num_samples"} & given_search_options(arguments).keys())

    if not arguments.input and sys.stdin.isatty():
        print("Type one sentence a line; Ctrl-D ends.", file=sys.stderr)
    chunks = read_chunks(read, name=arguments.input or "standard input", max_lines=MAX_LINES_PER_CHUNK)
    # Being terminated cleans up as being interrupted does.
    terminate = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with replaced_when_whole(arguments.output) if arguments.output else nullcontext(sys.stdout.buffer) as output:
            _translate(translator, _with_prefixes(chunks, prefixes), output, print_nbest=print_nbest)
    finally:
        signal.signal(signal.SIGTERM, terminate)


def _with_prefixes(
    chunks: Iterable[list[str]], prefixes: list[str] | None
) -> Iterator[tuple[list[str], list[str] | None]]:
    """Each chunk with the prefixes of its lines."""
    start = 0
    for lines in chunks:
        end = start + len(lines)
        if prefixes is not None and end > len(prefixes):
            raise ValueError(f"--prefix has {len(prefixes)} lines and the text more; give one for each, blank or not")
        yield lines, None if prefixes is None else prefixes[start:end]
        start = end
    if prefixes is not None and start < len(prefixes):
        raise ValueError(
            f"--prefix has {len(prefixes)} lines and the text {start}; line n of one must belong to line n"
        )


def _translate(
    translator: "Translator",
    chunks: Iterable[tuple[list[str], list[str] | None]],
    output: BinaryIO,
    *,
    print_nbest: bool,
) -> None:
    num_sentences = 0
    # Not between translations that go to the same terminal.
    show_progress = sys.stderr.isatty() and not (output is sys.stdout.buffer and sys.stdout.isatty())
    started = time.monotonic()
    try:
        for lines, prefixes in chunks:
            if print_nbest:
                written = [
                    f"{index} ||| {translation.text} ||| {translation.score:.6f}"
                    for index, nbest in enumerate(translator.translate_nbest(lines, prefixes), num_sentences)
                    for translation in nbest
                ]
            else:
                written = translator.translate(lines, prefixes)
            output.write("".join(line + "\n" for line in written).encode("utf-8"))
            output.flush()
            num_sentences += len(lines)
            if show_progress:
                speed = num_sentences / (time.monotonic() - started)
                print(f"\r{num_sentences:,} sentences, {speed:.1f}/s ", end="", file=sys.stderr, flush=True)
    finally:
        if show_progress:
            print(file=sys.stderr)
