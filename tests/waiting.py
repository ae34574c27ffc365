"""Waiting for what another process does."""

import time
from collections.abc import Callable


def until(is_so: Callable[[], bool], timeout_s: float = 300) -> None:
    """Wait for something; TimeoutError if it does not come about."""
    end = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {timeout_s:.0f} s in vain")
        time.sleep(0.1)
