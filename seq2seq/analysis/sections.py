"""What was measured, as sections of a page: figures, tables and what they mean."""

from collections.abc import Callable, Mapping, Sequence

from seq2seq.analysis.attention import Attention
from seq2seq.analysis.gates import NUM_BINS, Gate
from seq2seq.analysis.gradients import DECODER, DIRECTIONS, Gradients, Point, tail
from seq2seq.analysis.landscape import NEAR, Landscape
from seq2seq.analysis.length import Bucket, ByLength, Estimate
from seq2seq.report.blocks import Figure, Row, Section, Table, Text
from seq2seq.report.chart import Mark, Series, chart
from seq2seq.report.heat import heat_map

TO_END = "steps from k to where the reading ends"


def gradient_sections(found: Mapping[str, Gradients]) -> list[Section]:
    """How gradients fade with distance, by model.

    Args:
        found: name of each model, and what was measured of it.
    """
    lines = "Lines are medians over all target tokens, bars quartiles."
    inputs = [
        _fading("|dLₜ/dxₛ| by the tokens after xₛ", "tokens", {n: g.inputs_from_end for n, g in found.items()}),
        _fading("|dLₜ/dxₛ| by the tokens before xₛ", "tokens", {n: g.inputs_from_start for n, g in found.items()}),
    ]
    sections = [
        Section(
            "inputs",
            "What reaches the source",
            [
                Text(
                    "Lₜ is the loss of one target token, xₛ an embedded source token. An encoder with one fixed "
                    f"vector has to carry every token to its end; attention reaches all of them directly. {lines}"
                ),
                Row(inputs),
            ],
        )
    ]
    figures = []
    for part in (*DIRECTIONS, DECODER):
        curves = {name: gradients.states[part] for name, gradients in found.items() if part in gradients.states}
        state, steps = ("dₖ", "t - k, target tokens") if part == DECODER else ("hₖ", TO_END)
        if curves:
            figures.append(_fading(f"{part}: |dLₜ/d{state}|", steps, curves))
    if figures:
        rows = [
            [name, part, f"{points[0].median:.2g}", f"{points[-1].median:.2g}", f"{tail(points):.2g}"]
            + [str(points[-1].distance)]
            for name, gradients in found.items()
            for part, points in gradients.states.items()
        ]
        table = Table(
            "What is left of the gradient at the largest distance: medians",
            ["Model", "States", "nearest", "farthest", "ratio", "steps"],
            "llrrrr",
            rows,
        )
        text = (
            "The chain rule multiplies one factor for each step between the loss and a state (Bengio et al. 1994). On "
            f"a logarithmic axis, a straight line downwards is a gradient that vanishes exponentially. {lines}"
        )
        sections.append(Section("states", "What reaches the states", [Text(text), Row(figures), table]))
    cells = {name: gradients for name, gradients in found.items() if gradients.cells}
    if cells:
        text = (
            "The lstm adds to its cell: along cₖ alone, dc_S/dcₖ is the product of the forget gates between. Both were "
            "measured, the product from the gates and the derivative by autograd, and lie upon each other; beside them "
            "is the derivative along all paths, those through h and the gates among them. Each is a root mean square "
            "over the units, of the encoder's top layer from left to right."
        )
        figures = [
            _fading(f"{name}: dc_S/dcₖ", TO_END, gradients.cells, y_label="gain") for name, gradients in cells.items()
        ]
        differences = [
            [name, f"{gradients.largest_difference:.2g}"]
            for name, gradients in cells.items()
            if gradients.largest_difference is not None
        ]
        caption = "Largest difference between a product of forget gates and the derivative along the cells"
        table = Table(caption, ["Model", "difference"], "lr", differences)
        sections.append(Section("cells", "What the forget gates carry", [Text(text), Row(figures), table]))
    return sections


def gate_sections(found: Mapping[str, Sequence[Gate]]) -> list[Section]:
    """How far open gates stand, a section for each model.

    Args:
        found: name of each model, and its gates.
    """
    sections = []
    for number, (name, gates) in enumerate(found.items(), 1):
        figures = []
        for part, layer in dict.fromkeys((gate.part, gate.layer) for gate in gates):
            series = []
            of_layer = [gate for gate in gates if (gate.part, gate.layer) == (part, layer)]
            for index, gate in enumerate(of_layer):
                marks = [
                    Mark(
                        (place + 0.5) / NUM_BINS,
                        100 * share,
                        100 * share,
                        100 * share,
                        f"{gate.gate}: {share:.1%} from {place / NUM_BINS:.2f} to {(place + 1) / NUM_BINS:.2f}",
                    )
                    for place, share in enumerate(gate.shares)
                ]
                series.append(Series(gate.gate, index, marks))
            title = f"{part}, layer {layer}"
            means = ", ".join(f"{gate.gate} {gate.mean:.2f} on average" for gate in of_layer)
            svg = chart(f"Gates of the {title}: {means}", "gate", "% of units and steps", series)
            figures.append(Figure(svg, title))
        rows = [
            [gate.part, str(gate.layer), gate.gate, f"{gate.mean:.3f}", f"{gate.closed:.1%}", f"{gate.open:.1%}"]
            for gate in gates
        ]
        table = Table(
            "Gates: the mean, and how many stand below 0.1 (closed) or above 0.9 (open)",
            ["Part", "Layer", "Gate", "mean", "closed", "open"],
            "lrlrrr",
            rows,
        )
        text = Text(
            "Each gate is a number from 0 to 1 for each unit at each step. A forget gate (gru: update gate) near 1 "
            "keeps what is there; an input gate near 0 writes nothing; an output gate near 0 hides the cell; a reset "
            "gate near 0 lets the old state out of the new candidate."
        )
        sections.append(Section(f"gates-{number}", name, [*([text] if number == 1 else []), Row(figures), table]))
    return sections


def attention_sections(found: Mapping[str, Attention]) -> list[Section]:
    """What the maps of each model are like.

    Args:
        found: name of each model, and its maps with their measures.
    """
    sections = []
    for number, (name, one) in enumerate(found.items(), 1):
        has_rates = any(measure.alignment_error_rate is not None for measure in one.measures)
        rows = [
            [measure.name, f"{measure.entropy:.2f}", _or_dash(measure.monotonicity), _or_dash(measure.coverage)]
            + ([_or_dash(measure.alignment_error_rate)] if has_rates else [])
            for measure in one.measures
        ]
        headings = ["Weights", "entropy (bits)", "monotonicity", "coverage", *(["AER"] if has_rates else [])]
        caption = "What the maps are like, over words, on average over all pairs"
        table = Table(caption, headings, "l" + "r" * (len(headings) - 1), rows)
        text = Text(
            "Entropy 0 looks at one word. Monotonicity is Kendall's tau between the words of the translation and where "
            "they look: 1 reads on and on. Coverage 1 has looked at every word of the source. The alignment error rate "
            "(AER) is 0 where the strongest weights are the links that people drew."
        )
        sections.append(Section(f"attention-{number}", name, [*([text] if number == 1 else []), table]))
    return sections


def length_sections(found: Mapping[str, ByLength]) -> list[Section]:
    """BLEU, time and memory of translating by the length of the source.

    Args:
        found: name of each model, and its buckets.
    """
    one = next(iter(found.values()))
    has_memory = all(bucket.peak_bytes for of in found.values() for bucket in of.buckets)
    quality = (
        "An encoder with one fixed vector has as much room for a long sentence as for a short one; attention looks at "
        "all of it. Sentences of two buckets differ in more than their length, so compare models within one. "
        f"Bars are 95 % intervals if other sentences were drawn ({one.signature})."
    )
    cost = (
        f"Each bucket was translated on its own, {one.sentences_at_once} sentences at a time, on {one.device}: means "
        "over these batches with 95 % intervals. "
    )
    if has_memory:
        cost += "Memory is the most at a time beyond what the model and the program hold."
    else:
        cost += "Memory was not measured: nobody counts it here; that takes Linux or a GPU."
    figures = [
        _by_bucket("BLEU", "BLEU", found, lambda bucket: bucket.bleu),
        _by_bucket("Time", "ms a sentence", found, lambda bucket: bucket.seconds, 1e3),
    ]
    if has_memory:
        figures.append(_by_bucket("Memory", "MB", found, lambda bucket: bucket.peak_bytes, 1e-6))
    rows = [
        [name, bucket.label, f"{bucket.num_sentences:,}", f"{bucket.mean_words:.1f}", _with_interval(bucket.bleu)]
        + [_with_interval(bucket.seconds, 1e3), _with_interval(bucket.peak_bytes, 1e-6)]
        for name, of in found.items()
        for bucket in of.buckets
    ]
    headings = ["Model", "Source", "sentences", "mean words", "BLEU", "ms a sentence", "MB"]
    table = Table("All buckets, with 95 % intervals", headings, "llrrrrr", rows)
    return [Section("length", "By source length", [Text(quality), Text(cost), Row(figures), table])]


def landscape_sections(found: Mapping[str, Landscape]) -> list[Section]:
    """The loss on a plane through each model's weights, on one scale.

    Args:
        found: name of each model, and its losses.
    """
    losses = [loss for one in found.values() for row in one.losses for loss in row]
    figures: list[Figure] = []
    for name, one in found.items():
        worst = max(map(max, one.losses))
        description = (
            f"Loss of {name} around its weights: {one.loss:.2f} nats a token at them, at most {worst:.2f}, less than "
            f"{NEAR:g} nat more on {one.share_near:.0%} of the plane"
        )
        svg = heat_map(
            description,
            ("α", "β", "nats a token"),
            one.alphas,
            one.losses,
            low=min(losses),
            high=max(losses),
            heavy=one.loss + NEAR,
        )
        figures.append(Figure(svg, name))
    text = Text(
        "The middle of each plane is the trained model. At α = 1 every row of every matrix is moved by a random vector "
        "of its own length, at β = 1 by another one; biases and norms stay (Li et al. 2018). All planes have one "
        f"logarithmic scale. The thick line encloses what is less than {NEAR:g} nat above the middle."
    )
    rows = [
        [name, f"{one.loss:.3f}", f"{one.curvature_alpha:.1f}", f"{one.curvature_beta:.1f}", f"{one.share_near:.1%}"]
        for name, one in found.items()
    ]
    table = Table(
        "Loss at the weights in nats a token, its second derivatives there along α and β, and the share of the plane "
        f"where it is less than {NEAR:g} nat higher",
        ["Model", "loss", "curvature along α", "along β", f"within {NEAR:g} nat"],
        "lrrrr",
        rows,
    )
    return [Section("plane", "The loss around the weights", [text, Row(figures), table])]


def _by_bucket(
    title: str,
    y_label: str,
    found: Mapping[str, ByLength],
    estimate: Callable[[Bucket], Estimate | None],
    factor: float = 1,
) -> Figure:
    """A line for each model, with what each bucket has and its interval."""
    longest = max(bucket.mean_words for of in found.values() for bucket in of.buckets)
    series = []
    for index, (name, of) in enumerate(found.items()):
        # Side by side, or the intervals would hide each other.
        shift = (index - (len(found) - 1) / 2) * 0.012 * longest
        marks = []
        for bucket in of.buckets:
            if one := estimate(bucket):
                figures = f"{name}, {bucket.label}, n={bucket.num_sentences:,}: {_with_interval(one, factor)}"
                y, low, high = (factor * value for value in (one.value, one.low, one.high))
                marks.append(Mark(bucket.mean_words + shift, y, low, high, figures))
        series.append(Series(name, index, marks))
    ends = "; ".join(f"{one.name} from {one.marks[0].y:.1f} to {one.marks[-1].y:.1f}" for one in series)
    title = f"{title} by source length"
    return Figure(chart(f"{title}: {ends}", "words of the source, mean of a bucket", y_label, series), title)


def _with_interval(one: Estimate | None, factor: float = 1) -> str:
    return f"{factor * one.value:.1f} [{factor * one.low:.1f}, {factor * one.high:.1f}]" if one else "–"


def _or_dash(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _fading(title: str, x_label: str, curves: Mapping[str, Sequence[Point]], y_label: str = "norm") -> Figure | Text:
    """Medians with quartiles on a logarithmic axis, a line for each curve. What is 0 has no place there."""
    series = []
    for index, (name, points) in enumerate(curves.items()):
        marks = []
        for point in points:
            if point.median > 0:
                quartiles = f"{point.median:.2g} [{point.low:.2g}, {point.high:.2g}]"
                title_of_point = f"{name}: {quartiles} at {point.distance}, n={point.count:,}"
                low = point.low or point.median
                marks.append(Mark(point.distance, point.median, low, point.high, title_of_point))
        if marks:
            series.append(Series(name, index, marks))
    ends = "; ".join(f"{one.name} from {one.marks[0].y:.2g} to {one.marks[-1].y:.2g}" for one in series)
    if not series:
        return Text(f"{title}: all of it is zero.")
    return Figure(chart(f"{title}: {ends}", x_label, y_label, series, log_y=True), title)
