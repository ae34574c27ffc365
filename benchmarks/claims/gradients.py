"""Claim a: how fast the gradient fades on its way back through the encoder, of a trained vanilla RNN and of an LSTM.

Both are trained on the copy-memory task of claim b, at equal terms, and looked at by `seq2seq analyze gradients` on
their test set: |dL_t/dh_k| of every target token and every state of the encoder, which reads from left to right alone,
by the steps between h_k and the last state; medians.

Theory: the gradient is a product with one factor for each step. Where a vanilla RNN holds something against what it
reads, the factors are below 1 (Bengio et al. 1994, theorem 3; Pascanu et al. 2013, section 2.1). An LSTM's cell has the
factor f, the forget gate, which begins at sigmoid(1) = 0.73 and is learned (Hochreiter & Schmidhuber 1997; Gers et al.
2000). So the longer delay of the two decides; the shorter one stands beside it, because there the RNN's W, which
begins orthogonal, still is nearly so, and nothing vanishes.

What decides is the distance that the task is about: from the first symbol to the last state. In between there is
nothing to learn, and an LSTM closes its gates to it: |dL/dh_k| dips there, for h_k reaches the cell through the gates
alone, and is back where the symbols stand. So the cell is shown as well: |dc_S/dc_k| over all paths.
"""

import json
from typing import Any

from claims import delays
from claims.claim import Judgement, Place, judged, lines_of, mark, run_commands, save

from seq2seq.report.chart import chart

SAYS = "the gradient of a trained vanilla RNN vanishes over a distance at which the LSTM's does not"
CELLS = ("rnn", "lstm")
DELAYS = (40, 10)  # the first decides
NUM_PAIRS = 100
KEPT, VANISHED = 1 / 10, 1 / 100
STATES, LSTM_CELL, ALL_PATHS = "encoder, left to right", "lstm's cell", "dc, all paths"


def measure(place: Place) -> dict[str, Any]:
    """Medians and quartiles by distance, of each delay and cell."""
    chosen = delays.DELAYS[:1] if place.is_toy else DELAYS
    folders = delays.trained(place, CELLS, chosen)
    runs, records = {}, {}
    for delay in chosen:
        test = place.folder / "copy-memory" / f"{delay}" / "test"
        records[delay] = place.folder / f"gradients-{delay}" / "gradients.json"
        models = [folders[cell, delay] for cell in CELLS]
        options = [f"--source={test}.src", f"--target={test}.tgt", f"--output_dir={records[delay].parent}"]
        command = ["analyze", "gradients", *models, *options, f"--num_pairs={NUM_PAIRS}", "--device=cpu"]
        runs[f"gradients-{delay}"] = [command]
    run_commands(place, runs)
    norms: dict[int, dict[str, Any]] = {}
    for delay, record in records.items():
        models = json.loads(record.read_text(encoding="utf-8"))["models"]
        curves = {cell: model["gradients"]["states"][STATES] for cell, model in zip(CELLS, models, strict=True)}
        curves[LSTM_CELL] = models[CELLS.index("lstm")]["gradients"]["cells"][ALL_PATHS]
        norms[delay] = {
            name: [{key: point[key] for key in ("distance", "low", "median", "high")} for point in points]
            for name, points in curves.items()
        }
    return {
        "delays": [
            {
                "delay": delay,
                "first_symbol": delay + delays.SYMBOLS,  # steps from it to the end of the sentence
                "right": {cell: delays.right(place, folders[cell, delay], delay) for cell in CELLS},
                "norms": norms[delay],
            }
            for delay in chosen
        ],
        "updates": delays.UPDATES,
        "rate": delays.RATE,
    }


def left(points: list[dict[str, float]]) -> list[float]:
    """What is left of the median at each distance, relative to that at the last state."""
    return [point["median"] / points[0]["median"] for point in points]


def judge(found: dict[str, Any]) -> Judgement:
    """What is left at the first symbol."""
    one = found["delays"][0]
    first = one["first_symbol"]
    lstm, rnn = (left(one["norms"][cell]) for cell in ("lstm", "rnn"))
    where = f"at the first symbol, {first} steps before the last state,"
    return judged(
        (lstm[first] >= KEPT, f"{where} {lstm[first]:.2g} of the lstm's gradient is left, wanted {KEPT:g} or more"),
        (rnn[first] <= VANISHED, f"{where} {rnn[first]:.2g} of the rnn's, wanted {VANISHED:g} or less"),
    )


def table(found: dict[str, Any]) -> str:
    """What is left at some distances."""
    lines = []
    for one in found["delays"]:
        norms = one["norms"]
        distances = [d for d in (0, 1, 2, 5, 10, 14, 20, 30, 40, 42, 44) if d < len(norms["lstm"])]
        lines.append(f"{'steps':24}" + "".join(f"{distance:>9}" for distance in distances))
        for cell, points in norms.items():
            shares = left(points)
            label = f"{cell}, delay {one['delay']}"
            lines.append(f"{label:24}" + "".join(f"{shares[distance]:>9.2g}" for distance in distances))
    return "\n".join([*lines, "|dL/dh|, of the cell |dc/dc|, relative to the last state; medians"])


def draw(found: dict[str, Any], place: Place, letter: str) -> None:
    """Medians over the distance, with quartiles, a figure for each delay."""
    for one in found["delays"]:
        curves = {
            cell: [mark(p["distance"], p["median"], p["low"] or p["median"], p["high"]) for p in points if p["median"]]
            for cell, points in one["norms"].items()
        }
        title = f"|dL/dh|, of the cell |dc/dc|, in encoders trained on copy-memory with a delay of {one['delay']}"
        svg = chart(title, "steps to the last state", "norm", lines_of(curves), log_y=True)
        save(place, f"{letter}-norms-{one['delay']}", svg)
