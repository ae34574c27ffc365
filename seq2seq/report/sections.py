"""What stands in a report and in which order, apart from the sentence browser."""

import json
from collections.abc import Sequence

from seq2seq.evaluation.analysis import Analysis
from seq2seq.evaluation.results import Results
from seq2seq.report import figures, tables
from seq2seq.report.blocks import Block, Bullets, Code, Details, Row, Section, Text

BUCKETS = ("source length", "rarest word")
PAIRS = """\
Two statements that are easily confused. On this test set: would the same difference come about if the sentences were \
others? sacreBLEU's paired bootstrap and approximate randomisation on one run of each system; a system is better where \
both p-values, corrected for the number of pairs (Holm), are below 0.05. Of this recipe: would it come about if the \
training were repeated with other seeds? Welch's test on the runs, not corrected, with the 95 % interval in brackets. \
Humans agree: how often judges prefer the system that the metric prefers by so much (Kocmi et al. 2024)."""
FAULTS = """\
Length ratio: words of the translations to words of the references. The other columns are shares of the sentences. \
Repetition: one to four words stand twice in a row and do not in the reference. Over- and under-translation: more than \
1.3 times, less than 0.7 times the reference's words, and at least 2 words more or less. Empty: no translation."""

_OTHER_SEEDS = Text("Thin lines without labels: the other seeds.", "legend")


def findings(results: Results, analysis: Analysis) -> list[Section]:
    """What the comparison found, most important first; no section stands there empty."""
    names = [test.name for test in results.test_sets]
    unequal = [e.what for e in analysis.equalities if e.demanded and e.equal is False]
    failed = Text(f"Not equal, although this comparison demands it: {', '.join(unequal)}.", "bad")
    curves = figures.learning_curves(results, analysis)
    several_seeds = has_several_seeds(results)
    return _without_gaps(
        (
            "cautions",
            "Read this first",
            [failed if unequal else None, Bullets(analysis.cautions) if analysis.cautions else None],
        ),
        (
            "scores",
            "Scores and costs",
            [
                Row([tables.scores(results, analysis, name) for name in names]),
                Text(
                    ("Means over the runs ± their standard deviation. " if several_seeds else "")
                    + "In brackets: the 95 % interval under resampling of the sentences (bootstrap)"
                    + (", of the run that stands for its system" if several_seeds else "")
                    + ". ↑ higher is better, ↓ lower is better."
                ),
                tables.costs(analysis),
            ],
        ),
        ("pairs", "Who beats whom", _pairs(results, analysis)),
        ("equality", "What was equal", [tables.equalities(analysis) if analysis.equalities else None]),
        (
            "curves",
            "Learning curves",
            [_row(curves), _OTHER_SEEDS if curves and several_seeds else None],
        ),
        ("trade-off", "Quality against cost", _trade_offs(results, analysis)),
        (
            "kinds",
            "Long sentences, rare words",
            [
                *(_row([figures.buckets(results, analysis, name, by) for by in BUCKETS]) for name in names),
                _details(
                    "These figures as tables",
                    [tables.buckets(results, analysis, name, by) for name in names for by in BUCKETS],
                ),
            ],
        ),
        ("faults", "Faults", [Row([tables.faults(analysis, name) for name in names]), Text(FAULTS)]),
    )


def provenance(results: Results, analysis: Analysis) -> list[Section]:
    """How the comparison can be checked and repeated."""
    commands = ["\n".join([f"# {tables.name_of(run)}", *run.commands]) for run in results.runs if run.commands]
    # JSON is YAML, too: `seq2seq fit --config` takes it as it stands.
    configs = [
        _details(
            f"Configuration of {tables.name_of(run)}", [Code(json.dumps(run.config, indent=2, ensure_ascii=False))]
        )
        for run in results.runs
        if run.config
    ]
    return _without_gaps(
        (
            "runs",
            "Runs, data and metrics",
            [tables.runs(results, analysis), tables.test_sets(results), tables.signatures(analysis)],
        ),
        ("commands", "Commands and configurations", [Code("\n\n".join(commands)) if commands else None, *configs]),
        ("origin", "Machines, versions and hashes", [tables.origins(results)]),
    )


def has_several_seeds(results: Results) -> bool:
    """Whether one run stands for others in some places of the report."""
    return any(len(results.runs_of(system.name)) > 1 for system in results.systems)


def _pairs(results: Results, analysis: Analysis) -> list[Block | None]:
    if not analysis.pairs:
        return []
    first, *others = analysis.signatures
    names = [test.name for test in results.test_sets]
    # Two systems are one pair, which needs no overview.
    overviews = [tables.matrix(results, analysis, name, first) for name in names if len(results.systems) > 2]
    blocks: list[Block | None] = [_row(overviews)] if len(results.systems) < 6 else [*overviews]
    blocks.append(Text(PAIRS))
    for name in names:
        blocks.append(tables.pairs(analysis, name, first))
        blocks.append(_details(f"{name}: {' and '.join(others)}", [tables.pairs(analysis, name, m) for m in others]))
    return blocks


def _trade_offs(results: Results, analysis: Analysis) -> list[Block | None]:
    rows = [_row(figures.pareto(results, analysis, test.name)) for test in results.test_sets]
    if not any(rows):
        return []
    explanation = Text(
        "Best is top left. Points are means over the runs, bars the 95 % interval on the sentences. Dashed: the Pareto "
        "front, the systems that no other beats in BLEU at a cost at most 2 % higher.",
        "legend",
    )
    return [*rows, explanation]


def _row(blocks: Sequence[Block | None]) -> Row | None:
    present = [block for block in blocks if block is not None]
    return Row(present) if present else None


def _details(summary: str, blocks: Sequence[Block | None]) -> Details | None:
    present = [block for block in blocks if block is not None]
    return Details(summary, present) if present else None


def _without_gaps(*found: tuple[str, str, Sequence[Block | None]]) -> list[Section]:
    """The sections that have something in them."""
    sections = []
    for name, title, blocks in found:
        present = [block for block in blocks if block is not None]
        if present:
            sections.append(Section(name, title, present))
    return sections
