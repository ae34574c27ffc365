"""One function over many items in several processes: results in order, few of them in memory."""

import math
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_work: Callable[[Any], Any]  # in a process that `in_order` has started


def num_cores() -> int:
    """That this process may use at a time: those of its affinity, or of its container's share if that is less."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return cores if quota == "max" else min(cores, max(1, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        return cores


def in_order(make: Callable[[], Callable[[Item], Result]], items: Iterable[Item], processes: int) -> Iterator[Result]:
    """`function(item)` of each item, in their order.

    Args:
        make: makes the function, once in each process; can be pickled, as items and results.
        items: taken as they are needed: some for each process, not all.
        processes: how many; 1 does it all here.

    Raises:
        ValueError: a process was killed.
    """
    if processes == 1:
        yield from map(make(), items)
        return
    # Spawned: a forked process would have the threads' locks of this one, and hold its pipes open.
    with ProcessPoolExecutor(processes, get_context("spawn"), _begin, (make,)) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(_do, item))
                if len(waiting) > 2 * processes:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise ValueError(
                f"one of {processes} processes was killed, as a rule because memory ran out; lower --processes"
            ) from None
        finally:
            for future in waiting:
                future.cancel()


def _begin(make: Callable[[], Callable[[Any], Any]]) -> None:
    global _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all of a terminal; the first process ends the others
    _work = make()


def _do(item: Any) -> Any:
    return _work(item)
