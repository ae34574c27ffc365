"""The report as files: what it says and what it leaves out."""

import base64
import dataclasses
import hashlib
import itertools
import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest

from seq2seq.evaluation.analysis import Analysis, Equality, Pair
from seq2seq.evaluation.results import Results
from seq2seq.report import browser, write_report
from seq2seq.report.blocks import Code, Table
from seq2seq.report.chart import Mark, Series, chart, powers, spread, ticks
from seq2seq.report.figures import pareto_front
from seq2seq.report.tables import amount, headline_text, memory, p_value, recipe_verdict
from tests.report_data import HOSTILE, make_analysis, make_results

VOID = {"meta", "link", "br", "input"}


class Page(HTMLParser):
    """A page's elements in order, with the text of each; it must be balanced, as browsers repair what is not."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[int] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))
        if tag not in VOID:
            self._open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        assert self.elements[self._open.pop()][0] == tag

    def handle_data(self, data: str) -> None:
        for index in self._open:
            self.elements[index][2].append(data)

    def texts(self, *tags: str) -> list[str]:
        return ["".join(text) for tag, _, text in self.elements if tag in tags]

    def attributes(self, name: str) -> list[str]:
        return [value for _, attributes, _ in self.elements if (value := attributes.get(name)) is not None]


@pytest.fixture(scope="module")
def results() -> Results:
    return make_results()


@pytest.fixture(scope="module")
def analysis(results: Results) -> Analysis:
    return make_analysis(results)


@pytest.fixture(scope="module")
def folder(results: Results, analysis: Analysis, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "not there yet"
    assert write_report(results, analysis, folder) == folder / "report.html"
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def markdown(folder: Path) -> str:
    return (folder / "report.md").read_text(encoding="utf-8")


def write(results: Results, analysis: Analysis, folder: Path) -> tuple[str, str]:
    """The page and the Markdown."""
    write_report(results, analysis, folder)
    return tuple((folder / name).read_text(encoding="utf-8") for name in ("report.html", "report.md"))  # type: ignore[return-value]


# the page


def test_the_page_refers_to_nothing_outside_itself(page: Page) -> None:
    references = page.attributes("src") + page.attributes("href") + page.attributes("action")
    assert all(reference.startswith("#") or reference == "data:," for reference in references)
    assert "url(" not in "".join(page.texts("style")) and "@import" not in "".join(page.texts("style"))


def test_only_the_pages_own_script_and_style_may_act(page: Page) -> None:
    (policy,) = (attributes["content"] for _, attributes, _ in page.elements if "http-equiv" in attributes)
    assert policy is not None and policy.startswith("default-src 'none';") and "unsafe" not in policy
    script, *data = [(attributes, "".join(text)) for tag, attributes, text in page.elements if tag == "script"]
    assert {attributes["type"] for attributes, _ in data} == {"application/json"}
    for kind, text in (("script", script[1]), ("style", page.texts("style")[0])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    # The policy would refuse these.
    assert not page.attributes("style") and not [
        name for name in page.elements if name[1].keys() & {"onclick", "onload"}
    ]


def test_links_and_labels_lead_somewhere(page: Page) -> None:
    names = page.attributes("id")
    assert len(names) == len(set(names))
    for target in [
        *(href[1:] for href in page.attributes("href") if href[0] == "#"),
        *page.attributes("aria-labelledby"),
    ]:
        assert target in names


def test_headings_are_in_order_and_tables_are_labelled(page: Page) -> None:
    levels = [int(tag[1]) for tag, _, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(deeper <= level + 1 for level, deeper in itertools.pairwise(levels))
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes, _ in page.elements if tag == "th")
    tables = [attributes for tag, attributes, _ in page.elements if tag == "table"]
    assert len(page.texts("caption")) == len(tables) - 1  # that of the sentence browser stands under its heading


def test_figures_are_drawn_within_their_frame_and_described(page: Page, folder: Path) -> None:
    drawn = re.findall(r"<svg.*?</svg>", (folder / "report.html").read_text(encoding="utf-8"), re.DOTALL)
    assert len(drawn) == 3 + 2 * 3 + 2 * 2  # learning curves, costs on each test set, kinds of sentences
    for text in drawn:
        svg = ElementTree.fromstring(text)
        assert len(svg.attrib["aria-label"]) > 20
        _, _, width, height = map(float, svg.attrib["viewBox"].split())
        for label in svg.iter("text"):
            assert 0 <= float(label.attrib["x"]) <= width and 0 <= float(label.attrib["y"]) <= height
        # A system has one colour everywhere, and its name beside what it colours.
        for group in svg.iter("g"):
            label_in = group.find("text")
            if label_in is not None:
                index = ["lstm", "attention", "transformer"].index(str(label_in.text))
                assert group.attrib["class"] == f"series-{index}"


def test_scores_stand_with_deviation_and_interval(page: Page, markdown: str, analysis: Analysis) -> None:
    cells = page.texts("td")
    for score in analysis.scores:
        mean, interval = f"{score.mean:.1f} ± 0.3", f"[{score.low:.1f}, {score.high:.1f}]"
        assert mean + interval in cells
        assert f"| {mean} {interval} |" in markdown


def test_both_statements_stand_beside_each_other(results: Results, analysis: Analysis, tmp_path: Path) -> None:
    contrary = [
        dataclasses.replace(pair, better="a", better_recipe=None, difference=1.25, p_seeds=0.3, p_bootstrap_holm=0.012)
        for pair in analysis.pairs
    ]
    _, text = write(results, dataclasses.replace(analysis, pairs=contrary), tmp_path)
    assert re.search(r"\| lstm – attention \| lstm \| \+1\.25 \| 0\.012 \|.*\| 72 % \| undecided \|", text)


@pytest.mark.parametrize(
    ("better", "p_seeds", "verdict"),
    [
        ("a", 0.01, "ours"),
        ("b", 0.01, "theirs"),
        (None, 0.06, "undecided"),
        (None, None, "unknown\nneeds 2 runs of each"),
    ],
)
def test_the_better_recipe_is_named(better: Literal["a", "b"] | None, p_seeds: float | None, verdict: str) -> None:
    pair = Pair("test", "BLEU", "ours", "theirs", 9, 0, 0, 0, 0, None, 1.0, None, None, p_seeds, None, better)
    assert recipe_verdict(pair) == verdict


def test_what_should_be_equal_and_is_not_is_red_and_comes_first(
    results: Results, analysis: Analysis, tmp_path: Path
) -> None:
    unequal = Equality("budget", False, "lstm 20 minutes, attention 31", True)
    changed = dataclasses.replace(analysis, equalities=[*analysis.equalities, unequal])
    html, markdown = write(results, changed, tmp_path)
    red = [text for _, attributes, text in Page(html).elements if attributes.get("class") == "bad"]
    assert "".join(red[0]).endswith("demands it: budget.")
    assert "lstm 20 minutes, attention 31" in "".join(red[1])
    assert "updates" not in "".join(map("".join, red))  # unequal, but nobody demanded it
    assert markdown.index("demands it: budget.**") < markdown.index("## What was equal")
    assert html.index('class="bad"') < html.index('id="equality"')


def test_cautions_stand_before_everything_else(page: Page, markdown: str, analysis: Analysis) -> None:
    assert page.texts("h2")[0] == "Read this first"
    assert f"## Read this first\n\n- {analysis.cautions[0]}\n" in markdown
    assert analysis.cautions[0] in page.texts("li")


def test_sections_without_data_are_left_out(tmp_path: Path) -> None:
    foreign = make_results(2, foreign=True)
    analysis = dataclasses.replace(make_analysis(foreign), cautions=[], equalities=[])
    html, markdown = write(foreign, analysis, tmp_path)
    titles = Page(html).texts("h2")
    assert titles == ["Scores and costs", "Who beats whom", "Faults", "Sentences", "Runs, data and metrics"]
    for absent in ("Parameters", "Updates", "Costs", "SHA-256 of the training", "±", "None", "nan"):
        assert absent not in markdown
    assert "<svg" not in html and 'id="attention-0"' not in html


def test_one_system_alone_beats_nobody(tmp_path: Path) -> None:
    alone = make_results(1)
    html, _ = write(alone, make_analysis(alone), tmp_path)
    titles = Page(html).texts("h2")
    assert "Learning curves" in titles
    assert not {"Who beats whom", "Quality against cost"} & set(titles)


def test_everything_that_repeats_the_comparison_is_there(page: Page, results: Results, analysis: Analysis) -> None:
    code, cells = page.texts("code"), page.texts("td")
    for run in results.runs:
        assert all(command in code[0] for command in run.commands)
        assert run.config in [json.loads(text) for text in code[1:]]
        assert run.origin["bundle_sha256"] in cells
    assert cells.count("2.13.0") == 1  # what all share stands once
    for signature in analysis.signatures.values():
        assert signature in cells
    for test in results.test_sets:
        for lines in (test.sources, test.references):
            assert hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest() in cells


# Markdown, JSON, text


def test_markdown_has_the_same_tables(page: Page, markdown: str) -> None:
    captions = page.texts("caption")
    assert len(captions) > 15
    for caption in captions:
        assert f"{caption.replace(chr(0xA0), ' ')}\n\n| " in markdown
    rows = [line for line in markdown.split("\n") if line.startswith("|") and not line.startswith("|:--")]
    assert len(rows) == len(page.texts("tr"))


def test_names_with_markup_are_text(tmp_path: Path) -> None:
    results = make_results(hostile=True)
    html, markdown = write(results, make_analysis(results), tmp_path)
    name = results.systems[0].name
    assert "<i>" in name and '"' in name
    page = Page(html)
    assert "i" not in [tag for tag, _, _ in page.elements]
    assert any(text.startswith(name) for text in page.texts("th"))
    assert "<i>" not in markdown.replace("```", "\0").split("\0")[0]


def test_markdown_says_nothing_of_figures_that_it_has_not(page: Page, markdown: str) -> None:
    for heading in ("Learning curves", "Quality against cost"):
        assert heading in page.texts("h2")
        assert heading not in markdown
    assert any("Dashed: the Pareto front" in text for text in page.texts("p"))
    assert "Pareto" not in markdown
    assert "## Long sentences, rare words\n\n<details>" in markdown


def test_a_cell_of_markdown_cannot_end_early() -> None:
    table = Table("a | b", ["x|y", "`z`"], "lr", [["1 | 2\nand 3", "\\| <b>"]])
    assert table.markdown() == ("a \\| b\n\n| x\\|y | \\`z\\` |\n|:--|--:|\n| 1 \\| 2, and 3 | \\\\\\| &lt;b> |\n")
    assert Code("a\n```\nb").markdown() == "````\na\n```\nb\n````\n"


def test_json_is_the_analysis(folder: Path, results: Results, analysis: Analysis) -> None:
    content = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert content["name"] == results.name
    for key, value in dataclasses.asdict(analysis).items():
        assert content[key] == value


def test_the_headline_fits_a_terminal_and_lines_up(results: Results, analysis: Analysis) -> None:
    text = headline_text(results, analysis)
    first = text.split("\n\n")[0].split("\n")
    assert first[0] == "test_2016_flickr: scores on 40 sentences"
    assert first[1].split() == ["System", "BLEU", "↑", "chrF", "↑", "TER", "↓"]
    assert [line.split(",")[0] for line in first[2:]] == ["lstm", "attention", "transformer"]
    assert len({len(line) for line in first[1:]}) == 1 and len(first[1]) < 100
    assert "Parameters" in text and "5.95 M" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (2400, "2,400"), (9999, "9,999"), (61_234, "61.2 k"), (999_600, "1.00 M"), (6_012_000, "6.01 M")]
    + [(123_400_000, "123 M"), (4.1e15, "4.10 P")],
)
def test_amounts_have_three_digits(value: float, text: str) -> None:
    assert amount(value) == text


def test_small_numbers_are_not_rounded_to_nothing() -> None:
    assert [p_value(p) for p in (0.0, 0.0009, 0.001, 0.05, 1)] == ["< 0.001", "< 0.001", "0.001", "0.050", "1.000"]
    assert [memory(size) for size in (7.4e8, 1.24e9)] == ["740 MB", "1.24 GB"]


# figures


@pytest.mark.parametrize(("low", "high"), [(0, 37.2), (31.2, 36.9), (35, 35), (0, 0), (0, 2.16e6), (0, 0.031), (-3, 4)])
def test_ticks_are_round_and_enclose_the_values(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 2 <= len(found) <= 8
    assert found[0] <= low and high <= found[-1]
    step = found[1] - found[0]
    assert f"{step:.0e}"[0] in "125"
    assert all(abs(tick / step - round(tick / step)) < 1e-6 for tick in found)


def test_labels_keep_their_distance_and_their_order() -> None:
    placed = spread([50, 52, 51, 200, 299], 15, 30, 300)
    assert sorted(range(5), key=lambda i: placed[i]) == [0, 2, 1, 3, 4]
    in_order = sorted(placed)
    assert all(b - a >= 15 for a, b in itertools.pairwise(in_order))
    assert placed[3:] == [200, 299]  # what has room stays
    assert spread([290, 295], 15, 30, 300) == [285, 300]


def test_the_front_holds_what_no_other_beats_at_the_same_cost() -> None:
    cheap, good, beaten, doubtful = (10.0, 30.0), (20.0, 37.0), (21.0, 36.0), (9.9, 25.0)
    assert pareto_front([good, beaten, cheap]) == [2, 0]
    # 1 % cheaper is no cheaper: clocks are not that exact.
    assert pareto_front([cheap, doubtful]) == [0]
    assert pareto_front([cheap, cheap]) == [0, 1]


# the data of the sentence browser


def test_the_data_hold_the_run_that_stands_for_its_system(results: Results, analysis: Analysis) -> None:
    chosen = dataclasses.replace(analysis, representative=dict.fromkeys(analysis.representative, 2))
    data = browser.sentences(results, chosen)
    for index, system in enumerate(data["systems"]):
        run = results.runs_of(system)[1]
        for test in data["tests"]:
            assert test["outputs"][index] == run.outputs[test["name"]].hypotheses
            assert len(test["chrf"][index]) == len(test["references"])
    assert data["best"] == [2, 1]


def test_attention_of_another_seed_says_so(results: Results, analysis: Analysis) -> None:
    maps = browser.attention_maps(results, analysis)
    assert [run["name"] for run in maps[0]] == ["attention, seed 1", "transformer, seed 1"]
    kept = results.runs_of("attention")[0].outputs["test_2016_flickr"].attention[3]
    assert kept is not None
    assert maps[0][0]["maps"][3] == [kept.source_pieces, kept.target_pieces, kept.weights]


def test_attention_that_would_make_the_page_too_large_is_left_out(
    results: Results, analysis: Analysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser, "MAX_ATTENTION_CHARACTERS", 30_000)
    maps = browser.attention_maps(results, analysis)
    assert 0 < len(maps[0][0]["maps"]) < 40
    assert len(json.dumps(maps)) < 31_000


def test_data_cannot_end_their_element() -> None:
    text = browser.json_in_html(HOSTILE)
    assert "<" not in text
    assert json.loads(text) == HOSTILE


def test_a_report_is_written_whole_or_not_at_all(
    results: Results, analysis: Analysis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no page today")

    monkeypatch.setattr(browser, "sentences", fail)
    with pytest.raises(RuntimeError, match="no page today"):
        write_report(results, analysis, tmp_path / "report")
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(("low", "high"), [(-3.2, -0.1), (0, 0), (-40.5, 2), (-0.9, -0.8), (-7, 0)])
def test_powers_of_ten_are_few_and_enclose_the_values(low: float, high: float) -> None:
    found = powers(low, high)
    assert 2 <= len(found) <= 8
    assert found[0] <= low and high <= found[-1]
    assert len({after - before for before, after in pairwise(found)}) == 1


def test_a_logarithmic_axis_gives_each_factor_of_ten_the_same_height() -> None:
    marks = [Mark(x, 10.0**-x, 10.0**-x, 10.0**-x, "") for x in range(4)]
    svg = chart("", "x", "y", [Series("one", 0, marks)], log_y=True)
    heights = [float(y) for y in re.findall(r"translate\([\d.]+ ([\d.]+)\)", svg)]
    assert {round(after - before) for before, after in pairwise(heights)} == {round((heights[3] - heights[0]) / 3)}
    assert all(f">{label}</text>" in svg for label in ("10⁰", "10⁻¹", "10⁻²", "10⁻³"))
    assert "10⁻⁴" not in svg and "10¹" not in svg
