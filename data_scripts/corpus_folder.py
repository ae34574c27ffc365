"""The folder of a corpus, whole or not at all, with a corpus.json that says what it is; one-line errors."""

import argparse
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn


def holds_corpus(out_dir: Path, name: str, version: int, arguments: dict[str, Any]) -> bool:
    """Whether the folder already holds the corpus `name` of this version of its script and these arguments.

    Raises:
        ValueError: if it holds anything else, or if a file of the corpus is missing or altered.
    """
    if not out_dir.exists() or (out_dir.is_dir() and not any(out_dir.iterdir())):
        return False
    advice = "name another folder or delete this one"
    try:
        description: dict[str, Any] = json.loads((out_dir / "corpus.json").read_text(encoding="utf-8"))
        found = description["version"], description["arguments"]
        sums = dict(description["sha256"])
        is_other = description["name"] != name
    except (OSError, ValueError, KeyError, TypeError):
        is_other = True
    if is_other:
        raise ValueError(f"{out_dir} exists and holds no {name} corpus; {advice}")
    if found != (version, arguments):
        raise ValueError(
            f"{out_dir} holds the {name} corpus of version {found[0]} with {found[1]}, "
            f"not of version {version} with {arguments}; {advice}"
        )
    for file, sha256 in sums.items():
        path = out_dir / file
        if not path.is_file() or _sha256(path) != sha256:
            raise ValueError(f"{path} is missing or not as written; {advice}")
    return True


def write_corpus(out_dir: Path, files: dict[str, bytes], description: dict[str, Any]) -> None:
    """Writes the corpus so that the folder is there whole or not at all."""
    out_dir = out_dir.resolve()
    with whole_folder(out_dir, out_dir.parent / f".{out_dir.name}.{os.getpid()}.partial") as folder:
        for name, content in files.items():
            (folder / name).write_bytes(content)
        describe(folder, description, files)


@contextmanager
def whole_folder(out_dir: Path, partial: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `out_dir` when the block ends without an exception.

    Args:
        out_dir: if it exists it is empty.
        partial: what the folder is called until then, on the same file system.
    """
    partial.mkdir(parents=True)
    try:
        yield partial
        if out_dir.exists():
            out_dir.rmdir()  # it is empty; some systems do not rename onto it
        partial.rename(out_dir)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def describe(folder: Path, description: dict[str, Any], files: Iterable[str]) -> None:
    """Writes corpus.json: the description and the sums of the files."""
    sums = {name: _sha256(folder / name) for name in files}
    text = json.dumps(description | {"sha256": sums}, indent=2, ensure_ascii=False) + "\n"
    (folder / "corpus.json").write_text(text, encoding="utf-8", newline="\n")


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
