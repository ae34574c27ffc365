"""Finished runs as results: text, translations, costs, learning curves and origins, out of the folders."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from seq2seq.comparison.curves import learning_curve
from seq2seq.comparison.plan import fingerprints_of
from seq2seq.comparison.runs import Run, as_typed
from seq2seq.comparison.spec import Spec
from seq2seq.corpus import iter_pairs, read_pairs
from seq2seq.datamodule import corpora
from seq2seq.evaluation import results
from seq2seq.evaluation.sentences import words


def collect(spec: Spec, runs: Sequence[Run]) -> results.Results:
    """The results of a comparison all of whose runs are done.

    Raises:
        ValueError: files of a run do not belong together, or a corpus was changed after the run began.
    """
    data = runs[0].config["data"]  # in these things that of all runs
    langs = data["src_lang"], data["tgt_lang"]
    for option, now in fingerprints_of(data).items():
        for run in runs:
            if run.record.fingerprints[option] != now:
                raise ValueError(f"the text of {option} was changed after run {run} began; bring back the old text")
    pairs = {name: read_pairs(corpus, *langs) for name, corpus in data["tests"].items()}
    rarest = rarest_word_frequencies(
        {name: sources for name, (sources, _) in pairs.items()},
        (
            source
            for option, corpus in corpora(data).items()
            if option.startswith("data.train")
            for sources, _ in iter_pairs(corpus, *langs)
            for source in sources
        ),
    )
    collected = [_collected(run) for run in runs]
    architectures = {run.system: _json_of(run, "model/config.json")["architecture"] for run in runs}
    return results.Results(
        name=spec.name,
        systems=[results.System(one.name, architectures[one.name], one.configs_tried) for one in spec.systems],
        test_sets=[results.TestSet(name, *both_sides, rarest[name]) for name, both_sides in pairs.items()],
        runs=collected,
        budget=spec.budget,
        parameters=spec.parameters,
    )


def rarest_word_frequencies(test_sets: dict[str, list[str]], training_text: Iterable[str]) -> dict[str, list[int]]:
    """For each sentence of each test set, how often its rarest word stands in the training text.

    Words are those of `evaluation.sentences.words`, in lower case. A sentence without words has no rare one: it gets
    the count of the commonest.
    """
    counts = Counter(word for line in training_text for word in words(line.lower()))
    [(_, commonest)] = counts.most_common(1)
    return {
        name: [min((counts[word] for word in words(line.lower())), default=commonest) for line in lines]
        for name, lines in test_sets.items()
    }


def _collected(run: Run) -> results.Run:
    training = _json_of(run, "model/config.json")["training"]
    config_text = (run.folder / "config.yaml").read_text(encoding="utf-8")
    return results.Run(
        system=run.system,
        seed=run.seed,
        outputs={name: _output(run, name) for name in run.config["data"]["tests"]},
        # What diverged has scores that JSON has no number for.
        training={
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in training.items()
        },
        curve=learning_curve(run.folder / "metrics.csv"),
        config=yaml.safe_load(config_text),
        commands=[as_typed(command) for command in run.commands],
        origin={**_json_of(run, "origin.json"), "bundle_sha256": _bundle_sha256(run)},
    )


def _output(run: Run, test: str) -> results.Output:
    found = _json_of(run, f"test/{test}.json")
    if found["bundle_sha256"] != _bundle_sha256(run):
        where = run.folder / "test"
        raise ValueError(f"run {run}: {test} was translated by another model; delete {where} to translate it again")
    # Not read_text, which would take a "\r" inside a line for its end.
    hypotheses = (run.folder / "test" / f"{test}.hyp.txt").read_bytes().decode("utf-8").split("\n")[:-1]
    attention = (_json_of(run, f"test/{test}.attention.json") or []) if "--attention" in run.commands[-1] else []
    return results.Output(
        hypotheses=hypotheses,
        seconds=found["seconds"],
        search=found["search"],
        attention=[one and results.Attention(**one) for one in attention],
    )


def _bundle_sha256(run: Run) -> str:
    return hashlib.sha256((run.folder / "model" / "SHA256SUMS").read_bytes()).hexdigest()


def _json_of(run: Run, name: str) -> Any:
    return json.loads((run.folder / name).read_text(encoding="utf-8"))
