"""Claim d: the ordering of Britz et al. 2017, tables 1 and 5 to 7, in miniature.

configs/compare/britz.yaml by `seq2seq compare`: each system three times, with as many target tokens of Multi30k, and
every other setting alike. Scores are BLEU on val, which no training chooses by, as mean and standard deviation over the
seeds. Whether two means differ is Welch's test over the seeds (p below 0.05), as the report of `compare` has it.

"GRU ~ LSTM" is read as: they differ by less than a quarter of what the vanilla RNN lacks (Britz et al.: 0.4 of 6.4).
"No attention << attention" as: less than three quarters of its BLEU (9.98 to 11.57 against 22.47). "Additive >=
dot-like" as: dot has not the higher mean (Britz et al.: 22.47 against 18.22 to 22.33 by its width).
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from claims.claim import Judgement, Place, compare, judged, lines_of, mark, save

from seq2seq.evaluation.significance import welch
from seq2seq.report.chart import chart

SAYS = "Britz et al. 2017 in miniature: vanilla < GRU ~ LSTM, no attention << attention, additive >= dot-like energies"
FILES = [f"{split}.{language}" for split in ("train", "val") for language in ("de", "en")]
LSTM, GRU, RNN, NONE, DOT = "lstm", "gru", "rnn", "none", "dot"  # the first three have the additive energy
ALIKE, MUCH, LEVEL = 0.25, 0.75, 0.05


def refuse_missing(data: Path | None, error: Callable[[str], Any]) -> None:
    """One line about --data where it does not do."""
    if data is None:
        error(f"claim d needs --data, a folder with {', '.join(FILES)}; or leave d out: --claims a b c e")
    elif missing := [name for name in FILES if not (data / name).is_file()]:
        error(f"--data {data} has no {missing[0]}; it must have {', '.join(FILES)}")


def measure(place: Place) -> dict[str, Any]:
    """BLEU of each system and seed, and the costs."""
    data = {"train": f"{place.data}/train", "valid": f"{place.data}/val", "tests": {"val": f"{place.data}/val"}}
    results = compare(place, "britz", data)
    report = json.loads((results.parent / "report.json").read_text(encoding="utf-8"))
    return {
        "budget": json.loads(results.read_text(encoding="utf-8"))["budget"],
        "signature": report["signatures"]["BLEU"],
        "bleu": {one["system"]: one["values"] for one in report["scores"] if one["metric"] == "BLEU"},
        "costs": {
            one["system"]: {key: one[key] for key in ("parameters", "target_tokens", "updates", "minutes")}
            for one in report["costs"]
        },
    }


def judge(found: dict[str, Any]) -> Judgement:
    """All three of the ordering's parts."""
    bleu = found["bleu"]
    mean = {name: sum(values) / len(values) for name, values in bleu.items()}

    def beats(better: str, worse: str) -> tuple[bool, str]:
        p = _p(bleu[better], bleu[worse])
        text = f"{better} {mean[better]:.1f} > {worse} {mean[worse]:.1f}, p = {p:.3f}"
        return mean[better] > mean[worse] and p < LEVEL, text

    gap, lack = abs(mean[LSTM] - mean[GRU]), min(mean[LSTM], mean[GRU]) - mean[RNN]
    statements = [
        beats(GRU, RNN),
        beats(LSTM, RNN),
        (
            gap < ALIKE * lack,
            f"gru and lstm differ by {gap:.1f}, of {lack:.1f} that rnn lacks; wanted below {ALIKE:.0%}",
        ),
        beats(LSTM, NONE),
        (
            mean[NONE] < MUCH * mean[LSTM],
            f"none has {mean[NONE] / mean[LSTM]:.0%} of its BLEU; wanted below {MUCH:.0%}",
        ),
        (
            mean[LSTM] >= mean[DOT],
            f"additive {mean[LSTM]:.1f} >= dot {mean[DOT]:.1f}, p = {_p(bleu[LSTM], bleu[DOT]):.3f}",
        ),
    ]
    return judged(*statements)


def _p(a: list[float], b: list[float]) -> float:
    found = welch(a, b)
    return 1.0 if found is None else found[2]


def table(found: dict[str, Any]) -> str:
    """Mean, deviation and runs of each system."""
    lines = [f"{'system':10}{'BLEU':>6}{'deviation':>11}  runs, {found['budget']}"]
    for name, values in found["bleu"].items():
        mean, deviation = mean_and_deviation(values)
        lines.append(f"{name:10}{mean:>6.1f}{deviation:>11.1f}  {', '.join(f'{value:.1f}' for value in values)}")
    return "\n".join([*lines, found["signature"]])


def mean_and_deviation(values: list[float]) -> tuple[float, float]:
    """Of the runs; 0 of one alone."""
    mean = sum(values) / len(values)
    return mean, (sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1)) ** 0.5


def draw(found: dict[str, Any], place: Place, letter: str) -> None:
    """Means with one deviation on either side."""
    curves = {}
    for i, (name, values) in enumerate(found["bleu"].items()):
        mean, deviation = mean_and_deviation(values)
        curves[name] = [mark(i, mean, mean - deviation, mean + deviation, f"{name}: {mean:.1f} ± {deviation:.1f}")]
    title = "Multi30k de-en, BLEU of each system, mean and deviation of its runs"
    save(place, f"{letter}-bleu", chart(title, "", "BLEU", lines_of(curves), categories=list(curves)))
