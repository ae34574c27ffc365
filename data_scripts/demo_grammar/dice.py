"""Seeded choices that come out the same on every platform and in every version of Python."""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """Random choices from one seed. Only `Random.random` is used: choice and shuffle have changed between versions."""

    def __init__(self, seed: int):
        self._random = random.Random(seed).random

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self._random() < probability

    def below(self, limit: int) -> int:
        """A whole number from 0 to limit - 1."""
        return int(self._random() * limit)

    def choice(self, options: Sequence[T]) -> T:
        """One of the options, all equally likely."""
        return options[self.below(len(options))]

    def weighted(self, weights: dict[T, int]) -> T:
        """One of the keys, as often as its weight says."""
        point = self.below(sum(weights.values()))
        for option, weight in weights.items():
            point -= weight
            if point < 0:
                return option
        raise AssertionError("the point lies below the sum of the weights")
