"""Minimum Bayes risk: the candidate that agrees best with all others, weighted by how probable they are.

Sources: Kumar and Byrne 2004 (candidates of a beam), Eikema and Aziz 2020 (samples).
"""

from collections.abc import Callable, Sequence

Utility = Callable[[str, str], float]  # of a translation, if the second text is the reference


def expected_utilities(candidates: Sequence[str], weights: Sequence[float], utility: Utility) -> dict[str, float]:
    """u(h) = sum_y w(y) utility(h, y) / sum_y w(y) of each different candidate, highest first.

    Args:
        candidates: translations of one sentence; each is a reference for all, itself among them. Where some are equal,
            their weights add up.
        weights: one for each: 1 for samples, which come as often as they are probable; exp(log-probability) for the
            candidates of a beam, which come once.
        utility: higher is better.
    """
    weight_of: dict[str, float] = {}
    for candidate, weight in zip(candidates, weights, strict=True):
        weight_of[candidate] = weight_of.get(candidate, 0.0) + weight
    total = sum(weight_of.values())
    expected = {h: sum(weight * utility(h, y) for y, weight in weight_of.items()) / total for h in weight_of}
    return dict(sorted(expected.items(), key=lambda item: item[1], reverse=True))
