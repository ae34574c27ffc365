"""The pairs of a corpus of any form: all, some, or one after the other."""

from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from pathlib import Path

from seq2seq.corpus.forms import corpus_files, form_of
from seq2seq.corpus.lines import jsonl_pairs, lines_of, text_pairs, tsv_pairs
from seq2seq.corpus.tables import ROWS_AT_ONCE, column_pairs


def read_pairs(
    spec: str, src_lang: str, tgt_lang: str, *, replace_bad_bytes: bool = False
) -> tuple[list[str], list[str]]:
    """All source and target sentences of a corpus, equally many; for arguments and errors see `iter_pairs`."""
    src: list[str] = []
    tgt: list[str] = []
    for some_src, some_tgt in iter_pairs(spec, src_lang, tgt_lang, replace_bad_bytes=replace_bad_bytes):
        src += some_src
        tgt += some_tgt
    return src, tgt


def sample_pairs(spec: str, src_lang: str, tgt_lang: str, most: int) -> tuple[list[str], list[str]]:
    """At most `most` pairs of a corpus, and more than half as many if it has them, evenly spread over it."""
    src: list[str] = []
    tgt: list[str] = []
    step, number = 1, 0  # every how many pairs one is taken; pairs seen
    for some_src, some_tgt in iter_pairs(spec, src_lang, tgt_lang):
        first = -number % step
        src += some_src[first::step]
        tgt += some_tgt[first::step]
        number += len(some_src)
        while len(src) > most:
            src, tgt, step = src[::2], tgt[::2], 2 * step
    return src, tgt


def first_pairs(
    spec: str, src_lang: str, tgt_lang: str, most: int, *, replace_bad_bytes: bool = False
) -> tuple[list[str], list[str]]:
    """At most `most` pairs of a corpus that is too large to be read: the first of each of its files, equally many."""
    shards = corpus_shards(spec, src_lang, tgt_lang)
    read = partial(iter_shard, src_lang=src_lang, tgt_lang=tgt_lang, replace_bad_bytes=replace_bad_bytes)
    some = [islice(read(shard, streaming=True), max(1, most // len(shards))) for shard in shards[:most]]
    pairs = list(chain.from_iterable(some))
    return [src for src, _ in pairs], [tgt for _, tgt in pairs]


def iter_pairs(
    spec: str, src_lang: str, tgt_lang: str, *, replace_bad_bytes: bool = False
) -> Iterator[tuple[list[str], list[str]]]:
    """The source and the target sentences of a corpus, some thousands at a time: it need not fit into memory.

    Args:
        spec: one of the forms (see the package).
        src_lang: file ending, key or column of the source.
        tgt_lang: the same of the target.
        replace_bad_bytes: whether bytes of a file of lines that are no UTF-8 become U+FFFD, and are no error.

    Raises:
        FileNotFoundError: a file is missing; the message names what was looked for.
        ValueError: there is nothing in it, or something that is not a pair of sentences; the message says where.
    """
    shards = corpus_shards(spec, src_lang, tgt_lang)
    pairs = chain.from_iterable(
        iter_shard(shard, src_lang, tgt_lang, replace_bad_bytes=replace_bad_bytes) for shard in shards
    )
    is_empty = True
    while some := list(islice(pairs, ROWS_AT_ONCE)):
        is_empty = False
        src, tgt = zip(*some, strict=True)
        yield list(src), list(tgt)
    if is_empty:
        files = " and ".join(map(str, corpus_files(spec, src_lang, tgt_lang)))
        raise ValueError(f"{files or spec} hold no lines; give at least one sentence pair")


def corpus_shards(spec: str, src_lang: str, tgt_lang: str) -> list[str]:
    """The parts of a corpus that can be read one without the others, each a corpus itself; errors as `corpus_files`."""
    files = corpus_files(spec, src_lang, tgt_lang)
    return list(map(str, files)) if form_of(spec) in ("tsv", "jsonl", "table") else [spec]


def iter_shard(
    shard: str,
    src_lang: str,
    tgt_lang: str,
    *,
    start: int = 0,
    streaming: bool = False,
    replace_bad_bytes: bool = False,
) -> Iterator[tuple[str, str]]:
    """The pairs of one of `corpus_shards` from row `start` on; errors as `iter_pairs`.

    Rows before are not parsed; of a Parquet file, row groups before are not read.

    Args:
        shard: the part of the corpus.
        src_lang: file ending, key or column of the source.
        tgt_lang: the same of the target.
        start: number of rows to pass over.
        streaming: whether an `hf:` name is read over the net as the pairs are taken, and not kept on disk.
        replace_bad_bytes: see `iter_pairs`.
    """
    errors = "replace" if replace_bad_bytes else "strict"
    match form_of(shard):
        case "text":
            files = corpus_files(shard, src_lang, tgt_lang)
            return text_pairs(files, [lines_of(file, start, errors) for file in files], start)
        case "tsv":
            return tsv_pairs(shard, lines_of(Path(shard), start, errors), start)
        case "jsonl":
            return jsonl_pairs(shard, lines_of(Path(shard), start, errors), src_lang, tgt_lang, start)
    return column_pairs(shard, src_lang, tgt_lang, start, streaming)
