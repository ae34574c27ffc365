"""`seq2seq test`: translate test sets and score the translations against their raw references."""

import dataclasses
import difflib
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from seq2seq import __version__
from seq2seq.atomic import write_whole
from seq2seq.commands.arguments import (
    SEARCH_OPTIONS,
    Parser,
    add_model_arguments,
    add_search_arguments,
    chosen_utility,
    loaded_model,
    search_options,
)
from seq2seq.commands.files import read_parallel
from seq2seq.commands.outputs import packed
from seq2seq.corpus import read_pairs
from seq2seq.evaluation.metrics import score

if TYPE_CHECKING:
    from seq2seq.decoding import SearchOptions

DESCRIPTION = """\
Translates the test sets of a run (data.tests in its config.yaml), or --source, and scores the translations against the
raw references: BLEU, chrF and TER by sacreBLEU. Prints one line a test set, with the signature of its BLEU, and writes
NAME.hyp.txt and NAME.json into test/ of the run, or into --output_dir. For a bundle, which has no test sets, give
--source and --reference; without --output_dir nothing is written then. Several models are tested as one, their
ensemble, on the test sets of the first, and nothing is written without --output_dir either."""


def main(argv: list[str]) -> None:
    """Test as `argv` says."""
    parser = Parser("test", DESCRIPTION)
    add_model_arguments(parser)
    parser.add_argument("--tests", nargs="+", metavar="NAME", help="only these of the run's test sets")
    parser.add_argument("--source", metavar="FILE", help="a test set of your own, one sentence a line")
    parser.add_argument("--reference", metavar="FILE", help="its raw reference translations, line for line")
    parser.add_argument("--output_dir", metavar="DIR", help="where to write; default test/ in the folder of the run")
    parser.add_argument(
        "--attention",
        action="store_true",
        help="also write NAME.attention.json: where the decoder looked, per sentence",
    )
    add_search_arguments(parser, [name for name in SEARCH_OPTIONS if name != "num_best"])  # one translation is scored
    arguments = parser.parse(argv)
    if (arguments.source is None) != (arguments.reference is None) or (arguments.source and arguments.tests):
        raise ValueError("give --source and --reference together and without --tests, or neither of them")

    from seq2seq.bundle import find_bundle
    from seq2seq.translator import Translator

    options = search_options(arguments)
    bundle = loaded_model(arguments)
    first = arguments.models[0]
    run = None if find_bundle(first) == Path(first) else Path(first)
    if arguments.source:
        specs = {_name_of(arguments.source): f"{arguments.source},{arguments.reference}"}
        # Not through read_pairs: a file's name may hold a comma.
        corpora = [read_parallel(arguments.source, arguments.reference)]
    else:
        specs = _choose(_tests_of(run, first), arguments.tests)
        corpora = [_read(name, spec, bundle.config) for name, spec in specs.items()]  # all, before hours of translating
    # What an ensemble gives does not belong among the translations of its first member.
    own = run / "test" if run is not None and len(arguments.models) == 1 else None
    output_dir = Path(arguments.output_dir) if arguments.output_dir else own

    translator = Translator(
        bundle,
        options=options,
        max_tokens_per_batch=arguments.max_tokens_per_batch,
        utility=chosen_utility(arguments),
    )
    for (name, spec), (sources, references) in zip(specs.items(), corpora, strict=True):
        if sys.stderr.isatty():
            print(f"{name}: translating {len(sources):,} sentences", file=sys.stderr)
        started = time.monotonic()
        hypotheses = translator.translate(sources)
        seconds = time.monotonic() - started
        scores = score(hypotheses, references)
        figures = "  ".join(f"{result.name} {result.value:.1f}" for result in scores)
        print(f"{name}  {figures}  {scores[0].signature}", flush=True)
        if output_dir is None:
            continue
        scores += score(hypotheses, references, lowercase=True, metrics=["BLEU"])
        result = {
            "name": name,
            "data": spec,
            "src_lang": bundle.config["src_lang"],
            "tgt_lang": bundle.config["tgt_lang"],
            "sentences": len(sources),
            "scores": [dataclasses.asdict(result) for result in scores],
            "search": _recorded(options, arguments.mbr),
            "seconds": seconds,
            "max_tokens_per_batch": arguments.max_tokens_per_batch,
            "device": str(next(bundle.model.parameters()).device),
            "bundle_sha256": bundle.sha256,
            **({"ensemble": bundle.config["ensemble"]} if "ensemble" in bundle.config else {}),
            "seq2seq": __version__,
        }
        output_dir.mkdir(parents=True, exist_ok=True)
        write_whole(output_dir / f"{name}.hyp.txt", "".join(line + "\n" for line in hypotheses))
        if arguments.attention:
            maps = translator.read(sources, hypotheses, attention=True) if translator.has_attention else None
            text = json.dumps(maps and [packed(one) for one in maps], ensure_ascii=False)
            write_whole(output_dir / f"{name}.attention.json", text + "\n")
        write_whole(output_dir / f"{name}.json", json.dumps(result, ensure_ascii=False, indent=2) + "\n")


def _recorded(options: "SearchOptions", mbr: str | None) -> dict[str, Any]:
    """The options that every result has, and of the others those that are not as usual.

    So a result from before there was an option looks as one of today without it.
    """
    always = ("beam_width", "length_penalty", "alpha", "max_length_factor", "max_length_offset")
    search = {
        field.name: value
        for field in dataclasses.fields(options)
        if (value := getattr(options, field.name)) != field.default or field.name in always
    }
    return search | ({"mbr": mbr} if mbr else {})


def _tests_of(run: Path | None, model: str) -> dict[str, str]:
    """The test sets of a run by name."""
    if run is None or not (run / "config.yaml").is_file():
        raise ValueError(f"{model} has no config.yaml that names test sets; give --source and --reference")
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    tests = config["data"].get("tests")
    if not tests:
        raise ValueError(f"{run / 'config.yaml'} names no test sets under data.tests; give --source and --reference")
    return dict(tests)


def _choose(tests: dict[str, str], names: list[str] | None) -> dict[str, str]:
    for name in names or []:
        if name not in tests:
            close = difflib.get_close_matches(name, tests, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(tests)}"
            raise ValueError(f"there is no test set {name!r}; {hint}")
    return {name: tests[name] for name in names or tests}


def _read(name: str, spec: str, config: dict[str, Any]) -> tuple[list[str], list[str]]:
    try:
        return read_pairs(spec, config["src_lang"], config["tgt_lang"])
    except FileNotFoundError as error:
        hint = "paths in a run's config.yaml hold in the folder where it was started"
        raise FileNotFoundError(f"test set {name}: {error}; {hint}") from None


def _name_of(source: str) -> str:
    """The file's name without its last ending: "flickr" for data/flickr.de.gz."""
    return Path(Path(source).name.removesuffix(".gz")).stem
