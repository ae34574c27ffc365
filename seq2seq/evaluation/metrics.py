"""BLEU, chrF and TER of a translation, exactly as the `sacrebleu` command computes them.

References are raw text, one reference a sentence. Every score carries its signature: numbers with different
signatures are never compared.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

METRICS = ("BLEU", "chrF", "TER")


@dataclass(frozen=True)
class Score:
    """One metric's value over a whole test set.

    Attributes:
        name: "BLEU", "chrF" or "TER".
        value: percent; higher is better for BLEU and chrF, lower for TER.
        signature: sacreBLEU's, in its long form: "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0".
        text: sacreBLEU's own line, with n-gram precisions, brevity penalty and lengths for BLEU.
    """

    name: str
    value: float
    signature: str
    text: str


def score(
    hypotheses: Sequence[str],
    references: Sequence[str],
    *,
    lowercase: bool = False,
    metrics: Sequence[str] = METRICS,
) -> list[Score]:
    """Corpus BLEU, chrF and TER of the hypotheses against one reference each.

    Args:
        hypotheses: the translations, detokenized.
        references: the untouched reference text, line for line.
        lowercase: ignore case in BLEU and chrF; TER ignores it always, as the `sacrebleu` command does.
        metrics: which of `METRICS`, in this order.

    Returns:
        One score a metric.

    Raises:
        ValueError: there is no sentence, or the numbers of lines differ.
    """
    _check_lengths(hypotheses, references)
    if not hypotheses:
        raise ValueError("there are 0 sentences to score; a score needs at least one")
    computed = {"BLEU": BLEU(lowercase=lowercase), "chrF": CHRF(lowercase=lowercase), "TER": TER()}
    scores = []
    for name in metrics:
        result = computed[name].corpus_score(hypotheses, [references])
        signature = computed[name].get_signature().format()
        scores.append(Score(name, float(result.score), signature, result.format(width=1, signature=signature)))
    return scores


def sentence_score(name: str) -> Callable[[str, str], float]:
    """(hypothesis, reference) -> sentence BLEU or chrF in percent, as sacreBLEU computes them; `name` in lower case.

    BLEU leaves out the n-grams that a sentence is too short to have (eff:yes), as `sacrebleu --sentence-level` does.
    """
    metric = {"bleu": BLEU(effective_order=True), "chrf": CHRF()}[name]
    return lambda hypothesis, reference: float(metric.sentence_score(hypothesis, [reference]).score)


def bleu_statistics(hypotheses: Sequence[str], references: Sequence[str]) -> list[int]:
    """Sufficient statistics of cased BLEU: those of a corpus are the sums of those of its parts.

    Args:
        hypotheses: the translations of any part of a corpus, possibly none.
        references: their references, line for line.

    Returns:
        Ten numbers: matching n-grams (n = 1 to 4), n-grams in the hypotheses (n = 1 to 4), hypothesis length,
        reference length.

    Raises:
        ValueError: the numbers of lines differ.
    """
    _check_lengths(hypotheses, references)
    if not hypotheses:
        return [0] * 10
    # force: no warning that the text looks tokenized at each validation of a model that is still learning.
    result = BLEU(force=True).corpus_score(hypotheses, [references])
    return [*result.counts, *result.totals, result.sys_len, result.ref_len]


def bleu_from_statistics(statistics: Sequence[int]) -> float:
    """BLEU of the corpus whose parts' statistics were summed, equal to scoring the whole corpus at once.

    Args:
        statistics: sums of `bleu_statistics` over the parts.

    Returns:
        BLEU in percent, with the signature case:mixed|eff:no|tok:13a|smooth:exp.
    """
    correct, total = list(statistics[0:4]), list(statistics[4:8])
    sys_len, ref_len = statistics[8:]
    return float(BLEU.compute_bleu(correct, total, sys_len, ref_len, smooth_method="exp").score)


def _check_lengths(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    if len(hypotheses) != len(references):
        raise ValueError(
            f"{len(hypotheses)} hypotheses against {len(references)} references; there must be one for each, "
            "in the same order"
        )
