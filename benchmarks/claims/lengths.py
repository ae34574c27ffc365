"""Claim c: BLEU by the length of the source, of a fixed context vector and of attention.

configs/compare/lengths.yaml by `seq2seq compare`: the lstm and the attention model of the demo corpus, twice each,
with as many target tokens. The buckets are test (3 to 30 words) and test_long (31 to 60) together.

A fifth of the training pairs have 31 to 60 words, from the generator's seed 2. Without them test_long is longer than
anything in training, and both models lose for that reason too: `make demo` has 34.5 and 7.0 BLEU of the lstm on test
and test_long, 83.7 and 31.4 of attention. Bahdanau et al. 2015, figure 2, trained on sentences of up to 50 words and
tested on such: there the fixed vector loses and attention does not.
"""

import json
import sys
from itertools import pairwise
from typing import Any

from claims.claim import ROOT, Judgement, Place, compare, judged, lines_of, mark, save

from seq2seq.evaluation.metrics import score
from seq2seq.report.chart import chart

sys.path.append(str(ROOT / "data_scripts"))

import demo

SAYS = "with a fixed context BLEU falls with the length of the sentence, with attention much less"
EDGES = (3, 11, 21, 31, 41, 51, 61)  # words of the shortest sentence of each bucket, and the end
FIXED, ATTENTION = "lstm", "attention"
LARGE = 0.5  # of the first bucket's BLEU that the fixed context must lose by the last
MUCH_LESS = 0.5  # of the share that it loses, which attention may lose


def measure(place: Place) -> dict[str, Any]:
    """BLEU of each bucket, system and seed."""
    corpus, long = place.folder / "lengths" / "corpus", place.folder / "lengths" / "long"
    sizes = (200, 60) if place.is_toy else (12000, 3000)
    few = ["--train=1", "--valid=1", "--test=1"]
    for arguments in ([str(corpus), f"--train={sizes[0]}"], [str(long), "--seed=2", f"--test_long={sizes[1]}", *few]):
        if demo.main(arguments) != 0:
            raise ValueError(f"{arguments[0]} could not be written")
    data = {
        "train": {f"{corpus}/train": 4, f"{long}/test_long": 1},
        "valid": f"{corpus}/valid",
        "tests": {name: f"{corpus}/{name}" for name in ("test", "test_long")},
    }
    results = json.loads(compare(place, "lengths", data).read_text(encoding="utf-8"))
    sources = [source for test in results["test_sets"] for source in test["sources"]]
    references = [reference for test in results["test_sets"] for reference in test["references"]]
    seen = set((long / "test_long.de").read_text(encoding="utf-8").split("\n"))
    buckets = []
    for first, end in pairwise(EDGES):
        rows = [row for row, source in enumerate(sources) if first <= len(source.split()) < end]
        bleu: dict[str, list[float]] = {}
        for run in results["runs"]:
            answers = [line for test in results["test_sets"] for line in run["outputs"][test["name"]]["hypotheses"]]
            found = score([answers[row] for row in rows], [references[row] for row in rows], metrics=["BLEU"])
            bleu.setdefault(run["system"], []).append(round(found[0].value, 2))
        buckets.append({"words": f"{first}-{end - 1}", "sentences": len(rows), "bleu": bleu})
    return {
        "budget": results["budget"],
        "signature": found[0].signature,
        "test_sentences_seen_in_training": sum(source in seen for source in sources),
        "buckets": buckets,
    }


def means(found: dict[str, Any], system: str) -> list[float]:
    """A system's BLEU in each bucket, on average over its runs."""
    return [sum(one["bleu"][system]) / len(one["bleu"][system]) for one in found["buckets"]]


def judge(found: dict[str, Any]) -> Judgement:
    """From the shortest sentences to the longest."""
    first, last = found["buckets"][0]["words"], found["buckets"][-1]["words"]
    lost, says = {}, {}
    for system in (FIXED, ATTENTION):
        bleu = means(found, system)
        lost[system] = 1 - bleu[-1] / bleu[0]
        says[system] = f"{system} falls from {bleu[0]:.1f} BLEU at {first} words to {bleu[-1]:.1f} at {last}"
    limit = MUCH_LESS * lost[FIXED]
    return judged(
        (lost[FIXED] >= LARGE, f"{says[FIXED]}: {lost[FIXED]:.0%} lost, wanted at least {LARGE:.0%}"),
        (lost[ATTENTION] <= limit, f"{says[ATTENTION]}: {lost[ATTENTION]:.0%} lost, wanted at most {limit:.0%}"),
    )


def table(found: dict[str, Any]) -> str:
    """BLEU by bucket, mean over the runs, with the number of sentences."""
    buckets = found["buckets"]
    lines = [f"{'words':12}" + "".join(f"{one['words']:>8}" for one in buckets)]
    lines.append(f"{'sentences':12}" + "".join(f"{one['sentences']:>8}" for one in buckets))
    for system in buckets[0]["bleu"]:
        lines.append(f"{system:12}" + "".join(f"{value:>8.1f}" for value in means(found, system)))
    return "\n".join([*lines, f"{found['budget']}, {found['signature']}"])


def draw(found: dict[str, Any], place: Place, letter: str) -> None:
    """BLEU over the length; bars are the lowest and highest of the runs."""
    curves = {
        system: [
            mark(
                i,
                mean,
                min(one["bleu"][system]),
                max(one["bleu"][system]),
                f"{system}, {one['words']} words: {mean:.1f}",
            )
            for i, (one, mean) in enumerate(zip(found["buckets"], means(found, system), strict=True))
        ]
        for system in found["buckets"][0]["bleu"]
    }
    categories = [f"{one['words']}\nn={one['sentences']}" for one in found["buckets"]]
    svg = chart("BLEU by the words of the source", "", "BLEU", lines_of(curves), categories=categories)
    save(place, f"{letter}-bleu", svg)
