"""What metrics.csv of a run says: how far it is, and how its scores rose."""

import csv
import math
from pathlib import Path

from seq2seq.evaluation.results import Point


def read_figures(path: Path) -> dict[int, dict[str, float]]:
    """The figures of a run by the number of updates done when they were logged; {} if there are none yet."""
    figures: dict[int, dict[str, float]] = {}
    try:
        file = path.open(encoding="utf-8", newline="")
    except FileNotFoundError:
        return {}
    with file:
        for row in csv.DictReader(file):
            try:
                numbers = {name: float(value) for name, value in row.items() if name and value}
                updates = int(numbers.pop("step")) + 1  # Lightning counts updates from 0
            except (KeyError, TypeError, ValueError):  # the last row of a training that was killed, or is writing it
                continue
            figures.setdefault(updates, {}).update(numbers)
    return figures


def learning_curve(path: Path) -> list[Point]:
    """The validations of a run, in order; those whose loss was no finite number are left out."""
    points = []
    for updates, row in sorted(read_figures(path).items()):
        names = ("target_tokens", "train_minutes", "valid_bleu", "valid_loss")
        if all(math.isfinite(row.get(name, math.nan)) for name in names):
            tokens, minutes, bleu, loss = (row[name] for name in names)
            points.append(Point(updates, int(tokens), minutes, bleu, loss))
    return points
