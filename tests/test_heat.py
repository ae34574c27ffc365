"""Heat maps: their lines of equal height against a surface that is known, and what an eye is given to read."""

import math
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter

import pytest

from seq2seq.report.heat import contour, heat_map, levels_between
from seq2seq.report.svg import standalone

PLACES = [round(-1 + i / 10, 12) for i in range(21)]
BOWL = [[1 + 9 * (x * x + y * y) for x in PLACES] for y in PLACES]


@pytest.mark.parametrize("level", [1.5, 3.0, 7.77])
def test_lines_of_equal_height_of_a_bowl_are_closed_circles(level: float) -> None:
    lines = contour(BOWL, level)
    radius = math.sqrt((level - 1) / 9)
    for line in lines:
        for x, y in line:
            assert math.hypot(x / 10 - 1, y / 10 - 1) == pytest.approx(radius, abs=0.01)
    ends = Counter((round(x, 9), round(y, 9)) for line in lines for x, y in line)
    assert set(ends.values()) == {2}
    length = sum(math.dist(*line) for line in lines) / 10
    assert length == pytest.approx(2 * math.pi * radius, rel=0.03)


@pytest.mark.parametrize(("middle", "apart"), [(0.4, True), (0.6, False)])
def test_lines_at_a_saddle_go_round_the_corners_that_its_middle_is_unlike(middle: float, apart: bool) -> None:
    high = 2 * middle - 0.1  # mean of 0.1, high, 0.1, high is the middle
    lines = {frozenset(line) for line in contour([[0.1, high], [high, 0.1]], 0.5)}
    part = (0.5 - 0.1) / (high - 0.1)
    below, right, above, left = (part, 0.0), (1.0, 1 - part), (1 - part, 1.0), (0.0, part)
    found = {frozenset((round(x, 9), round(y, 9)) for x, y in line) for line in lines}
    round_the_high_ones, round_the_low_ones = [(below, right), (above, left)], [(below, left), (above, right)]
    expected = round_the_high_ones if apart else round_the_low_ones
    assert found == {frozenset((round(x, 9), round(y, 9)) for x, y in line) for line in expected}


def test_a_surface_without_that_height_has_no_line() -> None:
    assert contour(BOWL, 0.5) == contour(BOWL, 100) == []


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1.4, 16, [1.5, 2, 3, 5, 7, 10, 15]),
        (0.003, 12, [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10]),
        (1e-9, 20, None),
        (8.9, 9.1, [8.95, 9.0, 9.05]),
        (2.0, 2.0, []),
    ],
)
def test_levels_are_round_and_not_too_many(low: float, high: float, expected: list[float] | None) -> None:
    found = levels_between(low, high)
    assert len(found) <= 9 and all(low < level < high for level in found) and found == sorted(found)
    if expected and len(expected) <= 9:
        assert found == expected


def drawn(values: list[list[float]], low: float, high: float) -> ElementTree.Element:
    svg = heat_map("A bowl", ("α", "β", "nats"), PLACES, values, low=low, high=high, heavy=2.0)
    return ElementTree.fromstring(svg)


def test_a_cell_is_as_strong_as_its_value_and_names_it() -> None:
    cells = {rect[0].text: float(rect.attrib["fill-opacity"]) for rect in drawn(BOWL, 1, 19).iter("rect") if len(rect)}
    assert len(cells) == 441
    weakest, middle, strongest = (cells[text] for text in ("α 0, β 0: 1", "α 1, β 0: 10", "α −1, β 1: 19"))
    assert weakest < middle < strongest
    share = math.log(10) / math.log(19)  # the scale is logarithmic
    assert middle == pytest.approx(weakest + share * (strongest - weakest), abs=2e-3)
    assert cells["α 0.3, β −0.5: 4.06"] == cells["α −0.5, β 0.3: 4.06"]


def test_figures_with_one_scale_give_one_value_one_strength() -> None:
    one = {rect[0].text: rect.attrib["fill-opacity"] for rect in drawn(BOWL, 0.5, 40).iter("rect") if len(rect)}
    half = {
        rect[0].text: rect.attrib["fill-opacity"]
        for rect in drawn([[5.5] * 21] * 21, 0.5, 40).iter("rect")
        if len(rect)
    }
    assert set(half.values()) == {one["α 0.5, β −0.5: 5.5"]}


def test_a_flat_plane_can_be_drawn() -> None:
    svg = drawn([[2.0] * 21] * 21, 2.0, 2.0)
    assert len([rect for rect in svg.iter("rect") if len(rect)]) == 441


def test_as_a_file_it_has_its_own_size_and_plain_colours() -> None:
    content = standalone(heat_map("A bowl", ("α", "β", "nats"), PLACES, BOWL, low=1, high=19, heavy=2.0))
    _, _, width, height = map(float, ElementTree.fromstring(content).attrib["viewBox"].split())
    assert re.search(rf'<svg [^>]*width="{width:g}" height="{height:g}"', content)
    assert "var(" not in content and ".cell {" in content and ".heavy {" in content
    for text in ElementTree.fromstring(content).iter("{http://www.w3.org/2000/svg}text"):
        assert 0 <= float(text.attrib["x"]) <= width and 0 < float(text.attrib["y"]) < height
