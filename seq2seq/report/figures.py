"""The figures of a report, each made from the analysis."""

from collections.abc import Sequence

from seq2seq.evaluation.analysis import Analysis
from seq2seq.evaluation.results import Results
from seq2seq.report.blocks import Figure
from seq2seq.report.chart import Mark, Series, chart
from seq2seq.report.tables import name_of

# A cost this much higher counts as the same: clocks and batches are no more exact.
SAME_COST = 1.02


def learning_curves(results: Results, analysis: Analysis) -> list[Figure]:
    """Validation BLEU by updates, training tokens and training minutes; none if nothing was trained here."""
    figures = []
    axes = {"updates": "updates", "target_tokens": "training tokens", "minutes": "training minutes"}
    for attribute, x_label in axes.items():
        series = []
        for index, system in enumerate(results.systems):
            for run in results.runs_of(system.name):
                marks = []
                for point in run.curve:
                    x, y = getattr(point, attribute), point.valid_bleu
                    marks.append(Mark(x, y, y, y, f"{name_of(run)}: {y:.1f} at {x:,.4g} {x_label}"))
                stands_for_all = analysis.representative[system.name] == run.seed
                if marks:
                    series.append(Series(system.name if stands_for_all else "", index, marks))
        if series:
            title = f"Validation BLEU by {x_label}"
            ends = "; ".join(f"{one.name} ends at {one.marks[-1].y:.1f}" for one in series if one.name)
            figures.append(Figure(chart(f"{title}: {ends}", x_label, "BLEU", series), title))
    return figures


def pareto(results: Results, analysis: Analysis, test_set: str) -> list[Figure]:
    """Mean BLEU against each cost that at least two systems have, with the Pareto front."""
    figures = []
    scores = {s.system: s for s in analysis.scores if (s.test_set, s.metric) == (test_set, "BLEU")}
    numbers = {system.name: index for index, system in enumerate(results.systems)}
    for what, x_label, costs in _costs(analysis):
        if len(costs) < 2:  # one point is no choice
            continue
        series = []
        for system, cost in costs.items():
            score = scores[system]
            title = f"{system}: {score.mean:.1f} [{score.low:.1f}, {score.high:.1f}] at {cost:,.3g} {x_label}"
            mark = Mark(cost, score.mean, min(score.low, score.mean), max(score.high, score.mean), title)
            series.append(Series(system, numbers[system], [mark]))
        points = [(one.marks[0].x, one.marks[0].y) for one in series]
        front = pareto_front(points)
        title = f"{test_set}: BLEU against {what}"
        names = f"On the front: {', '.join(series[i].name for i in front)}"
        svg = chart(f"{title}. {names}", x_label, "BLEU", series, front=[points[i] for i in front])
        figures.append(Figure(svg, f"{title}\n{names}"))
    return figures


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Numbers of the (cost, quality) points that no other beats in quality at a cost at most 2 % higher, by cost."""
    front = [
        i
        for i, (cost, quality) in enumerate(points)
        if not any(
            (other_quality > quality and other_cost <= cost * SAME_COST)
            or (other_quality == quality and other_cost < cost)
            for other_cost, other_quality in points
        )
    ]
    return sorted(front, key=lambda i: points[i])


def buckets(results: Results, analysis: Analysis, test_set: str, by: str) -> Figure | None:
    """BLEU on the sentences of each kind, with 95 % intervals; None if the kinds are not known."""
    found = [b for b in analysis.buckets if (b.test_set, b.by) == (test_set, by)]
    if not found:
        return None
    counts = {b.label: b.num_sentences for b in found}
    places = {label: place for place, label in enumerate(counts)}
    num_systems = len(results.systems)
    series = []
    for index, system in enumerate(results.systems):
        # Side by side, or the intervals would hide each other.
        shift = (index - (num_systems - 1) / 2) * min(0.1, 0.6 / num_systems)
        marks = []
        for b in found:
            if b.system == system.name:
                title = f"{system.name}, {b.label}: {b.bleu:.1f} [{b.low:.1f}, {b.high:.1f}]"
                marks.append(Mark(places[b.label] + shift, b.bleu, b.low, b.high, title))
        series.append(Series(system.name, index, marks))
    title = f"{test_set}: BLEU by {by}"
    categories = [f"{label}\nn={count:,}" for label, count in counts.items()]
    return Figure(chart(title, "", "BLEU", series, categories=categories), title)


def _costs(analysis: Analysis) -> list[tuple[str, str, dict[str, float]]]:
    """Each kind of cost: its name, its unit, and the systems that have it. Less is better in all of them."""
    known = analysis.costs
    minutes = {c.system: c.minutes for c in known if c.minutes is not None}
    decoding = {c.system: 1000 / c.sentences_per_s for c in known if c.sentences_per_s}
    memory = {c.system: c.peak_memory_bytes / 1e9 for c in known if c.peak_memory_bytes is not None}
    return [
        ("training time", "minutes", minutes),
        ("decoding time", "seconds for 1,000 sentences", decoding),
        ("memory", "GB", memory),
    ]
