"""Sentence pairs out of files: what each form of a corpus is called, and how it is read.

    data/train               data/train.de and data/train.en, each perhaps .gz
    a.txt,b.txt              source and target file, each perhaps .gz
    x.tsv, x.tsv.gz          source TAB target
    x.jsonl, x.jsonl.gz      {"de": ..., "en": ...} or {"translation": {"de": ..., "en": ...}} on each line
    x.parquet, x.arrow       columns de and en, or a column `translation` that holds both
    x-*.jsonl                several files of one of these three forms, in the order of their names
    FOLDER                   the same, written by Hugging Face `Dataset.save_to_disk`
    hf:NAME[:CONFIG]:SPLIT   the same, through `datasets.load_dataset`

Text is UTF-8, and its lines end at "\\n" alone (a "\\r" before it goes too): Python's `splitlines` also splits at
U+2028 and others, which shifts all later lines against the other side. A line end inside a sentence of the last four
forms becomes a space, because a sentence is one line everywhere else.
"""

import contextlib
import glob
import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any

from seq2seq.atomic import write_whole

_ROWS_AT_ONCE = 10_000
_MIB = 2**20
_LARGE_FILE = 64 * _MIB


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
        spec: one of the forms above.
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
    while some := list(islice(pairs, _ROWS_AT_ONCE)):
        is_empty = False
        src, tgt = zip(*some, strict=True)
        yield list(src), list(tgt)
    if is_empty:
        files = " and ".join(map(str, corpus_files(spec, src_lang, tgt_lang)))
        raise ValueError(f"{files or spec} hold no lines; give at least one sentence pair")


def corpus_shards(spec: str, src_lang: str, tgt_lang: str) -> list[str]:
    """The parts of a corpus that can be read one without the others, each a corpus itself; errors as `corpus_files`."""
    files = corpus_files(spec, src_lang, tgt_lang)
    return list(map(str, files)) if _form(spec) in ("tsv", "jsonl", "table") else [spec]


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
    match _form(shard):
        case "text":
            files = corpus_files(shard, src_lang, tgt_lang)
            return _text_pairs(files, [_lines(file, start, errors) for file in files], start)
        case "tsv":
            return _tsv_pairs(shard, _lines(Path(shard), start, errors), start)
        case "jsonl":
            return _jsonl_pairs(shard, _lines(Path(shard), start, errors), src_lang, tgt_lang, start)
    return _column_pairs(shard, src_lang, tgt_lang, start, streaming)


def corpus_files(spec: str, src_lang: str, tgt_lang: str) -> list[Path]:
    """The files a corpus is read from; none for `hf:` names.

    Raises:
        FileNotFoundError: a file is missing; the message names what was looked for.
        ValueError: `spec` has none of the forms.
    """
    path = Path(spec)
    match _form(spec):
        case "hub":
            _parse_hub(spec)
            return []
        case "folder":
            if (path / "dataset_dict.json").is_file():
                splits = json.loads((path / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
                raise ValueError(f"{spec} holds the splits {', '.join(splits)}; name one of them as {spec}/SPLIT")
            return sorted(path.glob("*.arrow"))
        case "text" if "," in spec:
            files = [Path(part.strip()) for part in spec.split(",")]
            if len(files) != 2:
                raise ValueError(f"{spec!r} names {len(files)} files; write SOURCE_FILE,TARGET_FILE")
        case "text":
            return [_text_file(spec, lang) for lang in (src_lang, tgt_lang)]
        case _ if "*" in spec:
            files = [Path(name) for name in sorted(glob.glob(spec))] or [path]
        case _:
            files = [path]
    if missing := [str(file) for file in files if not file.is_file()]:
        raise FileNotFoundError(f"no file {' and no file '.join(missing)}; check the path of the corpus {spec!r}")
    return files


def outer_fingerprint(spec: str, src_lang: str, tgt_lang: str) -> str:
    """SHA-256 of names, sizes, first and last MiB of a corpus's files: what a corpus too large to be read can show."""
    found: list[Any] = [src_lang, tgt_lang]
    files = corpus_files(spec, src_lang, tgt_lang)
    for file in files:
        size = file.stat().st_size
        with file.open("rb") as opened:
            ends = hashlib.sha256(opened.read(_MIB))
            opened.seek(max(0, size - _MIB))
            ends.update(opened.read(_MIB))
        found.append([file.name, size, ends.hexdigest()])
    if not files:
        found.append(spec)
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


def fingerprint(spec: str, src_lang: str, tgt_lang: str, *, remember_in: Path | None = None) -> str:
    """SHA-256 over all that `read_pairs` would read: it changes with the contents, not when files move.

    Args:
        spec: one of the forms above.
        src_lang: file ending, key or column of the source.
        tgt_lang: the same of the target.
        remember_in: a folder for the hashes of large files, which are not read again while path, size and time of
            change stay.
    """
    files = corpus_files(spec, src_lang, tgt_lang)
    form = _form(spec)
    if form == "hub":  # what was downloaded lies in Arrow files, which a split may take a part of
        form = spec
        files = [Path(file["filename"]) for file in _load_table(spec).cache_files]
    digests = [_digest(file, remember_in) for file in files]
    if not files:  # a hub dataset that is not kept on disk
        digests.append(hashlib.sha256(json.dumps(read_pairs(spec, src_lang, tgt_lang)).encode()).hexdigest())
    zipped = [file.suffix == ".gz" for file in files]
    return hashlib.sha256(json.dumps([form, src_lang, tgt_lang, zipped, digests]).encode()).hexdigest()


def _digest(file: Path, remember_in: Path | None) -> str:
    """SHA-256 of a file."""
    found = file.stat()
    # Small ones cost nothing, and may change twice within a tick of the file system's clock.
    if remember_in is None or found.st_size < _LARGE_FILE:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    identity = json.dumps([str(file.resolve()), found.st_size, found.st_mtime_ns])
    note = remember_in / f"sha256-{hashlib.sha256(identity.encode()).hexdigest()[:32]}"
    if note.is_file():
        return note.read_text(encoding="utf-8")
    digest = _digest(file, None)
    with contextlib.suppress(OSError):  # where nothing can be written, nothing is remembered
        remember_in.mkdir(parents=True, exist_ok=True)
        write_whole(note, digest)
    return digest


def _form(spec: str) -> str:
    """Which of the forms a corpus has: hub, folder, table, tsv, jsonl or text."""
    path = Path(spec)
    if spec.startswith("hf:"):
        return "hub"
    if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
        return "folder"
    if "," in spec:
        return "text"
    match path.name.removesuffix(".gz").rpartition(".")[2], path.suffix:
        case ("tsv" | "jsonl") as form, _:
            return form
        case _, ".parquet" | ".arrow":
            return "table"
    return "text"


def _text_file(prefix: str, lang: str) -> Path:
    plain, zipped = Path(f"{prefix}.{lang}"), Path(f"{prefix}.{lang}.gz")
    if plain.is_file() or zipped.is_file():
        return plain if plain.is_file() else zipped
    hint = ""
    if Path(prefix).is_dir():
        hint = f"; {prefix} is a folder: name the beginning of the files in it, as in {prefix}/train"
    elif Path(prefix).is_file():
        hint = f"; {prefix} is one file: write SOURCE_FILE,TARGET_FILE or leave out the ending"
    raise FileNotFoundError(f"no corpus {prefix!r}: looked for {plain} and {zipped}{hint}")


def _lines(path: Path, start: int, errors: str) -> Iterator[str]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        number, line = 0, b""
        try:
            for number, line in enumerate(islice(file, start, None), start + 1):
                text = line.decode("utf-8", errors)
                if number == 1:
                    text = text.removeprefix("\ufeff")  # some editors begin a file with a byte order mark
                yield text.removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            byte = f"byte 0x{line[error.start]:02x}"
            raise ValueError(
                f"{path} line {number}: {byte} is not UTF-8; convert the file, for example with iconv"
            ) from None
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"{path} is no complete gzip file ({error}); write it again") from None


def _text_pairs(files: list[Path], lines: list[Iterator[str]], start: int) -> Iterator[tuple[str, str]]:
    (src_file, tgt_file), (src_lines, tgt_lines) = files, lines
    for number, (src, tgt) in enumerate(zip_longest(src_lines, tgt_lines), start + 1):
        if src is None or tgt is None:
            src_count, tgt_count = (
                number - 1 if line is None else number + sum(1 for _ in rest)
                for line, rest in ((src, src_lines), (tgt, tgt_lines))
            )
            raise ValueError(
                f"{src_file} has {src_count} lines but {tgt_file} has {tgt_count}; the translation of each line must "
                "stand on the same line of the other file"
            )
        yield src, tgt


def _tsv_pairs(path: str, lines: Iterator[str], start: int) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(lines, start + 1):
        columns = line.split("\t")
        if len(columns) != 2:
            raise ValueError(f"{path} line {number} has {len(columns)} columns; each line must be SOURCE TAB TARGET")
        yield columns[0], columns[1]


def _jsonl_pairs(
    path: str, lines: Iterator[str], src_lang: str, tgt_lang: str, start: int
) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(lines, start + 1):
        where = f"{path} line {number}"
        try:
            pair = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{where} is not JSON ({error.msg}); each line must be one object") from None
        if not isinstance(pair, dict):
            raise ValueError(f"{where} is no JSON object; write {{{src_lang!r}: ..., {tgt_lang!r}: ...}}")
        pair = pair["translation"] if isinstance(pair.get("translation"), dict) else pair
        _check_langs(where, pair, src_lang, tgt_lang)
        yield _sentence(pair[src_lang], where), _sentence(pair[tgt_lang], where)


def _column_pairs(spec: str, src_lang: str, tgt_lang: str, start: int, streaming: bool) -> Iterator[tuple[str, str]]:
    """Both sides of a Hugging Face dataset or of a Parquet file."""
    table = _load_table(spec, streaming=streaming)
    names = table.schema_arrow.names if Path(spec).suffix == ".parquet" else table.column_names
    is_nested = "translation" in names and src_lang not in names
    if not is_nested:
        _check_langs(spec, names, src_lang, tgt_lang)
    columns = ["translation"] if is_nested else [src_lang, tgt_lang]
    for number, row in enumerate(_rows(spec, table, columns, start), start + 1):
        pair, where = row["translation"] if is_nested else row, f"{spec} row {number}"
        _check_langs(where, pair, src_lang, tgt_lang)
        yield _sentence(pair[src_lang], where), _sentence(pair[tgt_lang], where)


def _check_langs(where: str, there: Iterable[str], src_lang: str, tgt_lang: str) -> None:
    for lang in (src_lang, tgt_lang):
        if lang not in there:
            raise ValueError(
                f"{where} has no {lang!r}; choose src_lang and tgt_lang from {', '.join(there) or 'nothing'}"
            )


def _sentence(text: object, where: str) -> str:
    if not isinstance(text, str):
        raise ValueError(f"{where} holds {text!r} in place of a sentence; write text, or leave the pair out")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"{where} holds half of a UTF-16 pair (\\ud800 to \\udfff), which is no text; repair the file")
    return text.replace("\r\n", " ").replace("\n", " ")


def _parse_hub(spec: str) -> tuple[str, str | None, str]:
    """NAME, CONFIG and SPLIT; colons in brackets belong to the split, as in train[:1000]."""
    match re.split(r":(?![^\[]*\])", spec.removeprefix("hf:")):
        case [str(name), str(split)]:
            return name, None, split
        case [str(name), str(config), str(split)]:
            return name, config, split
    raise ValueError(f"{spec!r} is not hf:NAME:SPLIT or hf:NAME:CONFIG:SPLIT")


def _load_table(spec: str, *, streaming: bool = False) -> Any:
    """The Hugging Face dataset that an Arrow file, a folder or an `hf:` name stands for, or an open Parquet file."""
    import datasets

    path = Path(spec)
    with _one_line(spec):
        if _form(spec) == "hub":
            name, config, split = _parse_hub(spec)
            table = datasets.load_dataset(name, config, split=split, streaming=streaming)
            # A stream may know its columns from its first row alone.
            return table._resolve_features() if streaming else table
        if path.is_dir():
            return datasets.load_from_disk(spec)
        if path.suffix == ".arrow":
            return datasets.Dataset.from_file(spec)
        import pyarrow.parquet

        return pyarrow.parquet.ParquetFile(path)


def _rows(spec: str, table: Any, columns: list[str], start: int) -> Iterator[dict[str, Any]]:
    """Row by row what `_load_table` gave."""
    import datasets

    with _one_line(spec):
        if isinstance(table, datasets.Dataset) and start >= len(table):  # which `skip` takes for an error
            return
        if Path(spec).suffix == ".parquet":
            sizes = [table.metadata.row_group(i).num_rows for i in range(table.num_row_groups)]
            groups = list(range(len(sizes)))
            while groups and start >= sizes[groups[0]]:
                start -= sizes[groups.pop(0)]
            batches = (b.to_pydict() for b in table.iter_batches(_ROWS_AT_ONCE, row_groups=groups, columns=columns))
        else:
            batches, start = table.select_columns(columns).skip(start).iter(_ROWS_AT_ONCE), 0
        for batch in batches:
            rows = zip(*batch.values(), strict=True)
            num_rows = len(batch[columns[0]])
            for row in islice(rows, start, None):
                yield dict(zip(batch, row, strict=True))
            start = max(0, start - num_rows)


@contextlib.contextmanager
def _one_line(spec: str) -> Iterator[None]:
    """What goes wrong inside two other libraries, a dozen kinds of errors, is one to the user."""
    try:
        yield
    except Exception as error:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        advice = "check the file"
        if _form(spec) == "hub":
            advice = "check name and split; if you are offline, fetch it once while online or use local files"
        raise ValueError(f"cannot load {spec}: {reason}; {advice}") from error
