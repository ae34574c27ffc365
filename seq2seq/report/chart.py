"""One coordinate system as SVG, which takes its colours from the page.

A series keeps its colour, dash and marker in all figures, so that it can be told apart without colour as well.
"""

import dataclasses
import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

# The unit is a CSS pixel where the figure is as wide as it may be; on a phone it is four fifths of one.
WIDTH, HEIGHT = 440, 300
TOP, LEFT = 30, 44
LINE_HEIGHT, CHARACTER = 15, 7.5  # of the labels of 13 pixels; a character has this width in a wide font
NUM_COLOURS = 9  # --series-0 ... of page.css
DASHES = ["none", "7 3", "2 3", "9 3 2 3", "5 2", "12 4", "1 4", "9 2 1 2 1 2"]
MARKERS = [  # one path each, about 8 units wide
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
    "M-3.5-3.5h7v7h-7z",
    "M0-4.5L4.3 3.2h-8.6z",
    "M0-5L4.5 0L0 5L-4.5 0z",
    "M0 4.5L4.3-3.2h-8.6z",
    "M-1.5-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",
    "M-4-4L4 4L4-4L-4 4z",
]


@dataclass(frozen=True)
class Mark:
    """A point of a figure: its place, an interval of y around it, and what is shown when somebody points at it."""

    x: float
    y: float
    low: float
    high: float
    title: str


@dataclass(frozen=True)
class Series:
    """What one system contributes to a figure.

    Attributes:
        name: its label; "" for a thin line without label and markers, one of several runs.
        index: number of the system in the comparison.
        marks: at least one, from left to right.
    """

    name: str
    index: int
    marks: Sequence[Mark]


@dataclass(frozen=True)
class Frame:
    """The part of a figure between the axes, from (LEFT, TOP) to (right, bottom)."""

    right: float
    bottom: float
    x_first: float
    x_last: float
    y_first: float
    y_last: float

    def x(self, value: float) -> float:
        return round(LEFT + (value - self.x_first) / (self.x_last - self.x_first) * (self.right - LEFT), 1)

    def y(self, value: float) -> float:
        return round(self.bottom - (value - self.y_first) / (self.y_last - self.y_first) * (self.bottom - TOP), 1)


def chart(
    description: str,
    x_label: str,
    y_label: str,
    series: Sequence[Series],
    *,
    categories: Sequence[str] = (),
    front: Sequence[tuple[float, float]] = (),
    log_y: bool = False,
) -> str:
    """A labelled line, or point, for each series.

    Args:
        description: the whole figure in words, for those who do not see it.
        x_label: with its unit.
        y_label: with its unit.
        series: at least one.
        categories: names of the places 0, 1, ... of x; without them x is a number and begins at zero.
        front: corners of a line of steps, from left to right.
        log_y: whether y, all of it positive, goes up by factors of ten.

    Returns:
        An <svg> element.
    """
    if log_y:
        series = [dataclasses.replace(one, marks=[_logarithm(mark) for mark in one.marks]) for one in series]
    named, thin = [one for one in series if one.name], [one for one in series if not one.name]
    right = WIDTH - 14 - CHARACTER * max((len(_shortened(one.name)) for one in named), default=0)
    marks = [mark for one in series for mark in one.marks]
    low, high = min(mark.low for mark in marks), max(mark.high for mark in marks)
    if log_y:
        y_ticks = {float(power): _power_of_ten(power) for power in powers(low, high)}
    else:
        y_ticks = {tick: tick_label(tick) for tick in ticks(low, high)}
    if categories:
        width = int((right - LEFT) / len(categories) / CHARACTER)
        x_ticks = {float(place): _wrapped(name, width) for place, name in enumerate(categories)}
        x_first, x_last = -0.5, len(categories) - 0.5
    else:
        x_ticks = {tick: [tick_label(tick)] for tick in ticks(0, max(mark.x for mark in marks))}
        x_first, x_last = min(x_ticks), max(x_ticks)
    below = max(map(len, x_ticks.values())) + bool(x_label)
    frame = Frame(right, HEIGHT - 8 - LINE_HEIGHT * below, x_first, x_last, min(y_ticks), max(y_ticks))

    parts = axes(frame, x_ticks, y_ticks, x_label, y_label)
    if front:
        (x, y), *others = front
        steps = "".join(f"H{frame.x(x)}V{frame.y(y)}" for x, y in others)
        parts.append(f'<path class="front" d="M{frame.x(x)} {frame.bottom}V{frame.y(y)}{steps}H{right:.1f}"/>')
    parts += [f'<g class="thin series-{one.index % NUM_COLOURS}">{_line(frame, one)}</g>' for one in thin]
    heights = spread([frame.y(one.marks[-1].y) for one in named], LINE_HEIGHT, TOP, frame.bottom)
    for one, height in zip(named, heights, strict=True):
        drawn = _line(frame, one) + _markers(frame, one) + _label(frame, one, height)
        parts.append(f'<g class="series-{one.index % NUM_COLOURS}">{drawn}</g>')
    body = "\n".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(description)}">\n{body}\n</svg>'


def ticks(low: float, high: float) -> list[float]:
    """Two to seven round numbers that enclose both, a step of 1, 2 or 5 times a power of ten apart."""
    rough = ((high - low) or abs(high) or 1) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, max(last, first + 1) + 1)]


def powers(low: float, high: float) -> list[int]:
    """Two to seven whole numbers in equal steps that enclose both logarithms."""
    first = math.floor(low)
    step = max(1, math.ceil((high - first) / 6))
    return list(range(first, first + step * max(1, math.ceil((high - first) / step)) + 1, step))


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Heights near the wanted ones in the same order, at least a gap apart; within bounds while there is room."""
    placed = list(wanted)
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    bound = low
    for i in order:
        placed[i] = max(placed[i], bound)
        bound = placed[i] + gap
    bound = high
    for i in reversed(order):
        placed[i] = min(placed[i], bound)
        bound = placed[i] - gap
    return placed


def axes(
    frame: Frame, x_ticks: dict[float, list[str]], y_ticks: dict[float, str], x_label: str, y_label: str
) -> list[str]:
    parts = [text_at("axis-name", LEFT - 8, 16, y_label)]
    for tick, label in y_ticks.items():
        y = frame.y(tick)
        parts.append(f'<path class="grid" d="M{LEFT} {y}H{frame.right:.1f}"/>')
        parts.append(text_at("tick", LEFT - 6, y + 4, label, "end"))
    for tick, lines in x_ticks.items():
        for number, line in enumerate(lines):
            parts.append(text_at("tick", frame.x(tick), frame.bottom + 16 + number * LINE_HEIGHT, line, "middle"))
    parts.append(f'<path class="axis" d="M{LEFT} {TOP}V{frame.bottom}H{frame.right:.1f}"/>')
    if x_label:
        y = frame.bottom + 2 + LINE_HEIGHT * (1 + max(map(len, x_ticks.values())))
        parts.append(text_at("axis-name", (LEFT + frame.right) / 2, y, x_label, "middle"))
    return parts


def _line(frame: Frame, one: Series) -> str:
    if len(one.marks) < 2:
        return ""
    path = "M" + "L".join(f"{frame.x(mark.x)} {frame.y(mark.y)}" for mark in one.marks)
    return f'<path class="line" stroke-dasharray="{DASHES[one.index % len(DASHES)]}" d="{path}"/>'


def _markers(frame: Frame, one: Series) -> str:
    """The marks with their intervals; of many only some, so that they can be told apart, and always the last."""
    every = math.ceil(len(one.marks) / 12)
    drawn = ""
    for mark in one.marks[(len(one.marks) - 1) % every :: every]:
        x, y, low, high = frame.x(mark.x), frame.y(mark.y), frame.y(mark.low), frame.y(mark.high)
        interval = f'<path class="interval" d="M{x} {low}V{high}M{x - 3:.1f} {low}h6m-6 {high - low:.1f}h6"/>'
        shape = f'<path class="marker" transform="translate({x} {y})" d="{MARKERS[one.index % len(MARKERS)]}"/>'
        drawn += f"<g><title>{html.escape(mark.title)}</title>{interval if low != high else ''}{shape}</g>"
    return drawn


def _label(frame: Frame, one: Series, height: float) -> str:
    """The name beside the plot, with a leader where it is not right beside the last mark."""
    x, y = frame.x(one.marks[-1].x), frame.y(one.marks[-1].y)
    leader = ""
    if frame.right - x > 12 or abs(height - y) > 2:
        leader = f'<path class="leader" d="M{x + 6:.1f} {y}L{frame.right + 2:.1f} {height:.1f}"/>'
    return leader + text_at("label", frame.right + 6, height + 4, _shortened(one.name))


def text_at(kind: str, x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(text)}</text>'


def tick_label(value: float) -> str:
    """Of a tick: "0.5", "1,500", "20k", "2.5M"."""
    for least, unit, prefix in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(value) >= least:
            return f"{value / unit:g}{prefix}"
    return f"{value:,g}".replace("-", "−")


def _power_of_ten(power: int) -> str:
    return "10" + str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _logarithm(mark: Mark) -> Mark:
    return dataclasses.replace(mark, y=math.log10(mark.y), low=math.log10(mark.low), high=math.log10(mark.high))


def _shortened(name: str) -> str:
    return name if len(name) <= 18 else name[:17] + "…"


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of whole words, of at most `width` characters where the words allow it."""
    lines: list[str] = []
    for part in text.split("\n"):
        lines.append("")
        for word in part.split():
            if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
                lines.append(word)
            else:
                lines[-1] = f"{lines[-1]} {word}".lstrip()
    return lines
