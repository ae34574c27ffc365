"""The page in a browser: what it shows, what its controls do, and that nothing in it acts on its own."""

import base64
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seq2seq.report import browser as report_browser
from seq2seq.report import write_report
from seq2seq.report.attention import AttentionPage
from seq2seq.report.blocks import Figure, Row, Section, Table, Text
from seq2seq.report.chart import Mark, Series, chart
from seq2seq.report.heat import heat_map
from seq2seq.report.sheet import sheet
from tests.report_data import HOSTILE, make_analysis, make_results

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")

Open = Callable[..., Any]
# The rectangles of every visible piece of text, cut to the boxes that scroll: [number, text, x, y, right, bottom].
# Labels of attention maps lean over each other's corners and are left out.
PIECES = """() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node, number = 0; (node = walker.nextNode()); number++) {
    const beyond = "script, style, title, .skip, svg.heat, option";
    if (!node.data.trim() || node.parentElement.closest(beyond)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) {
      let [x, y, right, bottom] = [box.left, box.top, box.right, box.bottom];
      for (let up = node.parentElement; up; up = up.parentElement) {
        if (getComputedStyle(up).overflow === "visible") continue;
        const clip = up.getBoundingClientRect();
        [x, y] = [Math.max(x, clip.left), Math.max(y, clip.top)];
        [right, bottom] = [Math.min(right, clip.right), Math.min(bottom, clip.bottom)];
      }
      if (right - x > 1 && bottom - y > 1) found.push([number, node.data, x, y, right, bottom]);
    }
  }
  return found;
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        # Chromium refuses to sandbox itself for root, which is who runs tests in a container.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        launched = started.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield launched
        launched.close()


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Open]:
    """open_page(report, **context options) -> the page, without network; any complaint of it fails the test."""
    complaints: list[str] = []
    contexts = []

    def opened(report: Path, width: int = 1400, wait_for: str = ".sentence", **options: Any) -> Any:
        context = chromium.new_context(viewport={"width": width, "height": 900}, offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", lambda request: request.url == report.as_uri() or complaints.append(request.url))
        page.goto(report.as_uri())
        if options.get("java_script_enabled", True):
            page.wait_for_selector(wait_for)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = make_results()
    return write_report(results, make_analysis(results), tmp_path_factory.mktemp("three"))


@pytest.fixture(scope="module")
def large_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine systems, 5,000 sentences and 2,500; chrF is made up: to compute it takes longer than all tests together."""
    results = make_results(9, 1, 5000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report_browser, "sentence_chrf", lambda lines, _: [hash_of(line) for line in lines])
        patch.setattr(report_browser, "MAX_ATTENTION_CHARACTERS", 2_000_000)
        return write_report(results, make_analysis(results), tmp_path_factory.mktemp("nine"))


def hash_of(line: str) -> float:
    return sum(line.encode()) % 1000 / 10


def listed(page: Any) -> list[int]:
    """Numbers of the sentences that the list shows, from above."""
    return [int(text) - 1 for text in page.locator(".sentence .number").all_text_contents()]


def data_of(page: Any) -> Any:
    return page.evaluate("JSON.parse(document.getElementById('data').textContent)")


@pytest.mark.parametrize("order", ["a", "b"])
def test_sentences_are_sorted_by_the_difference_of_two_systems(report: Path, open_page: Open, order: str) -> None:
    page = open_page(report)
    page.select_option("#a", label="lstm")
    page.select_option("#b", label="transformer")
    page.select_option("#order", order)
    lstm, _, transformer = data_of(page)["tests"][0]["chrf"]
    sign = -1 if order == "a" else 1
    expected = sorted(range(len(lstm)), key=lambda i: (sign * (lstm[i] - transformer[i]), i))
    found = listed(page)
    assert len(found) > 15
    assert found == expected[: len(found)]
    difference = lstm[expected[0]] - transformer[expected[0]]
    assert page.locator(".sentence .difference").first.text_content() == f"{difference:+.1f}".replace("-", "−")


@pytest.mark.parametrize("order", ["long", "short"])
def test_sentences_are_sorted_by_the_length_of_the_source(report: Path, open_page: Open, order: str) -> None:
    page = open_page(report)
    page.select_option("#order", order)
    sources = data_of(page)["tests"][0]["sources"]
    lengths = [len(sources[i].split()) for i in listed(page)]
    assert lengths == sorted(lengths, reverse=order == "long")
    assert len(set(lengths)) > 1


def test_text_filters_sources_references_and_translations(report: Path, open_page: Open) -> None:
    page = open_page(report)
    page.fill("#filter", "BRÜCKE")
    test = data_of(page)["tests"][0]
    expected = [i for i, source in enumerate(test["sources"]) if "Brücke" in source]
    assert 0 < len(expected) < len(test["sources"])
    assert listed(page) == expected[: len(listed(page))]
    assert page.locator("#count").text_content() == f"{len(expected)} of 40 sentences"
    page.fill("#filter", test["outputs"][2][5])
    assert 5 in listed(page)
    page.fill("#filter", "nowhere in this text")
    assert listed(page) == [] and not page.locator("#detail").is_visible()
    page.fill("#filter", "")
    assert listed(page)[:3] == [0, 1, 2] and page.locator("#detail").is_visible()


def test_the_other_test_set_can_be_chosen(report: Path, open_page: Open) -> None:
    page = open_page(report)
    page.select_option("#test", label="test_2017_flickr")
    assert page.locator("#count").text_content() == "20 sentences"
    source = data_of(page)["tests"][1]["sources"][0]
    assert page.locator("#texts td").first.text_content() == source


def test_the_list_is_walked_by_keyboard(report: Path, open_page: Open) -> None:
    page = open_page(report)
    page.focus("#list")
    for key, expected in (("ArrowDown", 2), ("End", 40), ("ArrowUp", 39), ("Home", 1), ("PageDown", None)):
        page.keyboard.press(key)
        chosen = page.locator('.sentence[aria-selected="true"]')
        assert chosen.get_attribute("id") == page.get_attribute("#list", "aria-activedescendant")
        number = int(chosen.locator(".number").text_content())
        assert number == expected if expected else 5 < number < 40
        assert page.locator("#detail-title").text_content() == f"Sentence {number} of test_2016_flickr"
        assert chosen.is_visible()
    page.click("#previous")
    assert page.locator("#detail-title").text_content() == f"Sentence {number - 1} of test_2016_flickr"


def test_every_control_is_reached_by_the_tab_key(report: Path, open_page: Open) -> None:
    page = open_page(report)
    reached: list[str] = []
    while "next" not in reached and len(reached) < 80:
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert reached[0] == "skip"
    for name in ("theme", "test", "a", "b", "order", "mark", "filter", "list", "next"):
        assert name in reached


def test_words_that_differ_are_marked(tmp_path: Path, open_page: Open) -> None:
    results = make_results(2, 1, 40)
    references = results.test_sets[0].references
    lines = [run.outputs["test_2016_flickr"].hypotheses for run in results.runs]
    references[0] = "a dog sees the old bridge ."
    lines[0][0], lines[1][0] = "a cat sees the bridge . .", "a dog sees  the old bridge ."
    page = open_page(write_report(results, make_analysis(results), tmp_path))
    cells = page.locator("#texts td")
    assert cells.nth(2).text_content() == lines[0][0] and cells.nth(3).text_content() == lines[1][0]
    # "cat" stands for "dog", one full stop is too many, "old" is missing.
    assert cells.nth(2).locator("mark").all_text_contents() == ["cat", "."]
    assert [gap.get_attribute("title") for gap in cells.nth(2).locator(".gap").all()] == ["missing: old"]
    assert cells.nth(3).locator("mark, .gap").count() == 0
    page.select_option("#mark", "pair")
    assert cells.nth(3).locator("mark").all_text_contents() == ["dog", "old"]
    page.select_option("#mark", "nothing")
    assert page.locator("#texts mark").count() == 0


def test_attention_is_drawn_when_it_is_looked_at(report: Path, open_page: Open) -> None:
    page = open_page(report)
    assert page.locator("svg.heat").count() == 0
    page.click("#attention summary")
    page.wait_for_selector("svg.heat rect")  # the browser says later that it was opened
    name, maps = page.evaluate(
        "(({name, maps}) => [name, maps[0]])(JSON.parse(document.getElementById('attention-0').textContent)[0])"
    )
    sources, targets, _ = maps
    drawn = page.locator("svg.heat").first
    assert drawn.locator("rect").count() == len(sources) * len(targets)
    titles = drawn.locator("rect title").all_text_contents()
    assert titles[0].startswith(f"{targets[0]} ← {sources[0]}: ".replace("▁", "_"))
    assert sum(float(title.rsplit(" ", 1)[1]) for title in titles[: len(sources)]) == pytest.approx(1, abs=0.05)
    assert page.locator("#maps figcaption").first.text_content() == name == "attention, seed 1"
    page.click("#next")  # it stays open
    assert page.locator("svg.heat").count() == 2


def test_a_page_of_attention_maps_draws_those_that_come_into_view(tmp_path: Path, open_page: Open) -> None:
    maps = AttentionPage("Attention of <b>runs/a</b>")
    pieces = {"source_pieces": ["▁der", "▁Hund", "</s>"], "target_pieces": ["▁the", "▁dog"]}
    weights = base64.b64encode(bytes([255, 0, 0, 51, 204, 0])).decode()
    for number, line in enumerate(HOSTILE + ["der Hund"] * (200 - len(HOSTILE)), 1):
        maps.add([{"number": number, "source": line, "translation": line, **pieces, "weights": weights}])
    (tmp_path / "at.html").write_text(maps.html(), encoding="utf-8")
    page = open_page(tmp_path / "at.html", wait_for="svg.heat")
    assert page.title() == page.locator("h1").text_content() == "Attention of <b>runs/a</b>"
    assert page.locator("#all figure").count() == 200
    assert [page.locator("figcaption .translation").nth(n).text_content() for n in range(len(HOSTILE))] == HOSTILE
    assert page.locator("figcaption b, figcaption i, figcaption img, figcaption script").count() == 0
    drawn = page.locator("svg.heat")
    assert 0 < drawn.count() < 50
    titles = drawn.first.locator("rect title").all_text_contents()
    assert titles[3:] == ["_dog ← _der: 0.20", "_dog ← _Hund: 0.80", "_dog ← </s>: 0.00"]
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    page.locator("#all figure").last.locator("svg.heat").wait_for()
    assert drawn.count() < 200
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert drawn.count() == 200
    light = page.locator("#theme").text_content()
    page.click("#theme")
    assert page.locator("#theme").text_content() != light


def test_the_theme_is_switched_and_remembered(report: Path, open_page: Open) -> None:
    page = open_page(report, color_scheme="light")
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    assert page.locator("#theme").text_content() == "Dark theme"
    page.click("#theme")
    dark = page.evaluate(background)
    assert dark != light and page.locator("#theme").text_content() == "Light theme"
    page.reload()
    assert page.evaluate(background) == dark
    assert open_page(report, color_scheme="dark").evaluate(background) == dark


def test_text_of_models_is_shown_and_never_run(tmp_path: Path, open_page: Open) -> None:
    results = make_results(hostile=True)
    page = open_page(write_report(results, make_analysis(results), tmp_path))
    title = page.title()
    elements = page.evaluate("document.querySelectorAll('img, i, script').length")
    for line in HOSTILE:
        assert page.locator("#texts td").nth(2).text_content() == line
        page.keyboard.press("Tab")
        page.click("#next")
    page.click("#attention summary")
    assert page.title() == title == f"Comparison {results.name}"
    assert page.evaluate("document.querySelectorAll('img, i, script').length") == elements
    assert page.locator("#a option").first.text_content() == results.systems[0].name


def test_right_to_left_text_runs_from_the_right(tmp_path: Path, open_page: Open) -> None:
    results = make_results(hostile=True)
    page = open_page(write_report(results, make_analysis(results), tmp_path))
    page.fill("#filter", "הכלב")
    cells = page.locator("#texts td")
    directions = [cells.nth(i).evaluate("cell => getComputedStyle(cell).direction") for i in range(3)]
    assert directions == ["ltr", "ltr", "rtl"]


@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("which", ["report", "large_report"])
def test_no_text_lies_upon_another(request: pytest.FixtureRequest, open_page: Open, width: int, which: str) -> None:
    page = open_page(request.getfixturevalue(which), width=width)
    page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    page.wait_for_timeout(200)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    pieces = page.evaluate(PIECES)
    assert len(pieces) > 500
    assert all(right <= width for *_, right, _ in pieces)
    assert overlaps(pieces) == []


def overlaps(pieces: list[Any]) -> list[tuple[str, str]]:
    """The texts of which one lies upon the other."""
    pieces = sorted(pieces, key=lambda piece: piece[3])
    found = []
    for index, (number, text, x, _, right, bottom) in enumerate(pieces):
        for other_number, other, other_x, other_y, other_right, _ in pieces[index + 1 :]:
            if other_y >= bottom - 3:  # lines may touch
                break
            if number != other_number and min(right, other_right) - max(x, other_x) > 1:
                found.append((text, other))
    return found


def test_the_page_reads_without_script(report: Path, open_page: Open) -> None:
    page = open_page(report, java_script_enabled=False)
    assert page.get_by_text("The sentence browser needs JavaScript").is_visible()
    assert not page.locator("#controls").is_visible() and not page.locator("#theme").is_visible()
    assert page.locator("caption").first.is_visible()


def test_print_is_light_and_without_controls(report: Path, open_page: Open) -> None:
    page = open_page(report, color_scheme="dark")
    page.click("#theme")
    page.click("#theme")  # dark by choice
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    for name in ("#theme", "#controls", "#list", "nav"):
        assert not page.locator(name).is_visible()
    assert page.locator("#texts").is_visible() and page.locator("caption").first.is_visible()


def test_five_thousand_sentences_of_nine_systems_stay_responsive(large_report: Path, open_page: Open) -> None:
    page = open_page(large_report)
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert paint < 2000
    durations = {}
    for name, action in {
        "sort": "order.value = order.value === 'a' ? 'b' : 'a'; order.dispatchEvent(new Event('change'))",
        "filter": "filter.value = filter.value ? '' : 'river'; filter.dispatchEvent(new Event('input'))",
        "scroll": "list.scrollTop = 90000 * Math.random(); list.dispatchEvent(new Event('scroll'))",
    }.items():
        durations[name] = page.evaluate(
            f"""() => {{
              const [order, filter, list] = ["order", "filter", "list"].map((id) => document.getElementById(id));
              return Math.max(...Array.from({{ length: 4 }}, () => {{
                const start = performance.now();
                {action};
                document.body.getBoundingClientRect(); // and the layout of it
                return performance.now() - start;
              }}));
            }}"""
        )
    print(f"first paint {paint:.0f} ms", {name: f"{duration:.1f} ms" for name, duration in durations.items()})
    assert max(durations.values()) < 300
    assert page.locator(".sentence").count() < 60
    assert page.locator("#count").text_content() == "5,000 sentences"


@pytest.mark.parametrize("width", [390, 1400])
def test_named_maps_of_one_sentence_stand_below_it(tmp_path: Path, open_page: Open, width: int) -> None:
    section = Section("measures", "<i>Measures</i>", [Text("A text.")])
    maps = AttentionPage("Attention", [section], of="map")
    words = [f"word{number}" for number in range(12)]
    weights = base64.b64encode(bytes(144)).decode()
    for number in (1, 7):
        one = {"number": number, "source": "<b>der</b> Hund", "translation": "the dog", "weights": weights}
        names = [f"<b>layer</b> 1, head {head}" for head in (1, 2, 3)]
        maps.add([one | {"name": name, "source_pieces": words, "target_pieces": words} for name in names])
    (tmp_path / "at.html").write_text(maps.html(), encoding="utf-8")
    page = open_page(tmp_path / "at.html", width=width, wait_for="svg.heat")
    assert page.locator(".lead").text_content() == "6 maps."
    assert page.locator("#measures h2").text_content() == "<i>Measures</i>"
    assert page.locator(".pair").count() == 2 and page.locator(".group").count() == 2
    assert page.locator(".group").first.locator("figcaption").all_text_contents() == names
    assert page.locator("svg.heat").first.get_attribute("aria-label").startswith(f"Attention of sentence 1, {names[0]}")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    tops = page.evaluate("[...document.querySelectorAll('.group figure')].slice(0, 2).map((f) => f.offsetTop)")
    assert (tops[0] == tops[1]) == (width == 1400)


@pytest.mark.parametrize("width", [390, 1400])
def test_a_sheet_of_figures_fits_the_window(tmp_path: Path, open_page: Open, width: int) -> None:
    marks = [Mark(x, 10.0**-x, 10.0 ** (-x - 1), 2 * 10.0**-x, "<i>") for x in range(30)]
    series = [Series(f"a system called {name}", index, marks) for index, name in enumerate(("<b>", "lstm"))]
    figures = [Figure(chart("<b>", "steps", "norm", series, log_y=True), f"Figure {number}") for number in range(3)]
    table = Table("Ratios", ["Model", *["ratio"] * 9], "l" + "r" * 9, [["<b>lstm</b>", *["0.123"] * 9]])
    section = Section("states", "What reaches the <b>states</b>", [Text("A text."), Row(figures), table])
    (tmp_path / "sheet.html").write_text(sheet("Gradients of <b>a</b>", "On 3 pairs.", [section]), encoding="utf-8")
    page = open_page(tmp_path / "sheet.html", width=width, wait_for="svg")
    assert page.title() == page.locator("h1").text_content() == "Gradients of <b>a</b>"
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("figure svg").count() == 3 and page.locator("b, i").count() == 0
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light


@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("steepness", [0.02, 9, 4000])
def test_labels_of_heat_maps_do_not_lie_upon_another(
    tmp_path: Path, open_page: Open, width: int, steepness: float
) -> None:
    places = [round(-1 + i / 10, 12) for i in range(21)]
    values = [[1.3 + steepness * (x * x + y * y) for x in places] for y in places]
    names = ("α", "β", "nats a token")
    svg = heat_map("A bowl", names, places, values, low=1.3, high=1.3 + 2 * steepness, heavy=2.3)
    section = Section("plane", "The plane", [Row([Figure(svg, "lstm"), Figure(svg, "transformer")])])
    (tmp_path / "sheet.html").write_text(sheet("Loss landscape", "On 3 pairs.", [section]), encoding="utf-8")
    page = open_page(tmp_path / "sheet.html", width=width, wait_for="svg")
    pieces = page.evaluate(PIECES)
    assert all(right <= width for *_, right, _ in pieces)
    assert overlaps(pieces) == []
