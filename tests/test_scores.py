"""Who is better than whom, and what is said of it."""

import dataclasses
import random
import statistics

import pytest

from seq2seq.evaluation.metrics import METRICS
from seq2seq.evaluation.scores import Pair, SystemScore, pairs_of, preferred, system_score
from seq2seq.evaluation.significance import Scorer, holm, welch

TEXT = "the a dog cat horse sees likes paints big small red house tree river old near under and two boys"
WORDS = TEXT.split()


@pytest.fixture(scope="module")
def references() -> list[str]:
    generator = random.Random(5)
    return [" ".join(generator.choices(WORDS, k=generator.randint(5, 15))) for _ in range(60)]


def damaged(references: list[str], share: float, seed: int) -> list[str]:
    generator = random.Random(seed)
    lines = [line.split() for line in references]
    return [
        " ".join(word if generator.random() > share else generator.choice(WORDS) for word in line) for line in lines
    ]


def compared(metric: str, references: list[str], systems: dict[str, list[list[str]]]) -> list[Pair]:
    """The pairs of systems given by their runs; the first run stands for each."""
    scorer = Scorer(metric, references)
    stats = {name: [scorer.statistics(run) for run in runs] for name, runs in systems.items()}
    scores = [
        system_score("test", name, metric, scorer=scorer, runs=runs, representative=runs[0])
        for name, runs in stats.items()
    ]
    return pairs_of(scores, scorer=scorer, representatives={name: runs[0] for name, runs in stats.items()})


def test_a_system_has_the_mean_and_deviation_of_its_runs_and_the_interval_of_one(references: list[str]) -> None:
    scorer = Scorer("BLEU", references)
    runs = [scorer.statistics(damaged(references, 0.3, seed)) for seed in (1, 2, 3)]
    found = system_score("test", "mine", "BLEU", scorer=scorer, runs=runs, representative=runs[1])
    values = [scorer.score(run) for run in runs]
    assert found == SystemScore(
        "test",
        "mine",
        "BLEU",
        values,
        statistics.fmean(values),
        statistics.stdev(values),
        values[1],
        *scorer.interval(runs[1]),
    )
    assert found.low < found.representative < found.high
    assert system_score("test", "mine", "BLEU", scorer=scorer, runs=runs[:1], representative=runs[0]).deviation is None


@pytest.mark.parametrize("metric", METRICS)
def test_each_two_systems_are_tested_and_corrected_for_the_number_of_pairs(metric: str, references: list[str]) -> None:
    shares = {"good": (0.2, 0.22), "fair": (0.25, 0.27), "bad": (0.6, 0.62)}
    runs = {name: [damaged(references, share, seed) for seed, share in enumerate(two)] for name, two in shares.items()}
    pairs = compared(metric, references, runs)
    assert [(pair.a, pair.b) for pair in pairs] == [("good", "fair"), ("good", "bad"), ("fair", "bad")]
    assert [pair.p_bootstrap_holm for pair in pairs] == holm([pair.p_bootstrap for pair in pairs])
    assert [pair.p_randomisation_holm for pair in pairs] == holm([pair.p_randomisation for pair in pairs])
    assert [pair.better for pair in pairs][1:] == ["a", "a"]
    scorer = Scorer(metric, references)
    scores = {name: [scorer.score(scorer.statistics(run)) for run in two] for name, two in runs.items()}
    for pair in pairs:
        assert pair.difference == scores[pair.a][0] - scores[pair.b][0]
        means = [statistics.mean(scores[name]) for name in (pair.a, pair.b)]
        assert pair.seeds_difference == pytest.approx(means[0] - means[1])
        assert (pair.seeds_low, pair.seeds_high, pair.p_seeds) == welch(scores[pair.a], scores[pair.b])
        assert (pair.human_agreement is None) == (metric == "TER")


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("num_changed", [0, 1, 2, 5])
def test_a_few_sentences_make_nobody_better(metric: str, num_changed: int, references: list[str]) -> None:
    lines = damaged(references, 0.6, 1)
    (pair,) = compared(metric, references, {"one": [lines], "two": [references[:num_changed] + lines[num_changed:]]})
    assert (pair.difference == 0) == (num_changed == 0)
    assert pair.better is None
    assert (pair.seeds_low, pair.seeds_high, pair.p_seeds) == (None, None, None)


def test_one_test_alone_makes_nobody_better(references: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    runs = {"good": [damaged(references, 0.2, 1)], "bad": [damaged(references, 0.6, 1)]}
    for p_values, better in (((0.01, 0.01), "a"), ((0.01, 0.2), None), ((0.2, 0.01), None), ((0.05, 0.01), None)):
        monkeypatch.setattr(Scorer, "paired_tests", lambda *_, found=p_values: found)
        (pair,) = compared("BLEU", references, runs)
        assert pair.better == better


def test_the_correction_takes_significance_away(references: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    runs = {str(share): [damaged(references, share, 1)] for share in (0.1, 0.3, 0.5)}
    monkeypatch.setattr(Scorer, "paired_tests", lambda *_: (0.02, 0.001))
    pairs = compared("BLEU", references, runs)
    assert [pair.p_bootstrap_holm for pair in pairs] == [0.06] * 3
    assert [pair.better for pair in pairs] == [None] * 3


@pytest.mark.parametrize(("p", "better"), [(0.0, "a"), (0.049, "a"), (0.05, None), (None, None)])
def test_the_recipe_is_better_if_its_seeds_say_so(
    references: list[str], monkeypatch: pytest.MonkeyPatch, p: float | None, better: str | None
) -> None:
    runs = {"good": [damaged(references, 0.2, 1)], "bad": [damaged(references, 0.6, 1)]}
    monkeypatch.setattr("seq2seq.evaluation.scores.welch", lambda *_: None if p is None else (0.5, 1.5, p))
    for metric in METRICS:
        (pair,) = compared(metric, references, runs)
        assert pair.better_recipe == better


def test_lower_ter_is_better() -> None:
    assert [preferred("BLEU", difference) for difference in (1.0, -1.0, 0.0)] == ["a", "b", None]
    assert [preferred("chrF", difference) for difference in (1.0, -1.0, 0.0)] == ["a", "b", None]
    assert [preferred("TER", difference) for difference in (1.0, -1.0, 0.0)] == ["b", "a", None]


def test_one_system_alone_has_no_pairs(references: list[str]) -> None:
    assert compared("BLEU", references, {"alone": [references]}) == []


def test_pairs_are_plain_data(references: list[str]) -> None:
    (pair,) = compared("chrF", references[:8], {"one": [references[:8]], "two": [damaged(references[:8], 0.5, 1)]})
    for value in dataclasses.asdict(pair).values():
        assert value is None or type(value) in (str, float)  # and not numpy's, which JSON refuses
