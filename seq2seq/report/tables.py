"""The tables of a report, each made from the analysis; numbers as people read them."""

import json
from collections.abc import Callable
from typing import Any

from seq2seq.evaluation.analysis import Analysis, Pair, SystemScore
from seq2seq.evaluation.results import Results, Run, sha256_of_lines
from seq2seq.report.blocks import Table

UNKNOWN = "–"
BETTER = {"BLEU": "↑", "chrF": "↑", "TER": "↓"}


def scores(results: Results, analysis: Analysis, test_set: str) -> Table:
    """Each system's scores on one test set: mean and deviation over the seeds, interval on the sentences."""
    found = {(s.system, s.metric): s for s in analysis.scores if s.test_set == test_set}
    metrics = [metric for metric in analysis.signatures if any(m == metric for _, m in found)]
    rows = [
        [
            _counted(system.name, len(results.runs_of(system.name)), "run"),
            *(_score(found[system.name, m]) for m in metrics),
        ]
        for system in results.systems
    ]
    headings = ["System", *(f"{metric} {BETTER[metric]}" for metric in metrics)]
    num_sentences = next(len(test.references) for test in results.test_sets if test.name == test_set)
    return Table(f"{test_set}: scores on {num_sentences:,} sentences", headings, "l" + "r" * len(metrics), rows)


def costs(analysis: Analysis) -> Table | None:
    """What each system costs, without the columns that nobody measured; None if nothing was measured."""
    columns: list[tuple[str, list[str]]] = [
        ("Parameters", [_known(c.parameters, amount) for c in analysis.costs]),
        ("Training tokens", [_known(c.target_tokens, amount) for c in analysis.costs]),
        ("Updates", [_known(c.updates, amount) for c in analysis.costs]),
        ("Training, minutes", [_known(c.minutes, "{:.1f}".format) for c in analysis.costs]),
        ("with validation", [_known(c.minutes_total, "{:.1f}".format) for c in analysis.costs]),
        ("FLOPs", [_known(c.flops, amount) for c in analysis.costs]),
        ("Training, tokens/s", [_known(c.tokens_per_s, amount) for c in analysis.costs]),
        ("Peak memory", [_known(c.peak_memory_bytes, memory) for c in analysis.costs]),
        ("Decoding, sentences/s", [_known(c.sentences_per_s, "{:,.1f}".format) for c in analysis.costs]),
        ("Configs tried", [_known(c.configs_tried, str) for c in analysis.costs]),
    ]
    columns = [(heading, cells) for heading, cells in columns if set(cells) != {UNKNOWN}]
    if not columns:
        return None
    names = [cost.system for cost in analysis.costs]
    rows = list(zip(names, *(cells for _, cells in columns), strict=True))
    headings = ["System", *(heading for heading, _ in columns)]
    return Table("Costs, means over the runs", headings, "l" + "r" * len(columns), rows)


def equalities(analysis: Analysis) -> Table:
    """What was equal; what should have been and was not is red."""
    words = {True: "✓ equal", False: "✗ not equal", None: "? unknown"}
    rows = [[e.what + "\ndemanded" * e.demanded, words[e.equal], e.detail] for e in analysis.equalities]
    bad = frozenset(i for i, e in enumerate(analysis.equalities) if e.demanded and e.equal is False)
    return Table("Equality of the systems", ["What", "Equal", "How"], "lll", rows, bad)


def matrix(results: Results, analysis: Analysis, test_set: str, metric: str) -> Table:
    """Differences of all systems; marked where they are significant on this test set."""
    cells = {}
    for pair in analysis.pairs:
        if (pair.test_set, pair.metric) == (test_set, metric):
            marks = {"a": ("▲", "▼"), "b": ("▼", "▲"), None: ("=", "=")}[pair.better]
            cells[pair.a, pair.b] = f"{marks[0]} {signed(pair.difference)}"
            cells[pair.b, pair.a] = f"{marks[1]} {signed(-pair.difference)}"
    names = [system.name for system in results.systems]
    rows = [[row, *(cells.get((row, column), "") for column in names)] for row in names]
    caption = f"{test_set}: {metric} of the row minus {metric} of the column; ▲ better, ▼ worse, = undecided"
    return Table(caption, ["System", *names], "l" + "r" * len(names), rows)


def pairs(analysis: Analysis, test_set: str, metric: str) -> Table:
    """Both statements on each pair: on this test set, and of the recipe."""
    rows = []
    for pair in analysis.pairs:
        if (pair.test_set, pair.metric) != (test_set, metric):
            continue
        interval = ""
        if pair.seeds_low is not None and pair.seeds_high is not None:
            interval = f"\n[{signed(pair.seeds_low)}, {signed(pair.seeds_high)}]"
        rows.append(
            [
                f"{pair.a} – {pair.b}",
                {"a": pair.a, "b": pair.b, None: "undecided"}[pair.better],
                signed(pair.difference),
                p_value(pair.p_bootstrap_holm),
                p_value(pair.p_randomisation_holm),
                _known(pair.human_agreement, percent),
                recipe_verdict(pair),
                signed(pair.seeds_difference) + interval,
                _known(pair.p_seeds, p_value),
            ]
        )
    headings = [
        "Systems",
        "Better on this test set",
        f"{metric} difference",
        "p bootstrap",
        "p randomisation",
        "humans agree",
        "Better recipe",
        "difference of means",
        "p over seeds",
    ]
    return Table(f"{test_set}: {metric} {BETTER[metric]}, every pair of systems", headings, "llrrrrlrr", rows)


def recipe_verdict(pair: Pair) -> str:
    """Which recipe is better, as far as the seeds tell."""
    if pair.p_seeds is None:
        return "unknown\nneeds 2 runs of each"
    return {"a": pair.a, "b": pair.b, None: "undecided"}[pair.better_recipe]


def runs(results: Results, analysis: Analysis) -> Table:
    """Every run by itself."""
    known = [(test.name, metric) for test in results.test_sets for metric in list(analysis.signatures)[:1]]
    found = {(s.test_set, s.metric, s.system): s.values for s in analysis.scores}
    rows = []
    for system in results.systems:
        for index, run in enumerate(results.runs_of(system.name)):
            stands_for_all = len(results.runs_of(system.name)) > 1 and analysis.representative[system.name] == run.seed
            training = run.training
            rows.append(
                [
                    name_of(run) + (" ●" if stands_for_all else ""),
                    _known(training.get("updates"), amount),
                    _known(training.get("target_tokens"), amount),
                    _known(training.get("minutes_in_updates"), "{:.1f}".format),
                    _known(training.get("valid_bleu"), "{:.1f}".format),
                    *(f"{found[test, metric, system.name][index]:.2f}" for test, metric in known),
                ]
            )
    headings = [
        "Run",
        "Updates",
        "Tokens",
        "Minutes",
        "Validation BLEU",
        *(f"{test} {metric}" for test, metric in known),
    ]
    columns = [i for i in range(len(headings)) if any(row[i] != UNKNOWN for row in rows)]
    return Table(
        "Every run; ● stands for its system in tests and intervals on sentences",
        [headings[i] for i in columns],
        "l" + "r" * (len(columns) - 1),
        [[row[i] for i in columns] for row in rows],
    )


def buckets(results: Results, analysis: Analysis, test_set: str, by: str) -> Table | None:
    """BLEU of each system on the sentences of each kind, with 95 % intervals; None if the kinds are not known."""
    found = [b for b in analysis.buckets if (b.test_set, b.by) == (test_set, by)]
    if not found:
        return None
    cells = {(b.label, b.system): f"{b.bleu:.1f}\n[{b.low:.1f}, {b.high:.1f}]" for b in found}
    counts = {b.label: b.num_sentences for b in found}
    names = [system.name for system in results.systems]
    rows = [
        [_counted(label, count, "sentence"), *(cells.get((label, name), UNKNOWN) for name in names)]
        for label, count in counts.items()
    ]
    return Table(f"{test_set}: BLEU by {by}", [by.capitalize(), *names], "l" + "r" * len(names), rows)


def faults(analysis: Analysis, test_set: str) -> Table:
    """How the translations go wrong, over all runs."""
    found = [f for f in analysis.faults if f.test_set == test_set]
    rows = [
        [
            f.system,
            f"{f.length_ratio:.3f}",
            *(f"{share * 100:.1f} %" for share in (f.repetition, f.over_translation, f.under_translation, f.empty)),
        ]
        for f in found
    ]
    headings = ["System", "Length ratio", "Repetition", "Over-translation", "Under-translation", "Empty"]
    return Table(f"{test_set}: faults of the translations, all runs", headings, "lrrrrr", rows)


def test_sets(results: Results) -> Table:
    """The data that was scored on, with hashes as `sha256sum` gives them for the files."""
    rows = [
        [
            test.name,
            f"{len(test.references):,}",
            sha256_of_lines(test.sources) if test.sources else UNKNOWN,
            sha256_of_lines(test.references),
        ]
        for test in results.test_sets
    ]
    return Table("Test sets", ["Name", "Sentences", "SHA-256 of the source", "SHA-256 of the reference"], "lrll", rows)


def origins(results: Results) -> Table | None:
    """Hardware, versions and hashes; a value that all runs share stands once."""
    who: dict[tuple[str, str], list[Run]] = {}
    for run in results.runs:
        for key, value in run.origin.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            who.setdefault((key, text), []).append(run)
    trained = [run for run in results.runs if run.origin]
    rows = [
        [key, text, "all" if len(found) == len(trained) else ", ".join(map(name_of, found))]
        for (key, text), found in sorted(who.items(), key=lambda item: item[0][0])
    ]
    return Table("Hardware, versions and hashes", ["What", "Value", "Runs"], "lll", rows) if rows else None


def signatures(analysis: Analysis) -> Table:
    """How the scores were computed."""
    rows = [[metric, signature] for metric, signature in analysis.signatures.items()]
    return Table("Signatures of sacreBLEU", ["Metric", "Signature"], "ll", rows)


def headline_text(results: Results, analysis: Analysis) -> str:
    """Scores and costs for a terminal."""
    tables = [scores(results, analysis, test.name) for test in results.test_sets]
    cost = costs(analysis)
    return "\n".join(table.text() for table in ([*tables, cost] if cost else tables))


def name_of(run: Run) -> str:
    """Such as "lstm, seed 1"; a foreign system has no seed."""
    return run.system if run.seed is None else f"{run.system}, seed {run.seed}"


def amount(value: float) -> str:
    """A large number in three digits: "2,400", "61.2 k", "6.01 M"."""
    if abs(value) < 10_000:
        return f"{value:,.0f}"
    prefixes = iter("kMGTPEZY")
    while abs(value) >= 999.5:
        value, prefix = value / 1000, next(prefixes)
    return f"{value:#.3g}".rstrip(".") + f" {prefix}"


def memory(num_bytes: float) -> str:
    """Bytes as "820 MB" or "1.24 GB", in powers of 1000."""
    return f"{amount(num_bytes)}B"


def signed(value: float) -> str:
    """A difference, always with its sign."""
    return f"{value:+.2f}".replace("-", "−")


def p_value(p: float) -> str:
    """A probability as it is printed in papers."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def percent(share: float) -> str:
    """A share as "72 %"."""
    return f"{share * 100:.0f} %"


def _counted(name: str, count: int, of_what: str) -> str:
    return f"{name}\n{count:,} {of_what}" + "s" * (count != 1)


def _score(score: SystemScore) -> str:
    deviation = "" if score.deviation is None else f" ± {score.deviation:.1f}"
    return f"{score.mean:.1f}{deviation}\n[{score.low:.1f}, {score.high:.1f}]"


def _known(value: Any, form: Callable[[Any], str]) -> str:
    return UNKNOWN if value is None else form(value)
