"""Pairs out of columns: Parquet, Arrow, folders and names of Hugging Face `datasets`."""

import contextlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from seq2seq.corpus.forms import form_of, parse_hub
from seq2seq.corpus.lines import check_langs, sentence_of

ROWS_AT_ONCE = 10_000


def column_pairs(spec: str, src_lang: str, tgt_lang: str, start: int, streaming: bool) -> Iterator[tuple[str, str]]:
    """Both sides of a Hugging Face dataset or of a Parquet file."""
    table = load_table(spec, streaming=streaming)
    names = table.schema_arrow.names if Path(spec).suffix == ".parquet" else table.column_names
    is_nested = "translation" in names and src_lang not in names
    if not is_nested:
        check_langs(spec, names, src_lang, tgt_lang)
    columns = ["translation"] if is_nested else [src_lang, tgt_lang]
    for number, row in enumerate(_rows(spec, table, columns, start), start + 1):
        pair, where = row["translation"] if is_nested else row, f"{spec} row {number}"
        check_langs(where, pair, src_lang, tgt_lang)
        yield sentence_of(pair[src_lang], where), sentence_of(pair[tgt_lang], where)


def load_table(spec: str, *, streaming: bool = False) -> Any:
    """The Hugging Face dataset that an Arrow file, a folder or an `hf:` name stands for, or an open Parquet file."""
    import datasets

    path = Path(spec)
    with _one_line(spec):
        if form_of(spec) == "hub":
            name, config, split = parse_hub(spec)
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
            batches = (b.to_pydict() for b in table.iter_batches(ROWS_AT_ONCE, row_groups=groups, columns=columns))
        else:
            batches, start = table.select_columns(columns).skip(start).iter(ROWS_AT_ONCE), 0
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
        if form_of(spec) == "hub":
            advice = "check name and split; if you are offline, fetch it once while online or use local files"
        raise ValueError(f"cannot load {spec}: {reason}; {advice}") from error
