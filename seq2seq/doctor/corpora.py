"""What the text of a configuration is: the files it names, and what is in them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from seq2seq.audit.findings import Finding, Section
from seq2seq.corpus import corpus_files, first_pairs, iter_pairs

_STREAM_SAMPLE = 100_000  # pairs of a stream that are looked at


def corpora(data: Mapping[str, Any]) -> dict[str, str]:
    """The corpora of the section `data` by the option that names each."""
    train = data["train"]
    several = train if isinstance(train, dict) else {}
    return {
        **({f"data.train.{corpus}": corpus for corpus in several} or {"data.train": train}),
        "data.valid": data["valid"],
        **{f"data.tests.{name}": corpus for name, corpus in (data["tests"] or {}).items()},
    }


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


def examine_corpora(data: Mapping[str, Any]) -> Iterator[Section]:
    """What is in the text of the section `data`, one section after the other as they are found."""
    yield _counts(data)
    # Here come the examinations of text, alignment and vocabulary: seq2seq.audit.


def _counts(data: Mapping[str, Any]) -> Section:
    section = Section("Corpora")
    langs = data["src_lang"], data["tgt_lang"]
    for option, corpus in corpora(data).items():
        pairs, words = 0, [0, 0]
        is_sample = data["streaming"] and option.startswith("data.train")
        try:
            parts = [first_pairs(corpus, *langs, most=_STREAM_SAMPLE)] if is_sample else iter_pairs(corpus, *langs)
            for sides in parts:
                pairs += len(sides[0])
                for side, lines in enumerate(sides):
                    words[side] += sum(len(line.split()) for line in lines)
        except (OSError, ValueError) as error:
            section.findings.append(Finding("corpus", "error", f"{option}: {error}"))
            continue
        section.figures[option] = {"pairs": pairs, "src_words": words[0], "tgt_words": words[1]}
        per_line = (
            f"{total:,} words of {lang}, {total / pairs:.1f} a line" for total, lang in zip(words, langs, strict=True)
        )
        section.text.append(f"{option}: {'the first ' if is_sample else ''}{pairs:,} pairs; {'; '.join(per_line)}")
    return section


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:,.1f} MB" if num_bytes >= 1e6 else f"{num_bytes / 1e3:,.1f} kB"
