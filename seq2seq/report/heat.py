"""A positive number over a plane as SVG: stronger colour is more, on a logarithmic scale, with lines of equal height.

One colour that grows stronger can be read in either theme, and without telling colours apart.
"""

import html
import math
from collections.abc import Sequence

from seq2seq.report.chart import CHARACTER, LEFT, TOP, WIDTH, Frame, axes, text_at, tick_label, ticks

HEIGHT = 385
SIDE = 315  # of the plane
SCALE_LEFT, SCALE_WIDTH, SCALE_STEPS = LEFT + SIDE + 14, 12, 45
WEAKEST, STRONGEST = 0.04, 0.7  # opacities between which lines and labels can be read
MOST_LEVELS = 9
LEAST = 1e-6  # stands for all below it, which a logarithmic scale has no place for

Point = tuple[float, float]


def heat_map(
    description: str,
    names: tuple[str, str, str],
    places: Sequence[float],
    values: Sequence[Sequence[float]],
    *,
    low: float,
    high: float,
    heavy: float,
) -> str:
    """A square with a cell for each value and a scale beside it.

    Args:
        description: the whole figure in words, for those who do not see it.
        names: of x, of y, and of the values with their unit.
        places: of x and of y, equally far from each other.
        values: a row for each place of y, with one for each place of x; none below 0.
        low, high: ends of the scale, which several figures can share.
        heavy: the height of a thicker line.

    Returns:
        An <svg> element.
    """
    x_name, y_name, value_name = names
    low, high = max(low, LEAST), max(high, LEAST)
    step = places[1] - places[0]
    ends = places[0] - step / 2, places[-1] + step / 2
    frame = Frame(LEFT + SIDE, TOP + SIDE, *ends, *ends)
    shown = [tick for tick in ticks(places[0], places[-1]) if ends[0] <= tick <= ends[1]]
    x_ticks, y_ticks = {tick: [tick_label(tick)] for tick in shown}, {tick: tick_label(tick) for tick in shown}
    parts = axes(frame, x_ticks, y_ticks, x_name, y_name)

    side = SIDE / len(places)
    for row, y in zip(values, places, strict=True):
        for value, x in zip(row, places, strict=True):
            title = f"{x_name} {tick_label(x)}, {y_name} {tick_label(y)}: {value:.4g}"
            corner = frame.x(x - step / 2), frame.y(y + step / 2)
            parts.append(_rectangle(*corner, side, side, _height(value, low, high), title))

    levels = levels_between(low, high)
    middle = (len(places) - 1) // 2
    labels, free = [], 0.0
    for level in levels:
        lines = contour(values, level)
        parts.append(_outline(frame, places, lines, "contour"))
        # Named where it crosses the middle row on the way from the centre to the right, if there is room.
        crossings = [x for line in lines for x, y in line if y == middle < x]
        label, room = tick_label(level), len(tick_label(level)) * CHARACTER / 2 + 3
        if crossings and (x := frame.x(places[0] + min(crossings) * step)) - room > free:
            labels.append(text_at("level", x, frame.y(places[middle]) + 4, label, "middle"))
            free = x + room
    parts.append(_outline(frame, places, contour(values, heavy), "contour heavy"))
    parts += labels

    for number in range(SCALE_STEPS):
        y = frame.bottom - (number + 1) * SIDE / SCALE_STEPS
        parts.append(_rectangle(SCALE_LEFT, y, SCALE_WIDTH, SIDE / SCALE_STEPS, (number + 0.5) / SCALE_STEPS))
    for level in levels:
        y = frame.bottom - SIDE * _height(level, low, high)
        parts.append(f'<path class="contour" d="M{SCALE_LEFT} {y:.1f}h{SCALE_WIDTH}"/>')
        parts.append(text_at("tick", SCALE_LEFT + SCALE_WIDTH + 5, y + 4, tick_label(level)))
    parts.append(text_at("axis-name", WIDTH, 16, value_name, "end"))
    body = "\n".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(description)}">\n{body}\n</svg>'


def levels_between(low: float, high: float) -> list[float]:
    """At most nine round numbers, equally far from each other or, where the last is many times the first, in ratio."""
    if high < 3 * low:
        return [tick for tick in ticks(low, high) if low < tick < high]
    found = []
    for factors in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1,)):
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)))
        found = [float(f"{factor}e{power}") for power in powers for factor in factors]
        found = [level for level in found if low < level < high]
        if len(found) <= MOST_LEVELS:
            break
    return found[:: math.ceil(len(found) / MOST_LEVELS)]


def contour(values: Sequence[Sequence[float]], level: float) -> list[tuple[Point, Point]]:
    """Where a surface has this height, as pieces of lines between the sides of its squares (marching squares).

    Args:
        values: heights at the whole numbers (x, y): `values[y][x]`.
        level: the height.

    Source: Lorensen & Cline 1987, "Marching Cubes", in two dimensions.
    """
    pieces: list[tuple[Point, Point]] = []
    for y in range(len(values) - 1):
        for x in range(len(values[y]) - 1):
            corners = [(x, y), (x + 1, y), (x + 1, y + 1), (x, y + 1)]
            heights = [values[b][a] for a, b in corners]
            crossings: list[Point] = []
            for i in range(4):
                (ax, ay), (bx, by), ha, hb = corners[i], corners[i - 3], heights[i], heights[i - 3]
                if (ha < level) != (hb < level):
                    part = (level - ha) / (hb - ha)
                    crossings.append((ax + part * (bx - ax), ay + part * (by - ay)))
            # Of a saddle, which has all four, the lines go round the two corners that its middle is unlike: the second
            # and fourth (sides 0 and 1, 2 and 3), or the first and third (sides 3 and 0, 1 and 2).
            if len(crossings) == 4 and (sum(heights) / 4 < level) != (heights[0] < level):
                crossings = crossings[-1:] + crossings[:-1]
            pieces += zip(crossings[::2], crossings[1::2], strict=True)
    return pieces


def _outline(frame: Frame, places: Sequence[float], lines: Sequence[tuple[Point, Point]], kind: str) -> str:
    step = places[1] - places[0]
    pieces = [
        "L".join(f"{frame.x(places[0] + x * step)} {frame.y(places[0] + y * step)}" for x, y in line) for line in lines
    ]
    return f'<path class="{kind}" d="{"".join(f"M{piece}" for piece in pieces)}"/>'


def _height(value: float, low: float, high: float) -> float:
    """The place on the scale, from 0 to 1."""
    return min(1.0, max(0.0, math.log(max(value, low) / low) / math.log(high / low))) if high > low else 0.0


def _rectangle(x: float, y: float, width: float, height: float, part_of_scale: float, title: str = "") -> str:
    opacity = WEAKEST + (STRONGEST - WEAKEST) * part_of_scale
    inside = f"><title>{html.escape(title)}</title></rect>" if title else "/>"
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:g}" height="{height:g}"'
    return f'<rect class="cell" {place} fill-opacity="{opacity:.3f}"{inside}'
