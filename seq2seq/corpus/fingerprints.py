"""Whether two corpora are the same."""

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

from seq2seq.atomic import write_whole
from seq2seq.corpus.forms import corpus_files, form_of
from seq2seq.corpus.reading import read_pairs
from seq2seq.corpus.tables import load_table

_MIB = 2**20
_LARGE_FILE = 64 * _MIB


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
        spec: one of the forms (see the package).
        src_lang: file ending, key or column of the source.
        tgt_lang: the same of the target.
        remember_in: a folder for the hashes of large files, which are not read again while path, size and time of
            change stay.
    """
    files = corpus_files(spec, src_lang, tgt_lang)
    form = form_of(spec)
    if form == "hub":  # what was downloaded lies in Arrow files, which a split may take a part of
        form = spec
        files = [Path(file["filename"]) for file in load_table(spec).cache_files]
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
