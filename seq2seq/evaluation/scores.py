"""The scores of all systems on one test set by one metric, and of each two systems which one is better."""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from seq2seq.evaluation.significance import LEVEL, Scorer, Statistics, holm, human_agreement, welch


@dataclass(frozen=True)
class SystemScore:
    """One metric of one system on one test set.

    Attributes:
        test_set, system, metric: which; the metric is "BLEU", "chrF" or "TER".
        values: of each run, by seed.
        mean: over the seeds.
        deviation: sample standard deviation over the seeds; None for one run.
        representative: value of the run that stands for the system in the tests on sentences.
        low, high: 95 % interval of that run's score under resampling of the sentences.
    """

    test_set: str
    system: str
    metric: str
    values: list[float]
    mean: float
    deviation: float | None
    representative: float
    low: float
    high: float


@dataclass(frozen=True)
class Pair:
    """System `a` against system `b` on one test set in one metric. Differences are a - b.

    Attributes:
        difference: of the representative runs' scores.
        p_bootstrap, p_randomisation: sacreBLEU's paired tests on the representative runs: whether this difference would
            come about if the sentences were others ("on this test set").
        p_bootstrap_holm, p_randomisation_holm: corrected for the number of pairs (Holm 1979) within test set and
            metric.
        human_agreement: share in which human judges prefer the system that the metric prefers by so much (Kocmi et al.
            2024); None where the paper has no figure (TER).
        seeds_difference: of the means over seeds ("of this recipe").
        seeds_low, seeds_high, p_seeds: Welch's 95 % interval and test over the seeds; None with fewer than 2 runs each.
        better: "a", "b" or None: who is significantly better on this test set: both tests agree at 0.05 after the
            correction.
        better_recipe: the same over the seeds, where p_seeds is below 0.05.
    """

    test_set: str
    metric: str
    a: str
    b: str
    difference: float
    p_bootstrap: float
    p_bootstrap_holm: float
    p_randomisation: float
    p_randomisation_holm: float
    human_agreement: float | None
    seeds_difference: float
    seeds_low: float | None
    seeds_high: float | None
    p_seeds: float | None
    better: Literal["a", "b"] | None
    better_recipe: Literal["a", "b"] | None


def system_score(
    test_set: str, system: str, metric: str, *, scorer: Scorer, runs: Sequence[Statistics], representative: Statistics
) -> SystemScore:
    """Score a system from the statistics of its runs, by seed, and of the one among them that stands for it."""
    values = [scorer.score(run) for run in runs]
    low, high = scorer.interval(representative)
    return SystemScore(
        test_set=test_set,
        system=system,
        metric=metric,
        values=values,
        mean=statistics.fmean(values),
        deviation=statistics.stdev(values) if len(values) > 1 else None,
        representative=scorer.score(representative),
        low=low,
        high=high,
    )


def pairs_of(scores: Sequence[SystemScore], *, scorer: Scorer, representatives: Mapping[str, Statistics]) -> list[Pair]:
    """Every system against every later one.

    Args:
        scores: of the systems, on one test set by the metric of `scorer`.
        representatives: for each system the statistics of the run that stands for it.
    """
    both = list(itertools.combinations(scores, 2))
    tested = [scorer.paired_tests(representatives[a.system], representatives[b.system]) for a, b in both]
    corrected = zip(*(holm(p_values) for p_values in zip(*tested, strict=True)), strict=True)
    pairs = []
    for (a, b), raw, holms in zip(both, tested, corrected, strict=True):
        difference = a.representative - b.representative
        seeds_difference = a.mean - b.mean
        low, high, p_seeds = welch(a.values, b.values) or (None, None, None)
        seeds_agree = p_seeds is not None and p_seeds < LEVEL
        pairs.append(
            Pair(
                test_set=a.test_set,
                metric=a.metric,
                a=a.system,
                b=b.system,
                difference=difference,
                p_bootstrap=raw[0],
                p_bootstrap_holm=holms[0],
                p_randomisation=raw[1],
                p_randomisation_holm=holms[1],
                human_agreement=human_agreement(a.metric, difference),
                seeds_difference=seeds_difference,
                seeds_low=low,
                seeds_high=high,
                p_seeds=p_seeds,
                better=preferred(a.metric, difference) if max(holms) < LEVEL else None,
                better_recipe=preferred(a.metric, seeds_difference) if seeds_agree else None,
            )
        )
    return pairs


def preferred(metric: str, difference: float) -> Literal["a", "b"] | None:
    """Which of two systems a difference a - b of their scores speaks for."""
    if difference == 0:
        return None
    is_error_rate = metric == "TER"
    return "a" if (difference < 0) == is_error_rate else "b"
