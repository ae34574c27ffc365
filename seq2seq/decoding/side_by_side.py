"""Several batches at once on a CPU.

A step of a search is a hundred small operations. If all cores share each, they wait a hundred times for the slowest of
them, and all for Python in between. Batches side by side, each with a part of the cores, wait less.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

Batch = TypeVar("Batch")
Found = TypeVar("Found")

_MOST_AT_ONCE = 4  # Python runs in one thread at a time


def most_at_once(num_threads: int) -> int:
    """How many batches `side_by_side` takes at a time."""
    return max(1, min(_MOST_AT_ONCE, num_threads))


def side_by_side(
    compute: Callable[[Batch], Found], batches: Iterable[Batch], num_threads: int
) -> Iterator[tuple[Batch, Found]]:
    """Each batch with what `compute` makes of it, in order.

    A lone batch gets all threads. Batches are taken one by one, hardly before their turn.

    Args:
        compute: is called in several threads.
        batches: may depend on what `compute` has met with before.
        num_threads: of torch, for all together.
    """
    batches = iter(batches)
    first = list(itertools.islice(batches, most_at_once(num_threads)))
    batches = itertools.chain(first, batches)
    if len(first) < 2:
        for batch in batches:
            yield batch, compute(batch)
        return
    running: deque[tuple[Batch, Future[Found]]] = deque()
    own_threads = num_threads // len(first)
    pool = ThreadPoolExecutor(len(first), initializer=torch.set_num_threads, initargs=(own_threads,))
    try:
        for batch in batches:
            running.append((batch, pool.submit(compute, batch)))
            if len(running) > len(first):  # one waits, so that no thread does
                done, found = running.popleft()
                yield done, found.result()
        for done, found in running:
            yield done, found.result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(num_threads)  # later threads begin with what any thread has set
