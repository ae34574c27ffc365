"""`seq2seq analyze`: what happens inside trained models, measured on text and drawn."""

import argparse
import dataclasses
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from seq2seq import __version__
from seq2seq.atomic import write_whole
from seq2seq.commands.arguments import Parser
from seq2seq.commands.files import read_lines, read_parallel

if TYPE_CHECKING:
    from seq2seq.analysis.alignment import Gold
    from seq2seq.analysis.pairs import SentencePairs
    from seq2seq.bundle import Bundle
    from seq2seq.report.blocks import Section

    Looked = tuple[dict[str, Any], list[Section]]  # what was measured of each model, and the page

DESCRIPTION = """\
Measures what happens inside trained models on pairs of sentences, and draws it:

  gradients    how far the gradient of one token's loss reaches, and what the lstm's forget gates carry
  gates        how far open the gates of lstm and gru stand
  attention    where an attention model and every layer and head of a transformer look, and what these maps are like
  length       BLEU, time and memory of translating, by the length of the source
  landscape    the loss on a plane through the trained weights, in two random directions

Writes WHAT.html, a page that works offline, WHAT.json with the numbers and WHAT-1.svg, ... with its figures (of
attention: the maps of the first pair) to --output_dir. Several MODELs are drawn side by side. docs/analysis.md says
what is measured. Text files hold one sentence a line (.gz is read too). Prints the path of the page."""


class Asked(NamedTuple):
    """A model, and what it shall be looked at with."""

    bundle: "Bundle"
    pairs: "SentencePairs"
    gold: "list[Gold] | None"  # of all lines that the pairs were made of
    seed: int


Models = Mapping[str, Asked]


def _gradients(models: Models) -> "Looked":
    from seq2seq.analysis.gradients import gradients
    from seq2seq.analysis.sections import gradient_sections

    found = {name: gradients(asked.bundle.model, asked.pairs.batches()) for name, asked in _one_by_one(models)}
    return found, gradient_sections(found)


def _gates(models: Models) -> "Looked":
    from seq2seq.analysis.gates import gates
    from seq2seq.analysis.sections import gate_sections

    found = {
        name: gates(asked.bundle.model, asked.pairs.batches(4096))  # type: ignore[arg-type]
        for name, asked in _one_by_one(models)
    }
    return found, gate_sections(found)


def _attention(models: Models) -> "Looked":
    from seq2seq.analysis.attention import attention
    from seq2seq.analysis.sections import attention_sections

    found = {name: attention(asked.bundle.model, asked.pairs, asked.gold) for name, asked in _one_by_one(models)}
    return found, attention_sections(found)


def _length(models: Models) -> "Looked":
    from seq2seq.analysis.length import by_length
    from seq2seq.analysis.sections import length_sections
    from seq2seq.translator import Translator

    found = {}
    for name, asked in _one_by_one(models):
        translator = Translator(asked.bundle, max_tokens_per_batch=sys.maxsize)  # all lines that it gets at once
        device = next(asked.bundle.model.parameters()).device
        found[name] = by_length(translator.translate, asked.pairs.sources, asked.pairs.targets, device)
    return found, length_sections(found)


def _landscape(models: Models) -> "Looked":
    from seq2seq.analysis.landscape import landscape
    from seq2seq.analysis.sections import landscape_sections

    found = {
        name: landscape(asked.bundle.model, list(asked.pairs.batches(512)), asked.seed)
        for name, asked in _one_by_one(models)
    }
    return found, landscape_sections(found)


def _one_by_one(models: Models) -> Iterator[tuple[str, Asked]]:
    for name, asked in models.items():
        if sys.stderr.isatty():
            print(f"measuring {name}", file=sys.stderr)
        yield name, asked


def _has_all(path: str, bundle: "Bundle") -> None:
    """Every model has what is to be measured."""


def _has_gates(path: str, bundle: "Bundle") -> None:
    cell = bundle.config["model"].get("cell")
    if cell not in ("lstm", "gru"):
        kind = "a transformer" if cell is None else "made of rnn cells"
        raise ValueError(f"{path} is {kind}, which {'has' if cell is None else 'have'} no gates; give an lstm or gru")


def _has_attention(path: str, bundle: "Bundle") -> None:
    if not bundle.model.has_attention:
        raise ValueError(f"{path} has no attention; give an attention model or a transformer")


class Measurement(NamedTuple):
    """One WHAT.

    Attributes:
        title: of its page.
        num_pairs: lines of the text, unless told otherwise: about two minutes for a model on one core of a CPU.
        look: what is measured of each model, for the JSON, and the sections of the page.
        check: ValueError if a model, which the user calls so, has not what is to be measured.
    """

    title: str
    num_pairs: int
    look: "Callable[[Models], Looked]"
    check: "Callable[[str, Bundle], None]" = _has_all


MEASUREMENTS = {
    "gradients": Measurement("Gradients by distance", 100, _gradients),
    "gates": Measurement("Gates", 1000, _gates, _has_gates),
    "attention": Measurement("Attention", 1000, _attention, _has_attention),
    "length": Measurement("Translating by length", 1000, _length),
    "landscape": Measurement("Loss landscape", 100, _landscape),
}
OPTION_OF = {"alignments": "attention", "seed": "landscape"}  # options that belong to one WHAT


def main(argv: list[str]) -> None:
    """Measure and draw what `argv` asks for."""
    arguments = _parsed(argv)
    sources, targets = read_parallel(arguments.source, arguments.target)  # first: torch takes its seconds to import
    folder = Path(arguments.output_dir)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--output_dir {folder} is no folder; give one, which is made if it is not there")
    gold = _gold(arguments.alignments, sources, targets) if arguments.alignments else None
    measurement = MEASUREMENTS[arguments.what]
    number = arguments.num_pairs or measurement.num_pairs
    sources, targets = sources[:number], targets[:number]

    from seq2seq.analysis.pairs import SentencePairs
    from seq2seq.bundle import load_bundle
    from seq2seq.translator import choose_device

    device = choose_device(arguments.device)
    bundles = {name: load_bundle(path, device) for name, path in _names(arguments.models).items()}
    for path, bundle in zip(arguments.models, bundles.values(), strict=True):
        measurement.check(path, bundle)
    seed = 1 if arguments.seed is None else arguments.seed
    models = {
        name: Asked(bundle, SentencePairs(bundle.tokenizers, sources, targets), gold, seed)
        for name, bundle in bundles.items()
    }
    found, sections = measurement.look(models)

    num_pairs = len(next(iter(models.values())).pairs)
    record = {
        "what": arguments.what,
        "seq2seq": __version__,
        "source": arguments.source,
        "target": arguments.target,
        "num_pairs": num_pairs,
        "models": [
            {"name": name, "path": path, "sha256": bundle.sha256, "architecture": bundle.config["architecture"]}
            | {arguments.what: found[name]}
            for (name, bundle), path in zip(bundles.items(), arguments.models, strict=True)
        ],
    }
    lead = f"{' and '.join(found)}, on {num_pairs:,} pairs of {arguments.source} and {arguments.target}."
    print(_write(folder, arguments.what, record, lead, found, sections))


def _parsed(argv: list[str]) -> argparse.Namespace:
    parser = Parser("analyze", DESCRIPTION)
    parser.add_argument("what", metavar="WHAT", choices=list(MEASUREMENTS), help=", ".join(MEASUREMENTS))
    parser.add_argument(
        "models", metavar="MODEL", nargs="+", help="folder of a finished run, or the bundle model/ inside it"
    )
    parser.add_argument("--source", required=True, metavar="FILE", help="the source sentences, one a line")
    parser.add_argument("--target", required=True, metavar="FILE", help="their translations, line for line")
    parser.add_argument("--output_dir", required=True, metavar="DIR", help="where to write; made if it is not there")
    defaults = ", ".join(f"{what} {one.num_pairs:,}" for what, one in MEASUREMENTS.items())
    parser.add_argument(
        "--num_pairs", type=int, metavar="N", help=f"take the first N pairs of lines; default {defaults}"
    )
    parser.add_argument(
        "--alignments",
        metavar="FILE",
        help="attention: gold alignments, line for line, 0-0 for a sure link, 0?1 or 0p1 for a possible one, from 0",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="landscape: of the random directions; default 1")
    parser.add_argument("--device", default="auto", help="auto (a GPU if there is one), cpu, cuda or cuda:N")
    arguments = parser.parse(argv)
    if arguments.num_pairs is not None and arguments.num_pairs < 1:
        raise ValueError(f"num_pairs is {arguments.num_pairs}; it must be at least 1")
    if arguments.seed is not None and not 0 <= arguments.seed < 2**63:
        raise ValueError(f"seed is {arguments.seed}; it must be at least 0 and below 2^63")
    for option, what in OPTION_OF.items():
        if getattr(arguments, option) is not None and arguments.what != what:
            raise ValueError(f"--{option} belongs to {what}; leave it out for {arguments.what}")
    return arguments


def _names(models: list[str]) -> dict[str, str]:
    """What each MODEL is called, and its path: the last part of it that tells them apart."""
    parts = [Path(path).resolve().parts for path in models]
    parts = [one[:-1] if one[-1] == "model" else one for one in parts]  # the run's name says more than its bundle's
    if len(set(parts)) < len(parts):
        raise ValueError("a MODEL is given twice; give each once")
    length = next(n for n in range(1, max(map(len, parts)) + 1) if len({one[-n:] for one in parts}) == len(parts))
    return {"/".join(one[-length:]): path for one, path in zip(parts, models, strict=True)}


def _gold(file: str, sources: Sequence[str], targets: Sequence[str]) -> "list[Gold]":
    """The links of each line, each between words that are there."""
    from seq2seq.analysis.alignment import parse_gold

    lines = read_lines(file)
    if len(lines) != len(sources):
        raise ValueError(
            f"{file} has {len(lines)} lines and the text {len(sources)}; line n of one must belong to line n"
        )
    found = []
    for number, (line, *pair) in enumerate(zip(lines, sources, targets, strict=True), 1):
        try:
            gold = parse_gold(line)
        except ValueError as error:
            raise ValueError(f"{file}, line {number}: {error}") from None
        counts = [len(text.split()) for text in pair]
        for s, t in sorted(gold.possible):
            if s >= counts[0] or t >= counts[1]:
                raise ValueError(
                    f"{file}, line {number}: link {s}-{t}, but the source has {counts[0]} words and the translation "
                    f"{counts[1]}, counted from 0; use the same text"
                )
        found.append(gold)
    return found


def _write(
    folder: Path,
    what: str,
    record: Mapping[str, Any],
    lead: str,
    found: Mapping[str, Any],
    sections: "Sequence[Section]",
) -> Path:
    """The page, its figures and its numbers; returns the page's path."""
    from seq2seq.report.attention import AttentionPage
    from seq2seq.report.attention_map import attention_map
    from seq2seq.report.sheet import figures_of, sheet
    from seq2seq.report.svg import standalone

    if what == "attention":
        maps = AttentionPage(
            f"Attention of {' and '.join(found)}",
            sections,
            of="map",
            legend="Rows are words that look, columns those looked at",
        )
        for name, one in found.items():
            maps.add([one_map | {"number": f"{name}, {one_map['number']}"} for one_map in one.maps])
        page = maps.html()
        firsts = [
            one_map for one in found.values() for one_map in one.maps if one_map["number"] == one.maps[0]["number"]
        ]
        figures = [attention_map(one_map) for one_map in firsts]
    else:
        page = sheet(MEASUREMENTS[what].title, lead, sections)
        figures = [figure.svg for figure in figures_of(sections)]
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():  # of a run that drew more
        if re.fullmatch(rf"{what}-\d+\.svg", old.name):
            old.unlink()
    write_whole(folder / f"{what}.json", json.dumps(record, default=dataclasses.asdict, indent=1) + "\n")
    for number, figure in enumerate(figures, 1):
        write_whole(folder / f"{what}-{number}.svg", standalone(figure))
    write_whole(folder / f"{what}.html", page)  # last: where it is, the others are
    return folder / f"{what}.html"
