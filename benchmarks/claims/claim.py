"""What the claims share: where to work, a judgement with its reasons, power laws, commands side by side, figures."""

import contextlib
import math
import os
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import yaml

from seq2seq import cli
from seq2seq.report.chart import Mark, Series
from seq2seq.report.svg import standalone

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Place:
    """Where a claim is measured.

    Attributes:
        folder: for all that is written; what lies there from an earlier call is not done again.
        data: raw text of Multi30k, train and val, each .de and .en; None: not at hand.
        jobs: trainings at a time, which share the cores.
        is_toy: whether sizes are such that everything runs and nothing is shown.
    """

    folder: Path
    data: Path | None = None
    jobs: int = 2
    is_toy: bool = False


@dataclass(frozen=True)
class Judgement:
    """Whether a claim holds, and the figures that decide, a sentence each."""

    is_confirmed: bool
    reasons: list[str]


def judged(*statements: tuple[bool, str]) -> Judgement:
    """All statements must hold; each says its figures, and whether they do."""
    return Judgement(
        all(holds for holds, _ in statements), [f"{'yes' if holds else 'NO'}: {text}" for holds, text in statements]
    )


@dataclass(frozen=True)
class Power:
    """y = a x^exponent, fitted by least squares to the logarithms.

    Attributes:
        exponent: the slope.
        error: its standard error.
    """

    exponent: float
    error: float

    def __str__(self) -> str:
        return f"{self.exponent:.2f} ± {self.error:.2f}"


def fit_power(x: Sequence[float], y: Sequence[float]) -> Power:
    """The power law through at least three points."""
    log_x, log_y = [math.log(value) for value in x], [math.log(value) for value in y]
    slope, intercept = statistics.linear_regression(log_x, log_y)
    residuals = [b - intercept - slope * a for a, b in zip(log_x, log_y, strict=True)]
    spread = sum((a - statistics.fmean(log_x)) ** 2 for a in log_x)
    return Power(slope, math.sqrt(sum(r * r for r in residuals) / (len(x) - 2) / spread))


def run_commands(place: Place, runs: dict[str, list[list[str]]]) -> None:
    """Commands of `seq2seq`, those of one run one after the other, several runs side by side.

    Args:
        runs: name of each run -> its commands. What they say goes into place.folder/NAME.log.

    Raises:
        ValueError: a command failed; the others of its run were not begun.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // place.jobs)))
    # Processes that stay: importing Lightning takes as long as the smallest of these trainings.
    with ProcessPoolExecutor(place.jobs, mp_context=get_context("spawn")) as pool:
        done = [pool.submit(_run, commands, place.folder / f"{name}.log") for name, commands in runs.items()]
        for one in done:
            one.result()


def compare(place: Place, name: str, data: dict[str, Any]) -> Path:
    """What configs/compare/NAME.yaml finds, in place.folder/NAME: the path of its results.json.

    Args:
        data: options of the data module, over the specification's.
    """
    folder = ROOT / "configs" / "compare"
    spec = yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))
    for system in spec["systems"].values():
        system["config"] = str(folder / system["config"])
    spec["data"] |= data | {"cache_dir": str(place.folder / "cache")}
    spec |= {"output_dir": str(place.folder / name), "jobs": place.jobs}
    if place.is_toy:
        spec |= {"seeds": [1, 2], "budget": {"updates": 2}}
    written = place.folder / f"{name}.yaml"
    written.write_text(yaml.safe_dump(spec, sort_keys=False, allow_unicode=True), encoding="utf-8")
    run_commands(place, {name: [["compare", str(written)]]})
    return place.folder / name / "results.json"


def _run(commands: list[list[str]], log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    for argv in commands:
        with (
            log.open("a", encoding="utf-8") as file,
            contextlib.redirect_stdout(file),
            contextlib.redirect_stderr(file),
        ):
            print("$ seq2seq", *argv, flush=True)
            code = cli.main(argv)
        if code != 0:
            last = log.read_text(encoding="utf-8").rstrip().split("\n")[-1]
            raise ValueError(f"{last.removeprefix('seq2seq: error: ')} (all of it: {log})")


def mark(x: float, y: float, low: float | None = None, high: float | None = None, title: str = "") -> Mark:
    """A point of a figure, with an interval or without."""
    return Mark(x, y, y if low is None else low, y if high is None else high, title or f"{y:.4g} at {x:g}")


def save(place: Place, name: str, svg: str) -> None:
    """A drawing of `chart` as place.folder/NAME.svg."""
    (place.folder / f"{name}.svg").write_text(standalone(svg), encoding="utf-8")


def lines_of(curves: dict[str, list[Mark]]) -> list[Series]:
    """A series for each name."""
    return [Series(name, index, marks) for index, (name, marks) in enumerate(curves.items())]
