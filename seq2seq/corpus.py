"""Sentence pairs out of files: what each form of a corpus is called, and how it is read.

    data/train               data/train.de and data/train.en, each perhaps .gz
    a.txt,b.txt              source and target file, each perhaps .gz
    x.tsv, x.tsv.gz          source TAB target
    x.jsonl, x.jsonl.gz      {"de": ..., "en": ...} or {"translation": {"de": ..., "en": ...}} on each line
    x.parquet, x.arrow       columns de and en, or a column `translation` that holds both
    FOLDER                   the same, written by Hugging Face `Dataset.save_to_disk`
    hf:NAME[:CONFIG]:SPLIT   the same, through `datasets.load_dataset`

Text is UTF-8, and its lines end at "\\n" alone (a "\\r" before it goes too): Python's `splitlines` also splits at
U+2028 and others, which shifts all later lines against the other side. A line end inside a sentence of the last four
forms becomes a space, because a sentence is one line everywhere else.
"""

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def read_pairs(spec: str, src_lang: str, tgt_lang: str) -> tuple[list[str], list[str]]:
    """The source and the target sentences of a corpus, equally many.

    Args:
        spec: one of the forms above.
        src_lang: file ending, key or column of the source.
        tgt_lang: the same of the target.

    Raises:
        FileNotFoundError: a file is missing; the message names what was looked for.
        ValueError: there is nothing in it, or something that is not a pair of sentences; the message says where.
    """
    files = corpus_files(spec, src_lang, tgt_lang)
    match _form(spec):
        case "text":
            src, tgt = (_read_lines(file) for file in files)
            if len(src) != len(tgt):
                raise ValueError(
                    f"{files[0]} has {len(src)} lines but {files[1]} has {len(tgt)}; the translation of each line must "
                    "stand on the same line of the other file"
                )
        case "tsv":
            src, tgt = _read_tsv(files[0])
        case "jsonl":
            src, tgt = _read_jsonl(files[0], src_lang, tgt_lang)
        case _:
            src, tgt = _read_columns(_load_dataset(spec), spec, src_lang, tgt_lang)
    if not src:
        raise ValueError(f"{' and '.join(map(str, files)) or spec} hold no lines; give at least one sentence pair")
    return src, tgt


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
        case _:
            files = [path]
    if missing := [str(file) for file in files if not file.is_file()]:
        raise FileNotFoundError(f"no file {' and no file '.join(missing)}; check the path of the corpus {spec!r}")
    return files


def fingerprint(spec: str, src_lang: str, tgt_lang: str) -> str:
    """SHA-256 over all that `read_pairs` would read: it changes with the contents, not when files move."""
    files = corpus_files(spec, src_lang, tgt_lang)
    form = _form(spec)
    if form == "hub":  # what was downloaded lies in Arrow files, which a split may take a part of
        form = spec
        files = [Path(file["filename"]) for file in _load_dataset(spec).cache_files]
    digests = []
    for file in files:
        with file.open("rb") as opened:
            digests.append(hashlib.file_digest(opened, "sha256").hexdigest())
    if not files:  # a hub dataset that is not kept on disk
        digests.append(hashlib.sha256(json.dumps(read_pairs(spec, src_lang, tgt_lang)).encode()).hexdigest())
    zipped = [file.suffix == ".gz" for file in files]
    return hashlib.sha256(json.dumps([form, src_lang, tgt_lang, zipped, digests]).encode()).hexdigest()


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


def _read_lines(path: Path) -> list[str]:
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is no complete gzip file ({error}); write it again") from None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path} line {line}: byte 0x{data[error.start]:02x} is not UTF-8; convert the file, for example with iconv"
        ) from None
    lines = text.removeprefix("\ufeff").split("\n")  # some editors begin a file with a byte order mark
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def _read_tsv(path: Path) -> tuple[list[str], list[str]]:
    src, tgt = [], []
    for number, line in enumerate(_read_lines(path), 1):
        columns = line.split("\t")
        if len(columns) != 2:
            raise ValueError(f"{path} line {number} has {len(columns)} columns; each line must be SOURCE TAB TARGET")
        src.append(columns[0])
        tgt.append(columns[1])
    return src, tgt


def _read_jsonl(path: Path, src_lang: str, tgt_lang: str) -> tuple[list[str], list[str]]:
    src, tgt = [], []
    for number, line in enumerate(_read_lines(path), 1):
        where = f"{path} line {number}"
        try:
            pair = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{where} is not JSON ({error.msg}); each line must be one object") from None
        if not isinstance(pair, dict):
            raise ValueError(f"{where} is no JSON object; write {{{src_lang!r}: ..., {tgt_lang!r}: ...}}")
        pair = pair["translation"] if isinstance(pair.get("translation"), dict) else pair
        _check_langs(where, pair, src_lang, tgt_lang)
        src.append(_sentence(pair[src_lang], where))
        tgt.append(_sentence(pair[tgt_lang], where))
    return src, tgt


def _read_columns(dataset: Any, spec: str, src_lang: str, tgt_lang: str) -> tuple[list[str], list[str]]:
    """Both sides of a Hugging Face dataset."""
    if "translation" in dataset.column_names and src_lang not in dataset.column_names:
        rows = dataset.select_columns("translation").to_dict()["translation"]
        for number, row in enumerate(rows, 1):
            _check_langs(f"{spec} row {number}", row, src_lang, tgt_lang)
        columns = [[row[lang] for row in rows] for lang in (src_lang, tgt_lang)]
    else:
        _check_langs(spec, dataset.column_names, src_lang, tgt_lang)
        columns = [dataset.select_columns(lang).to_dict()[lang] for lang in (src_lang, tgt_lang)]
    src, tgt = ([_sentence(text, f"{spec} row {number}") for number, text in enumerate(c, 1)] for c in columns)
    return src, tgt


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


def _load_dataset(spec: str) -> Any:
    """The Hugging Face dataset that a table, a folder or an `hf:` name stands for."""
    import datasets

    path = Path(spec)
    try:
        if _form(spec) == "hub":
            name, config, split = _parse_hub(spec)
            return datasets.load_dataset(name, config, split=split)
        if path.is_dir():
            return datasets.load_from_disk(spec)
        if path.suffix == ".arrow":
            return datasets.Dataset.from_file(spec)
        import pyarrow.parquet

        return datasets.Dataset(pyarrow.parquet.read_table(path))
    except Exception as error:  # a dozen kinds of two other libraries: to the user they are all one
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        advice = "check the file"
        if _form(spec) == "hub":
            advice = "check name and split; if you are offline, fetch it once while online or use local files"
        raise ValueError(f"cannot load {spec}: {reason}; {advice}") from error
