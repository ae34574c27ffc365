"""The whole analysis of a small comparison, and what it warns of."""

import dataclasses
import json
import random
from pathlib import Path
from typing import Any, Literal

import pytest

from seq2seq.evaluation.analysis import (
    Analysis,
    Bucket,
    Cost,
    Equality,
    Faults,
    Pair,
    SystemScore,
    analyse,
    contradictions,
)
from seq2seq.evaluation.metrics import METRICS, score
from seq2seq.evaluation.results import Attention, Output, Point, Results, Run, System
from seq2seq.evaluation.results import TestSet as Texts  # pytest would take a name that begins with Test for a test

NOUNS = ["Hund", "Katze", "Maus", "Kuh", "Igel", "Esel"]
DAMAGE = {"lstm": 0.5, "attention": 0.2}
VALID_BLEU = {1: 30.0, 2: 29.0, 3: 31.0}  # so that seed 1 is the median


def sentences(count: int, seed: int) -> list[str]:
    generator = random.Random(seed)
    return [" sieht ".join(generator.choices(NOUNS, k=generator.randint(2, 9))) + " ." for _ in range(count)]


def damaged(lines: list[str], share: float, seed: int) -> list[str]:
    generator = random.Random(seed)
    return [" ".join(w if generator.random() > share else "Öl" for w in line.split()) for line in lines]


@pytest.fixture(scope="module")
def results() -> Results:
    """Two systems with three seeds each on two test sets, in a file's order, not by seed."""
    texts = {name: sentences(count, seed=count) for name, count in (("flickr", 66), ("news", 60))}
    runs = [
        Run(
            system,
            seed,
            {
                name: Output(damaged(lines, share + seed / 50, seed), 2.0, {"beam_width": 5})
                for name, lines in texts.items()
            },
            training={"parameters": 10, "updates": 100, "valid_bleu": VALID_BLEU[seed]},
        )
        for seed in (3, 1, 2)
        for system, share in DAMAGE.items()
    ]
    systems = [System(name, name) for name in DAMAGE]
    tests = [Texts(name, lines, lines, [row % 30 for row in range(len(lines))]) for name, lines in texts.items()]
    return Results("small", systems, tests, runs, {"updates": 100.0})


@pytest.fixture(scope="module")
def analysis(results: Results) -> Analysis:
    return analyse(results)


def test_every_run_is_scored_as_the_score_command_does(results: Results, analysis: Analysis) -> None:
    assert len(analysis.scores) == len(results.test_sets) * len(METRICS) * len(results.systems)
    for found in analysis.scores:
        (test,) = [test for test in results.test_sets if test.name == found.test_set]
        expected = []
        for run in results.runs_of(found.system):
            (one,) = score(run.outputs[test.name].hypotheses, test.references, metrics=[found.metric])
            expected.append(one.value)
            assert analysis.signatures[found.metric] == one.signature
        assert found.values == expected
        assert found.mean == pytest.approx(sum(expected) / 3)
        assert found.representative == expected[0]  # seed 1
        assert found.low < found.representative < found.high


def test_the_run_with_the_median_validation_bleu_stands_for_the_system(results: Results, analysis: Analysis) -> None:
    assert analysis.representative == {"lstm": 1, "attention": 1}
    for pair in analysis.pairs:
        scores = {s.system: s for s in analysis.scores if (s.test_set, s.metric) == (pair.test_set, pair.metric)}
        assert pair.difference == scores["lstm"].values[0] - scores["attention"].values[0]
        assert pair.seeds_difference == scores["lstm"].mean - scores["attention"].mean


def test_the_clearly_better_system_is_found_by_every_metric_on_both_test_sets(analysis: Analysis) -> None:
    assert [(pair.test_set, pair.metric) for pair in analysis.pairs] == [
        (test, metric) for test in ("flickr", "news") for metric in METRICS
    ]
    for pair in analysis.pairs:
        assert (pair.a, pair.b, pair.better) == ("lstm", "attention", "b")
        assert pair.p_seeds is not None
        assert pair.p_seeds < 0.05


def test_each_kind_of_sentences_is_scored_apart(results: Results, analysis: Analysis) -> None:
    for test in results.test_sets:
        for system in DAMAGE:
            of_system = [b for b in analysis.buckets if (b.test_set, b.system) == (test.name, system)]
            for by in ("source length", "rarest word"):
                assert sum(b.num_sentences for b in of_system if b.by == by) == len(test.references)
    (bucket,) = [b for b in analysis.buckets if (b.test_set, b.system, b.label) == ("news", "lstm", "seen 10+ times")]
    test = results.test_sets[1]
    rows = [row for row in range(60) if row % 30 >= 10]
    output = results.runs_of("lstm")[0].outputs["news"].hypotheses
    expected = score([output[row] for row in rows], [test.references[row] for row in rows], metrics=["BLEU"])
    assert (bucket.by, bucket.num_sentences, bucket.bleu) == ("rarest word", 40, expected[0].value)
    assert bucket.low < bucket.bleu < bucket.high


def test_faults_and_costs_are_given_for_every_system(results: Results, analysis: Analysis) -> None:
    assert [(f.test_set, f.system) for f in analysis.faults] == [(t, s) for t in ("flickr", "news") for s in DAMAGE]
    assert all(found.length_ratio == 1 and found.empty == 0 for found in analysis.faults)
    assert [(cost.system, cost.parameters) for cost in analysis.costs] == [("lstm", 10.0), ("attention", 10.0)]


def test_the_order_of_the_runs_does_not_matter(results: Results, analysis: Analysis) -> None:
    texts = [results.test_sets[0]]
    reordered = dataclasses.replace(results, runs=results.runs[::-1], test_sets=texts)
    assert analyse(reordered).scores == [found for found in analysis.scores if found.test_set == "flickr"]


def test_the_documentation_names_every_key() -> None:
    page = (Path(__file__).parents[1] / "docs" / "results-format.md").read_text(encoding="utf-8")
    kinds = [Results, System, Texts, Run, Output, Attention, Point]
    kinds += [Analysis, Equality, SystemScore, Cost, Pair, Bucket, Faults]
    for kind in kinds:
        for field in dataclasses.fields(kind):
            assert f"`{field.name}`" in page or f"`{field.name}[]`" in page, field.name


def test_an_analysis_can_be_written_as_json(analysis: Analysis) -> None:
    content = dataclasses.asdict(analysis)
    assert json.loads(json.dumps(content, allow_nan=False)) == content


def small(*runs: Run, **fields: Any) -> Results:
    """Runs on one test set of a few sentences."""
    systems = [System(name) for name in dict.fromkeys(run.system for run in runs)]
    return Results("small", systems, [Texts("test", [], ["der Hund sieht die Maus", "ja"])], [*runs], **fields)


def run(system: str, seed: int | None, hypothesis: str = "der Hund sieht die Maus", **fields: Any) -> Run:
    return Run(system, seed, {"test": Output([hypothesis, "ja"])}, **fields)


def test_the_cautions_come_first_what_was_unequal() -> None:
    unequal = small(
        run("lstm", 1, training={"updates": 100}, origin={"train_sha256": "aa"}),
        run("gru", 1, training={"updates": 90}, origin={"train_sha256": "bb"}),
        run("gru", 2, training={"updates": 100}, origin={"train_sha256": "bb"}),
        budget={"updates": 100.0},
    )
    assert analyse(unequal).cautions == [
        "Unequal training data: lstm: sha256 aa; gru: sha256 bb.",
        "Unequal budget: 100 updates for each; gru, seed 1, spent 90.",
        "Too few seeds (lstm 1, gru 2): with fewer than 3 nothing is known of the recipe, only of these models.",
        "Few sentences (test 2): with fewer than 500 only large differences can be told from chance.",
    ]


def test_foreign_systems_are_compared_by_their_translations_alone() -> None:
    found = analyse(small(run("google", None), run("deepl", None, "der Hund sieht")))
    assert found.representative == {"google": None, "deepl": None}
    assert [(s.metric, s.system, round(s.mean)) for s in found.scores if s.metric == "TER"] == [
        ("TER", "google", 0),
        ("TER", "deepl", 33),
    ]
    assert found.buckets == []
    assert found.cautions == [
        "Few sentences (test 2): with fewer than 500 only large differences can be told from chance.",
        "Nothing is known of how google, deepl came to be: data, budget, size and search may be unequal.",
    ]


def test_a_system_against_itself_is_not_better() -> None:
    for pair in analyse(small(run("one", None, "der Hund"), run("two", None, "der Hund"))).pairs:
        assert (pair.difference, pair.p_bootstrap, pair.p_randomisation, pair.better) == (0, 1, 1, None)


@pytest.mark.parametrize(
    ("bleus", "representative"),
    [({1: 5.0}, 1), ({1: 9.0, 2: 8.0}, 2), ({4: 1.0, 2: 3.0, 3: 2.0}, 3), ({1: 2.0, 2: 1.0, 3: 4.0, 4: 3.0}, 1)],
)
@pytest.mark.parametrize("in_curve", [False, True])
def test_the_representative_is_the_median_or_the_lower_of_two(
    bleus: dict[int, float], representative: int, in_curve: bool
) -> None:
    def trained(seed: int, bleu: float) -> Run:
        if in_curve:  # with another figure to choose the best weights by, the best validation counts
            return run(
                "lstm", seed, training={"valid_loss": 1.0}, curve=[Point(1, 1, 1, b, 1) for b in (bleu, bleu / 2)]
            )
        return run("lstm", seed, training={"valid_bleu": bleu})

    results = small(*[trained(seed, bleu) for seed, bleu in bleus.items()])
    assert analyse(results).representative == {"lstm": representative}


def test_a_test_set_without_sentences_is_refused() -> None:
    empty = Results("none", [System("a")], [Texts("test", [], [])], [Run("a", 1, {"test": Output([])})])
    with pytest.raises(ValueError, match="^test set test has no sentences; leave it out$"):
        analyse(empty)


def pair(metric: str, seeds_difference: float, better: Literal["a", "b"] | None = None) -> Pair:
    return Pair(
        test_set="test",
        metric=metric,
        a="lstm",
        b="gru",
        difference=seeds_difference,
        p_bootstrap=0.1,
        p_bootstrap_holm=0.1,
        p_randomisation=0.1,
        p_randomisation_holm=0.1,
        human_agreement=None,
        seeds_difference=seeds_difference,
        seeds_low=None,
        seeds_high=None,
        p_seeds=None,
        better=better,
        better_recipe=None,
    )


def test_metrics_that_name_different_winners_are_reported() -> None:
    assert contradictions([pair("BLEU", 1.0, "a"), pair("chrF", 0.2), pair("TER", 0.3)]) == [
        "The metrics contradict each other on test: "
        "lstm is better by BLEU and chrF (not significantly), gru is better by TER (not significantly)."
    ]
    significant = dataclasses.replace(pair("BLEU", -0.1), better="a")  # what is significant counts more than the means
    assert contradictions([significant, pair("chrF", 0.1)]) == []
    assert len(contradictions([significant, pair("chrF", -0.1)])) == 1
    assert contradictions([pair("BLEU", -0.1), pair("chrF", 0.1), pair("TER", 0.0)]) == [
        "The metrics contradict each other on test: "
        "gru is better by BLEU (not significantly), lstm is better by chrF (not significantly)."
    ]


def test_metrics_that_agree_are_not_reported() -> None:
    assert contradictions([pair("BLEU", 1.0, "a"), pair("chrF", 0.2), pair("TER", -0.3)]) == []
    assert contradictions([pair("BLEU", 0.0), pair("chrF", 0.2), pair("TER", 0.0)]) == []
    assert contradictions([]) == []
