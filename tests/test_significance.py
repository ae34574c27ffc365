"""Intervals and tests, against the `sacrebleu` command, and statistics against published tables."""

import json
import math
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from seq2seq.evaluation.metrics import METRICS, score
from seq2seq.evaluation.significance import (
    Scorer,
    holm,
    human_agreement,
    incomplete_beta,
    interval_of_mean,
    t_p_value,
    t_quantile,
    welch,
)

THEIR_NAMES = {"BLEU": "BLEU", "chrF": "chrF2", "TER": "TER"}


def damaged(references: list[str], share: float, seed: int) -> list[str]:
    """The references with this share of their words replaced or lost."""
    generator = random.Random(seed)
    vocabulary = " ".join(references).split()
    lines = []
    for line in references:
        words = [word if generator.random() > share else generator.choice(vocabulary) for word in line.split()]
        lines.append(" ".join(word for word in words if generator.random() > share / 4))
    return lines


@pytest.fixture(scope="module")
def references() -> list[str]:
    """Eighty sentences of 4 to 20 words."""
    generator = random.Random(1)
    text = "Der Hund die Katze läuft schläft nicht über straße , . 3,5 % und er sieht ein kleines Haus am Fluss"
    return [" ".join(generator.choices(text.split(), k=generator.randint(4, 20))) + "." for _ in range(80)]


@pytest.fixture(scope="module")
def systems(references: list[str]) -> dict[str, list[str]]:
    """Two that are hardly different and one that is worse, with an empty line."""
    found = {"a": damaged(references, 0.3, 2), "b": damaged(references, 0.27, 3), "worse": damaged(references, 0.6, 4)}
    found["b"][7] = ""
    return found


@pytest.fixture(scope="module")
def files(references: list[str], systems: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("systems")
    for name, lines in {"ref": references, **systems}.items():
        (folder / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return folder


def sacrebleu_command(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "sacrebleu", "ref", "-m", "bleu", "chrf", "ter", "-i", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder).stdout


def test_scores_and_signatures_are_those_of_the_score_command(
    references: list[str], systems: dict[str, list[str]]
) -> None:
    for expected in score(systems["a"], references):
        scorer = Scorer(expected.name, references)
        assert scorer.score(scorer.statistics(systems["a"])) == expected.value
        assert scorer.signature == expected.signature


def test_intervals_equal_the_sacrebleu_command(
    references: list[str], systems: dict[str, list[str]], files: Path
) -> None:
    printed = json.loads(sacrebleu_command(files, "b", "--confidence", "-w", "9"))
    for metric, expected in zip(METRICS, printed, strict=True):
        assert expected["name"] == THEIR_NAMES[metric]
        scorer = Scorer(metric, references)
        low, high = scorer.interval(scorer.statistics(systems["b"]))
        assert (low + high) / 2 == pytest.approx(expected["confidence_mean"], abs=1e-8)
        assert (high - low) / 2 == pytest.approx(expected["confidence_var"], abs=1e-8)
        assert high - low > 1


def test_paired_tests_equal_the_sacrebleu_command(
    references: list[str], systems: dict[str, list[str]], files: Path
) -> None:
    randomised = json.loads(sacrebleu_command(files, "a", "b", "worse", "--paired-ar"))
    # Its JSON of this test cannot be written for chrF (numbers in float32), so p comes rounded.
    table = sacrebleu_command(files, "a", "b", "worse", "--paired-bs", "-f", "text")
    bootstrapped = [[float(p) for p in re.findall(r"p = ([\d.]+)", row)] for row in table.split("\n") if "p = " in row]
    for metric, place in zip(METRICS, range(3), strict=True):
        scorer = Scorer(metric, references)
        stats = {name: scorer.statistics(lines) for name, lines in systems.items()}
        for row, other in enumerate(("b", "worse")):
            p_bootstrap, p_randomisation = scorer.paired_tests(stats["a"], stats[other])
            assert p_randomisation == randomised[row + 1][THEIR_NAMES[metric]]["p_value"]
            assert round(p_bootstrap, 4) == bootstrapped[row][place]
            assert scorer.paired_tests(stats[other], stats["a"]) == (p_bootstrap, p_randomisation)
            assert (max(p_bootstrap, p_randomisation) < 0.05) == (other == "worse")


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("num_changed", [0, 1, 3])
def test_a_system_does_not_differ_from_itself_nor_from_itself_with_a_few_sentences_changed(
    references: list[str], systems: dict[str, list[str]], metric: str, num_changed: int
) -> None:
    changed = list(systems["worse"])
    for row in range(10, 10 + num_changed):
        changed[row] = references[row]  # as much better as can be
    scorer = Scorer(metric, references)
    p_bootstrap, p_randomisation = scorer.paired_tests(*(scorer.statistics(one) for one in (systems["worse"], changed)))
    assert p_randomisation == {0: 1.0, 1: 1.0, 3: 0.25}[num_changed]  # 2 of the 2^m exchanges are as extreme
    if num_changed == 0:
        assert p_bootstrap == 1.0
    if num_changed == 1:
        assert p_bootstrap > 0.05


def test_p_values_are_python_numbers_that_json_takes(references: list[str], systems: dict[str, list[str]]) -> None:
    scorer = Scorer("chrF", references[:10])
    stats = [scorer.statistics(systems[name][:10]) for name in ("a", "worse")]
    json.dumps([scorer.paired_tests(*stats), scorer.interval(stats[0]), scorer.score(stats[0])])


def test_holm_corrects_as_in_the_published_example() -> None:
    # R's p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


@pytest.mark.parametrize(
    ("freedom", "five_percent", "one_percent"),
    [
        (1, 12.706, 63.657),
        (2, 4.303, 9.925),
        (4, 2.776, 4.604),
        (10, 2.228, 3.169),
        (30, 2.042, 2.750),
        (120, 1.980, 2.617),
    ],
)
def test_t_is_that_of_the_published_tables(freedom: int, five_percent: float, one_percent: float) -> None:
    assert t_quantile(0.05, freedom) == pytest.approx(five_percent, abs=5e-4)
    assert t_quantile(0.01, freedom) == pytest.approx(one_percent, abs=5e-4)
    assert t_p_value(five_percent, freedom) == pytest.approx(0.05, abs=5e-5)
    assert t_p_value(-one_percent, freedom) == pytest.approx(0.01, abs=5e-5)
    assert t_p_value(0.0, freedom) == 1.0


def test_t_of_many_degrees_of_freedom_is_normal() -> None:
    assert t_quantile(0.05, 1e7) == pytest.approx(1.959964, abs=1e-5)
    assert t_p_value(3.0, 1e7) == pytest.approx(math.erfc(3 / math.sqrt(2)), rel=1e-4)


@pytest.mark.parametrize("x", [0.0, 0.01, 0.3, 0.5, 0.9, 0.999, 1.0])
def test_incomplete_beta_is_the_tail_of_the_binomial_distribution(x: float) -> None:
    for trials in (1, 5, 40):
        for successes in range(1, trials + 1):
            tail = sum(math.comb(trials, k) * x**k * (1 - x) ** (trials - k) for k in range(successes, trials + 1))
            assert incomplete_beta(successes, trials - successes + 1, x) == pytest.approx(tail, abs=1e-12)


def test_welch_agrees_with_r_on_the_sleep_data() -> None:
    # t.test(extra ~ group, data = sleep): t = -1.8608, df = 17.776, p-value = 0.07939
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    found = welch(first, second)
    assert found == pytest.approx((-3.3654832, 0.2054832, 0.07939414), rel=1e-6)
    mirrored = welch(second, first)
    assert mirrored == pytest.approx((-0.2054832, 3.3654832, 0.07939414), rel=1e-6)


def test_the_interval_of_a_mean_agrees_with_r_on_the_sleep_data() -> None:
    # t.test(sleep$extra[1:10]): 95 percent confidence interval
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    assert interval_of_mean(first) == pytest.approx((-0.5297804, 2.0297804), rel=1e-6)
    assert interval_of_mean([3.0]) is None


def test_welch_says_nothing_where_the_variance_is_unknown() -> None:
    assert welch([30.0], [31.0, 32.0]) is None
    assert welch([30.0, 30.0], [31.0, 31.0]) is None
    assert welch([30.0, 30.0], [31.0, 31.5]) is not None


def test_human_agreement_is_that_of_kocmi_et_al() -> None:
    assert human_agreement("BLEU", 1.0) == pytest.approx(
        0.63989, abs=5e-6
    )  # what `mt-thresholds accuracy bleu 1` prints
    assert human_agreement("BLEU", -1.0) == human_agreement("BLEU", 1.0)
    assert human_agreement("chrF", 30.0) == pytest.approx(0.93, abs=1e-6)
    assert human_agreement("TER", 1.0) is None


@pytest.mark.parametrize("metric", ["BLEU", "chrF"])
def test_no_difference_is_a_coin_toss_to_human_judges(metric: str) -> None:
    shares = [human_agreement(metric, difference / 10) for difference in range(60)]
    assert shares[0] == 0.5
    assert shares == sorted(shares)
    assert 0.8 < shares[-1] < 0.93
