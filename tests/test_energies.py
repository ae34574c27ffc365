"""Each energy against its formula, one query and one key at a time."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from seq2seq.models.energies import Additive, Cosine, Dot, General, make_energy


def norm(x: Tensor) -> Tensor:
    return (x * x).sum().sqrt()


def dot(energy: Dot, q: Tensor, k: Tensor) -> Tensor:
    return (q * k).sum()


def scaled_dot(energy: Dot, q: Tensor, k: Tensor) -> Tensor:
    return (q * k).sum() / math.sqrt(len(k))


def cosine(energy: Cosine, q: Tensor, k: Tensor) -> Tensor:
    return energy.log_sharpness.exp() * (q * k).sum() / (norm(q) * norm(k))


def general(energy: General, q: Tensor, k: Tensor) -> Tensor:
    W = energy.w.weight
    return sum(q[i] * W[i, j] * k[j] for i in range(len(q)) for j in range(len(k)))


def additive(energy: Additive, q: Tensor, k: Tensor) -> Tensor:
    W, U, b, v = energy.w.weight, energy.u.weight, energy.u.bias, energy.v.weight[0]
    return (v * torch.tanh(W @ q + U @ k + b)).sum()


@pytest.mark.parametrize(
    ("formula", "d_query"),
    [(dot, 4), (scaled_dot, 4), (cosine, 4), (general, 4), (general, 3), (additive, 4), (additive, 3)],
)
def test_an_energy_is_its_formula_for_every_query_and_key(formula: Callable[..., Tensor], d_query: int) -> None:
    torch.manual_seed(1)
    energy = make_energy(formula.__name__, d_query=d_query, d_key=4).double()
    q_BWQ = torch.randn(2, 3, d_query, dtype=torch.float64)
    h_BSD = torch.randn(2, 5, 4, dtype=torch.float64)
    e_BWS = energy(q_BWQ, energy.project_keys(h_BSD))
    assert e_BWS.shape == (2, 3, 5)
    for b in range(2):
        for w in range(3):
            for s in range(5):
                assert_close(e_BWS[b, w, s], formula(energy, q_BWQ[b, w], h_BSD[b, s]))


def test_a_cosine_of_zero_padding_is_a_number() -> None:
    energy = make_energy("cosine", d_query=4, d_key=4)
    assert energy(torch.randn(1, 1, 4), energy.project_keys(torch.zeros(1, 2, 4))).isfinite().all()


@pytest.mark.parametrize("name", ["dot", "scaled_dot", "cosine"])
def test_sizes_that_cannot_meet_are_refused_with_both_sizes(name: str) -> None:
    with pytest.raises(ValueError, match="needs queries and keys of one size, came 6 and 4; use general or additive$"):
        make_energy(name, d_query=6, d_key=4)


def test_an_unknown_energy_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="^energy is 'bahdanau'; use dot, scaled_dot, cosine, general or additive$"):
        make_energy("bahdanau", d_query=4, d_key=4)
