"""Batches side by side come in order, with a part of the threads each, and an error of one ends all."""

import threading
from collections.abc import Callable, Iterator

import pytest
import torch

from seq2seq.decoding import side_by_side


@pytest.fixture(autouse=True)
def num_threads() -> Iterator[int]:
    before = torch.get_num_threads()
    yield before
    assert torch.get_num_threads() == before
    later: list[int] = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [before]


def waiting_for(event: threading.Event) -> Callable[[int], int]:
    """The first batch waits until the second has been computed."""

    def compute(batch: int) -> int:
        if batch == 0:
            assert event.wait(60)
        elif batch == 1:
            event.set()
        return 10 * batch

    return compute


def test_batches_are_computed_at_once_and_come_in_order(num_threads: int) -> None:
    found = side_by_side(waiting_for(threading.Event()), range(9), 2)
    assert list(found) == [(batch, 10 * batch) for batch in range(9)]
    torch.set_num_threads(num_threads)


@pytest.mark.parametrize(("num_batches", "threads", "own"), [(1, 6, 6), (2, 6, 3), (7, 6, 1), (7, 12, 3), (7, 1, 1)])
def test_the_threads_are_shared_out(num_threads: int, num_batches: int, threads: int, own: int) -> None:
    torch.set_num_threads(threads)
    seen = [found for _, found in side_by_side(lambda _: torch.get_num_threads(), range(num_batches), threads)]
    assert seen == [own] * num_batches
    assert torch.get_num_threads() == threads
    torch.set_num_threads(num_threads)


def test_an_error_ends_all_and_what_has_not_begun_never_begins(num_threads: int) -> None:
    taken: list[int] = []

    def batches() -> Iterator[int]:
        for batch in range(100):
            taken.append(batch)
            yield batch

    def compute(batch: int) -> int:
        if batch == 3:
            raise ValueError("batch 3")
        return batch

    seen: list[int] = []
    with pytest.raises(ValueError, match="batch 3"):
        for batch, _ in side_by_side(compute, batches(), num_threads):
            seen.append(batch)
    assert seen == [0, 1, 2]
    assert len(taken) < 10
