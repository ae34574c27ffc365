"""The report as files: a page of HTML that needs nothing else, the same as Markdown, and the analysis as JSON."""

import base64
import dataclasses
import hashlib
import html
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from string import Template

from seq2seq import __version__
from seq2seq.atomic import write_whole
from seq2seq.evaluation.analysis import Analysis
from seq2seq.evaluation.results import Results
from seq2seq.report import browser
from seq2seq.report.blocks import Section, escape_markdown, join_markdown
from seq2seq.report.sections import findings, has_several_seeds, provenance
from seq2seq.report.tables import amount, name_of

BUDGETS = {
    "minutes": "{} minutes of training each",
    "updates": "{} updates each",
    "target_tokens": "{} target tokens of training each",
    "flops": "{} FLOPs of training each",
}


def write_report(results: Results, analysis: Analysis, folder: Path) -> Path:
    """Write report.html, report.md and report.json, each whole or not at all.

    Args:
        results: the data of the comparison.
        analysis: made from the same results.
        folder: where to; made if it is not there.

    Returns:
        The path of report.html.
    """
    before, after = findings(results, analysis), provenance(results, analysis)
    texts = {
        "report.json": as_json(results, analysis),
        "report.md": as_markdown(results, [*before, *after]),
        "report.html": as_html(results, analysis, before, after),  # last: where it is, the others are
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_whole(folder / name, text)
    return folder / "report.html"


def as_json(results: Results, analysis: Analysis) -> str:
    """The analysis with the names of what it speaks of; docs/results-format.md describes it."""
    content = {
        "name": results.name,
        "systems": [system.name for system in results.systems],
        "test_sets": [test.name for test in results.test_sets],
        **dataclasses.asdict(analysis),
    }
    return json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def as_markdown(results: Results, sections: Sequence[Section]) -> str:
    """The report without figures and sentences."""
    title, text = escape_markdown(f"Comparison {results.name}"), escape_markdown(lead(results))
    return f"# {title}\n\n{text}\n\n{join_markdown(sections)}"


def as_html(results: Results, analysis: Analysis, before: Sequence[Section], after: Sequence[Section]) -> str:
    """The page; the sentence browser stands between the two groups of sections."""
    style, script, template = part("page.css"), part("elements.js") + part("page.js"), part("page.html")
    runs = "; ".join(map(name_of, browser.shown_runs(results, analysis)))
    shown = f" Shown of each system is one run, the median by validation BLEU: {runs}."
    contents = [(section.name, section.title) for section in before]
    contents += [("sentences", "Sentences"), *((section.name, section.title) for section in after)]
    attention = [
        f'<script type="application/json" id="attention-{index}">{browser.json_in_html(maps)}</script>'
        for index, maps in enumerate(browser.attention_maps(results, analysis))
        if maps
    ]
    return Template(template).substitute(
        title=html.escape(f"Comparison {results.name}"),
        lead=html.escape(lead(results)),
        # Nothing but these two may act on the page, whatever markup a translation contains.
        style_hash=hash_of(style),
        script_hash=hash_of(script),
        style=style,
        script=script,
        contents="".join(f'<li><a href="#{name}">{html.escape(title)}</a></li>\n' for name, title in contents),
        before="".join(section.html() for section in before),
        shown=html.escape(shown) if has_several_seeds(results) else "",
        after="".join(section.html() for section in after),
        sentences=browser.json_in_html(browser.sentences(results, analysis)),
        attention="\n".join(attention),
        version=html.escape(__version__),
    )


def lead(results: Results) -> str:
    """What was compared, in a sentence or two."""
    systems, runs = len(results.systems), len(results.runs)
    counts = " and ".join(f"{test.name} ({len(test.references):,} sentences)" for test in results.test_sets)
    text = f"{systems} {'system' if systems == 1 else 'systems'}, {runs} {'run' if runs == 1 else 'runs'}, on {counts}."
    limits = [
        BUDGETS[kind].format(f"{value:g}" if value < 1000 else amount(value)) for kind, value in results.budget.items()
    ]
    if results.parameters is not None:
        limits.append(f"{amount(results.parameters)} parameters each")
    return text + (f" Budget: {', '.join(limits)}." if limits else "")


def part(name: str) -> str:
    """A file that lies beside this one."""
    return resources.files("seq2seq.report").joinpath(name).read_text(encoding="utf-8")


def hash_of(text: str) -> str:
    """As a Content-Security-Policy names the text of a <script> or <style> element."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
