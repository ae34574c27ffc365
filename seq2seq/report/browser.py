"""The data of the page's sentence browser: one run of each system, sentence by sentence."""

import json
from typing import Any

from seq2seq.evaluation.analysis import Analysis
from seq2seq.evaluation.results import Results, Run
from seq2seq.evaluation.sentences import sentence_chrf
from seq2seq.report.tables import name_of

# Attention maps beyond these would make the page too large for a phone; the page says where they end.
MAX_ATTENTION_CHARACTERS = 20_000_000


def shown_runs(results: Results, analysis: Analysis) -> list[Run]:
    """Of each system the run that stands for it, in the order of the systems."""
    return [
        next(run for run in results.runs_of(system.name) if run.seed == analysis.representative[system.name])
        for system in results.systems
    ]


def sentences(results: Results, analysis: Analysis) -> dict[str, Any]:
    """All text with the chrF of each translation.

    Returns:
        systems: their names.
        best: numbers of the two systems with the highest scores on the first test set, the better one first.
        tests: for each test set its name, sources, references and, by system, outputs and chrf (rounded).
    """
    runs = shown_runs(results, analysis)
    names = [system.name for system in results.systems]
    means = {(s.test_set, s.metric, s.system): s.mean for s in analysis.scores}
    first = (results.test_sets[0].name, next(iter(analysis.signatures)))
    best = sorted(range(len(names)), key=lambda index: -means[(*first, names[index])])[:2]
    tests = []
    for test in results.test_sets:
        outputs = [run.outputs[test.name].hypotheses for run in runs]
        chrf = [[round(value, 1) for value in sentence_chrf(lines, test.references)] for lines in outputs]
        tests.append(
            {
                "name": test.name,
                "sources": test.sources,
                "references": test.references,
                "outputs": outputs,
                "chrf": chrf,
            }
        )
    return {"systems": names, "best": best, "tests": tests}


def attention_maps(results: Results, analysis: Analysis) -> list[list[dict[str, Any]]]:
    """The attention maps of each test set.

    Returns:
        For each test set a list of runs: name of the run, index of its system, and maps: for each sentence [source
        pieces, target pieces, weights as in `results.Attention`] or null. It may end before the last sentence.
    """
    share = MAX_ATTENTION_CHARACTERS // max(1, len(results.test_sets) * len(results.systems))
    found = []
    for test in results.test_sets:
        runs = []
        for index, shown in enumerate(shown_runs(results, analysis)):
            # Attention may be kept of another seed than the one whose text is shown; its map has its own text.
            candidates = [shown, *results.runs_of(shown.system)]
            run = next((run for run in candidates if run.outputs[test.name].attention), None)
            if run is None:
                continue
            maps: list[Any] = []
            size = 0
            for attention in run.outputs[test.name].attention:
                item = attention and [attention.source_pieces, attention.target_pieces, attention.weights]
                size += len(json.dumps(item, ensure_ascii=False))
                if size > share:
                    break
                maps.append(item)
            runs.append({"name": name_of(run), "system": index, "maps": maps})
        found.append(runs)
    return found


def json_in_html(value: Any) -> str:
    """JSON that may stand inside <script type="application/json">: nothing in it ends the element."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
