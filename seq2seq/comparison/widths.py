"""Widths at which an architecture has a wanted number of parameters.

An architecture has two widths: an outer one, which the vocabulary is multiplied by, and an inner one. Both are scaled
by one factor; then the outer one is rounded to what hardware likes, and the inner one takes up the difference. So
systems of one size differ in their architecture, and each keeps nearly the proportions that its author gave it.
"""

import math
from bisect import bisect_left
from collections.abc import Callable
from functools import cache, partial
from inspect import signature
from typing import Any

import torch

from seq2seq.models import ARCHITECTURES

_WIDTHS = {
    "lstm": ("d_embedding", "d_model"),
    "attention": ("d_embedding", "d_model"),
    "transformer": ("d_model", "d_ff"),
}
_TOLERANCE = 0.02  # share of the target by which the parameters may miss it
_NEAR = 0.005  # near enough to look no further: two systems then differ by half the tolerance at most
_SHIFT = 0.2  # share by which the inner width may leave the common factor for a rounder outer one
_ROUND = 8  # tensor cores and vector units take multiples of it at full speed


def match_parameters(
    architecture: str, init_args: dict[str, Any], src_vocab_size: int, tgt_vocab_size: int, target: int
) -> dict[str, int]:
    """Widths that give an architecture `target` parameters: within 2 %, usually within 0.5 %.

    Configured widths that come within 0.5 % stay. Otherwise multiples of 8 are preferred. What the model demands of a
    width is kept: the heads divide d_model, two directions (or sines and cosines) share an even one.

    Args:
        architecture: a name of `models.ARCHITECTURES`.
        init_args: the system's hyperparameters; those of its training are not looked at.
        src_vocab_size, tgt_vocab_size: V of either side.
        target: the wanted number of parameters, at least 1.

    Returns:
        The two widths by name: d_model and d_ff of a transformer, d_embedding and d_model of the others.

    Raises:
        ValueError: no widths of about these proportions come within 2 %.
    """
    model = ARCHITECTURES[architecture]
    options = {key: p.default for key, p in signature(model).parameters.items() if p.kind is p.KEYWORD_ONLY}
    options |= {key: value for key, value in init_args.items() if key in options}
    outer_name, inner_name = _WIDTHS[architecture]

    @cache
    def parameters(outer: int, inner: int) -> int:
        with torch.device("meta"):
            built = model(src_vocab_size, tgt_vocab_size, **options | {outer_name: outer, inner_name: inner})
        return sum(p.numel() for p in built.parameters())

    outer, inner = _nearest_widths(
        parameters, (options[outer_name], options[inner_name]), _divisors(architecture, options), target
    )
    found = parameters(outer, inner)
    if abs(found - target) > _TOLERANCE * target:
        raise ValueError(
            f"{target:,} parameters are wanted of the {architecture}, but with {src_vocab_size} source and "
            f"{tgt_vocab_size} target pieces the nearest it can have are {found:,}, at {outer_name} {outer} and "
            f"{inner_name} {inner}; change parameters or the vocabulary size"
        )
    return {outer_name: outer, inner_name: inner}


def _divisors(architecture: str, options: dict[str, Any]) -> tuple[int, int]:
    """What the outer and the inner width must be multiples of."""
    if architecture == "transformer":
        return math.lcm(options["num_heads"], 2 if options["positions"] == "sinusoidal" else 1), 1
    return 1, 2 if options["bidirectional"] else 1


def _nearest_widths(
    parameters: Callable[[int, int], int], configured: tuple[int, int], divisors: tuple[int, int], target: int
) -> tuple[int, int]:
    """The first pair of widths that is near enough to the target in parameters and to `configured` in proportions.

    If none is, the pair that is nearest in parameters.
    """

    def miss(widths: tuple[int, int]) -> float:
        return abs(parameters(*widths) / target - 1)

    if miss(configured) <= _NEAR:
        return configured
    outer_divisor, inner_divisor = divisors

    def in_proportion(outer: int) -> int:
        return _multiples(inner_divisor, outer * configured[1] / configured[0])[0]

    # A model has more parameters than the square of its outer width.
    scaled = _nearest(
        range(outer_divisor, math.isqrt(target) + outer_divisor + 1, outer_divisor),
        lambda outer: parameters(outer, in_proportion(outer)),
        target,
    )
    inner_scaled = in_proportion(scaled)
    # Round sizes for both first; then for the outer width alone; then whatever can be built.
    round_outers = _multiples(math.lcm(outer_divisor, _ROUND), scaled)
    trials = [(outer, math.lcm(inner_divisor, _ROUND)) for outer in round_outers]
    trials += [(outer, inner_divisor) for outer in (round_outers[0], *_multiples(outer_divisor, scaled))]
    found = []
    for outer, step in trials:
        inners = range(_multiples(step, inner_scaled / 4)[0], 4 * inner_scaled + step, step)
        inner = _nearest(inners, partial(parameters, outer), target)
        if miss((outer, inner)) <= _NEAR and abs(inner / inner_scaled - 1) <= _SHIFT:
            return outer, inner
        found.append((outer, inner))
    return min(found, key=miss)


def _multiples(step: int, wanted: float) -> list[int]:
    """The multiple of `step` nearest to `wanted`, then its neighbours; none below one step."""
    nearest = max(1, round(wanted / step)) * step
    return [nearest, *(n for n in (nearest - step, nearest + step) if n > 0)]


def _nearest(sizes: range, parameters: Callable[[int], int], target: int) -> int:
    """The size whose number of parameters, which grows with it, is nearest to the target."""
    above = bisect_left(sizes, target, key=parameters)
    return min(sizes[max(above - 1, 0) : above + 1], key=lambda size: abs(parameters(size) - target))
