"""Which form a corpus has, by its name, and which files it is read from."""

import glob
import json
import re
from pathlib import Path


def corpus_files(spec: str, src_lang: str, tgt_lang: str) -> list[Path]:
    """The files a corpus is read from; none for `hf:` names.

    Raises:
        FileNotFoundError: a file is missing; the message names what was looked for.
        ValueError: `spec` has none of the forms.
    """
    path = Path(spec)
    match form_of(spec):
        case "hub":
            parse_hub(spec)
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


def form_of(spec: str) -> str:
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


def parse_hub(spec: str) -> tuple[str, str | None, str]:
    """NAME, CONFIG and SPLIT; colons in brackets belong to the split, as in train[:1000]."""
    match re.split(r":(?![^\[]*\])", spec.removeprefix("hf:")):
        case [str(name), str(split)]:
            return name, None, split
        case [str(name), str(config), str(split)]:
            return name, config, split
    raise ValueError(f"{spec!r} is not hf:NAME:SPLIT or hf:NAME:CONFIG:SPLIT")


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
