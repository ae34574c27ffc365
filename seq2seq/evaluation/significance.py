"""Whether a difference between two systems is more than chance.

Chance comes in twice. The sentences of a test set could have been others: sacreBLEU's bootstrap and randomisation tests
resample them. The seed of the training could have been another: Welch's t-test over the runs' scores says what holds
for the recipe. Neither answer stands in for the other.

Letters: N sentences, K sufficient statistics of a metric. Those of a corpus are the sums of those of its sentences.
"""

import math
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sacrebleu.metrics.base import Metric, Score
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER
from sacrebleu.significance import PairedTest, _bootstrap_resample

Statistics = npt.NDArray[np.float64]  # (N, K), whole numbers

NUM_RESAMPLES = 1000  # of an interval, as in `sacrebleu --confidence`
LEVEL = 0.05

# The two parameters of the sigmoid from a difference of scores to the share of human judges that agree.
# Source: Kocmi et al. 2024, "Navigating the Metrics Maze", and its tool mt-thresholds.
_AGREEMENT = {"BLEU": (88.33333333333225, 0.9663926931178954), "chrF": (92.999999999972, 1.1142732157139852)}


class Scorer:
    """One metric against the references of one test set, with the signature of `metrics.score`.

    A system's statistics are extracted once, which is the slow part; scores, intervals and tests are made from them.

    Args:
        metric: "BLEU", "chrF" or "TER".
        references: raw text, one reference a sentence.

    Attributes:
        signature: sacreBLEU's, in its long form.
    """

    def __init__(self, metric: str, references: Sequence[str]) -> None:
        self._metric: Metric
        if metric == "BLEU":
            self._metric = BLEU(force=True, references=[references])  # force: `metrics.score` warns of tokenized text
        elif metric == "chrF":
            self._metric = CHRF(references=[references])
        else:
            assert metric == "TER", metric
            self._metric = TER(references=[references])
        self.signature: str = self._metric.get_signature().format()

    def statistics(self, hypotheses: Sequence[str]) -> Statistics:
        """Sufficient statistics of each sentence, (N, K)."""
        return np.array(self._metric._extract_corpus_statistics(hypotheses, None), dtype=np.float64)

    def score(self, stats: Statistics) -> float:
        """Score of the corpus of these sentences, in percent."""
        return float(self._metric._compute_score_from_stats(stats.sum(axis=0).tolist()).score)

    def interval(self, stats: Statistics) -> tuple[float, float]:
        """95 % interval of the score if other sentences were drawn: what `sacrebleu --confidence` prints as μ ± ci."""
        _, resampled = _bootstrap_resample(stats, self._metric, NUM_RESAMPLES)  # type: ignore[arg-type]
        score = resampled[0]  # any: it keeps the figures of all
        score.estimate_ci(resampled)
        mean, ci = float(score._mean), float(score._ci)  # numpy's float32 for some metrics
        return mean - ci, mean + ci

    def paired_tests(self, a: Statistics, b: Statistics) -> tuple[float, float]:
        """p-values of paired bootstrap and of approximate randomisation, two-sided.

        They equal those of `sacrebleu REF -i A B --paired-bs` and `--paired-ar`, with one exception. sacreBLEU asks how
        many random exchanges of the two systems' sentences give a *larger* difference than the real one, and so finds
        p = 0.0001 for a system against itself, or against itself with one sentence changed. But of the 2^m exchanges of
        m sentences that differ, two always give the real difference (all or none exchanged): p is at least 2^(1-m).

        Returns:
            p of the bootstrap, p of the randomisation.
        """
        num_different = int((a != b).any(axis=1).sum())
        if num_different == 0:
            return 1.0, 1.0
        p_bootstrap, p_randomisation = (self._paired_test(kind, a, b) for kind in ("bs", "ar"))
        return p_bootstrap, max(p_randomisation, 2.0 ** (1 - num_different))

    def _paired_test(self, kind: str, a: Statistics, b: Statistics) -> float:
        systems: list[Any] = [("a", a), ("b", b)]
        test = PairedTest(systems, {"metric": _Extracted(self._metric)}, None, test_type=kind)  # type: ignore[dict-item]
        _, results = test()
        (of_b,) = (column[1] for name, column in results.items() if name != "System")
        return float(of_b.p_value)  # type: ignore[union-attr,arg-type]


class _Extracted:
    """A metric for `PairedTest` whose "hypotheses" are statistics: extracted once for a system, not once for each pair.

    The methods are those that sacreBLEU's tests call.
    """

    def __init__(self, metric: Metric) -> None:
        self._compute_score_from_stats = metric._compute_score_from_stats
        self.get_signature = metric.get_signature

    def _extract_corpus_statistics(self, hypotheses: Statistics, references: None) -> Statistics:
        return hypotheses

    def _aggregate_and_compute(self, stats: Statistics) -> Score:
        # As lists of Python's numbers, which are the same and faster than numpy's one by one.
        return self._compute_score_from_stats(stats.sum(axis=0).tolist())


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrected p-values of several tests: below 0.05 only so often that one or more are wrong in 5 % of all cases.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, (len(p_values) - rank) * p_values[index])
        corrected[index] = min(1.0, largest)
    return corrected


def welch(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float] | None:
    """Welch's t-test of the difference between two means, of samples with variances of their own.

    Args:
        a, b: scores of the runs of two systems.

    Returns:
        Low and high end of the 95 % interval of mean(a) - mean(b), and the two-sided p-value. None if the variance is
        unknown: fewer than two runs of one system, or runs that are copies of each other.

    Source: Welch 1947, "The generalization of Student's problem when several different population variances are
    involved"; degrees of freedom by Satterthwaite 1946.
    """
    if len(a) < 2 or len(b) < 2:
        return None
    errors = [statistics.variance(sample) / len(sample) for sample in (a, b)]
    if sum(errors) == 0:
        return None
    terms = [error**2 / (len(sample) - 1) for error, sample in zip(errors, (a, b), strict=True)]
    freedom = sum(errors) ** 2 / sum(terms)
    difference = statistics.fmean(a) - statistics.fmean(b)
    standard_error = math.sqrt(sum(errors))
    half = t_quantile(LEVEL, freedom) * standard_error
    return difference - half, difference + half, t_p_value(difference / standard_error, freedom)


def interval_of_mean(values: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval of the mean of what these values are a sample of, by Student's t; None with fewer than two."""
    if len(values) < 2:
        return None
    half = t_quantile(LEVEL, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.fmean(values) - half, statistics.fmean(values) + half


def t_p_value(t: float, freedom: float) -> float:
    """Two-sided p-value of Student's t: the probability of a value as far from 0 as `t` or farther."""
    return incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t**2))


def t_quantile(p: float, freedom: float) -> float:
    """The t whose two-sided p-value is `p`, by bisection."""
    low, high = 0.0, 1.0  # of x = freedom / (freedom + t^2), in which p grows
    for _ in range(100):
        middle = (low + high) / 2
        if incomplete_beta(freedom / 2, 0.5, middle) < p:
            low = middle
        else:
            high = middle
    return math.sqrt(freedom * (1 / high - 1))


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function I_x(a, b), for 0 <= x <= 1.

    Source: its continued fraction, Abramowitz and Stegun 1964, 26.5.8, evaluated from the front (Lentz 1976).
    """
    if x in (0.0, 1.0):
        return x
    if x > (a + 1) / (a + b + 2):  # where the fraction converges slowly, that of the mirrored function is fast
        return 1 - incomplete_beta(b, a, 1 - x)
    log_factor = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, 500):
        for coefficient in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + coefficient * d)
            c = 1 + coefficient / c
            fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return math.exp(log_factor) * fraction / a


def human_agreement(metric: str, difference: float) -> float | None:
    """Share of pairs in which human judges prefer the system that the metric prefers by so much.

    Args:
        metric: "BLEU", "chrF" or "TER".
        difference: of two systems' scores, in percent; its sign does not matter.

    Returns:
        0.5 to 1, or None for a metric that the paper has no figures for. The paper's curve falls under 0.5, the share
        that a coin reaches, at differences below about 0.3; it is cut off there.

    Source: Kocmi et al. 2024, "Navigating the Metrics Maze: Reconciling Score Magnitudes and Accuracies".
    """
    if metric not in _AGREEMENT:
        return None
    limit, slope = _AGREEMENT[metric]
    return max(0.5, limit / 100 / (1 + math.exp(-slope * abs(difference))))
