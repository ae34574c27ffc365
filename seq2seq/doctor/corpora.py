"""What the text of a configuration is: the files it names, and what is in them."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from seq2seq.audit.alignment import examine_alignment
from seq2seq.audit.findings import Finding, Section
from seq2seq.audit.overlap import HeldOut
from seq2seq.audit.text import examine_text
from seq2seq.audit.vocabulary import examine_vocabulary
from seq2seq.corpus import corpus_files, read_pairs
from seq2seq.datamodule import corpora
from seq2seq.parallel import num_cores
from seq2seq.tokenizer import TokenizerPair

_STREAM_SAMPLE = 100_000  # pairs of a stream that are looked at
_SMALL = 4_000_000  # bytes of a corpus that one process looks at faster than several start


def examine_files(data: Mapping[str, Any]) -> Section:
    """Whether the files of the section `data` are there, and how large they are."""
    section = Section("Files")
    for option, corpus in corpora(data).items():
        try:
            files = corpus_files(corpus, data["src_lang"], data["tgt_lang"])
            sizes = {str(file): file.stat().st_size for file in files}
        except (OSError, ValueError) as error:
            section.findings.append(Finding("missing file", "error", f"{option}: {error}"))
            continue
        section.figures[option] = sizes
        described = [f"{name} {_size(size)}" for name, size in list(sizes.items())[:4]]
        if len(sizes) > 4:
            described.append(f"and {len(sizes) - 4} more, {_size(sum(sizes.values()))} in all")
        section.text.append(f"{option}: {', '.join(described) or corpus}")
    tokenizer = data["tokenizer"]["path"]
    if tokenizer is not None and not Path(tokenizer).exists():
        message = f"data.tokenizer.path: no tokenizer {tokenizer}; give a .model file or a folder that holds one"
        section.findings.append(Finding("missing file", "error", message))
    return section


def examine_text_of(data: Mapping[str, Any]) -> Iterator[Section]:
    """The text of the section `data`: each corpus, what of valid and tests stands in train, the alignment."""
    langs = data["src_lang"], data["tgt_lang"]
    trains, held_out = _by_name(data)
    sets = []
    for name, spec in held_out.items():
        with contextlib.suppress(OSError, ValueError):  # its own section says it
            sets.append(HeldOut(name, *read_pairs(spec, *langs, replace_bad_bytes=True)))
    first = _STREAM_SAMPLE if data["streaming"] else None
    for name, spec in trains.items():
        look = partial(examine_text, name, spec, langs, held_out=sets, processes=_processes(spec, langs), first=first)
        yield _or_error(f"{name}: {spec}", look)
    yield from (one.section() for one in sets)
    for name, spec in held_out.items():
        yield _or_error(f"{name}: {spec}", partial(examine_text, name, spec, langs))
    for name, spec in (held_out if data["streaming"] else trains | held_out).items():
        yield _or_error(f"alignment of {name}", partial(examine_alignment, spec, *langs, name))


def examine_vocabulary_of(data: Mapping[str, Any], tokenizers: TokenizerPair) -> Section:
    """What tokenizers make of the corpora of the section `data`, which can be read."""
    trains, held_out = _by_name(data)
    langs = data["src_lang"], data["tgt_lang"]
    return examine_vocabulary(tokenizers, list(trains.values()), held_out, *langs, data["max_length"])


def _by_name(data: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """What is trained on, and valid and tests, by names for people."""
    train = data["train"]
    trains = {f"train {spec}": spec for spec in train} if isinstance(train, dict) else {"train": train}
    return trains, {"valid": data["valid"], **(data["tests"] or {})}


def _processes(spec: str, langs: tuple[str, str]) -> int:
    """As many as there are cores, if the corpus is worth their start."""
    with contextlib.suppress(OSError, ValueError):
        files = corpus_files(spec, *langs)
        if files and sum(file.stat().st_size for file in files) < _SMALL:
            return 1
    return num_cores()


def _or_error(title: str, look: Callable[[], Section]) -> Section:
    try:
        return look()
    except (OSError, ValueError) as error:
        return Section(title, findings=[Finding("corpus", "error", str(error))])


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:,.1f} MB" if num_bytes >= 1e6 else f"{num_bytes / 1e3:,.1f} kB"
