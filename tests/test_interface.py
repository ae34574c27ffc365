"""The two takes, on trees as deep as a memory or a state may be."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from seq2seq.models.interface import take_hypotheses, take_sentences


class Leaf(NamedTuple):
    one: Tensor
    two: Tensor


class Tree(NamedTuple):
    layers: tuple[Leaf, ...]
    also: Tensor


def numbered(*shape: int) -> Tensor:
    return torch.arange(torch.Size(shape).numel()).view(shape)


def tree() -> Tree:
    """Two sentences of three hypotheses; leaves with more dimensions, with fewer, and with none of their own width."""
    return Tree(
        (Leaf(numbered(2, 3), numbered(2, 3, 4)), Leaf(numbered(2, 3, 2, 5), numbered(2, 3, 0))), numbered(2, 3, 1)
    )


def assert_same(left: Tree, right: Tree) -> None:
    """Equal leaves under equal types."""
    assert type(left) is type(right)
    if isinstance(left, Tensor):
        assert torch.equal(left, right)
    else:
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            assert_same(one, other)


def by_index(a: Tree, take: Callable[[Tensor], Tensor]) -> Tree:
    """The same in the plainest terms: `take` on every tensor."""
    (one, two), also = a.layers, a.also
    return Tree((Leaf(*map(take, one)), Leaf(*map(take, two))), take(also))


def test_taking_hypotheses_gives_each_sentence_its_own_parents() -> None:
    parent_BW = torch.tensor([[2, 2, 0, 1], [1, 0, 0, 0]])
    expected = by_index(tree(), lambda x: torch.stack([x[0][[2, 2, 0, 1]], x[1][[1, 0, 0, 0]]]))
    assert_same(take_hypotheses(tree(), parent_BW), expected)


def test_taking_sentences_reorders_drops_and_repeats_rows() -> None:
    for rows in ([1, 0], [1], [0, 0, 1], []):
        expected = by_index(tree(), lambda x, rows=rows: x[rows])
        assert_same(take_sentences(tree(), torch.tensor(rows, dtype=torch.long)), expected)
