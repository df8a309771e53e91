"""Waiting for what other processes do: looking again with a deadline, never sleeping once."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.01


def eventually(look: Callable[[], T | None], what: str, *, within_s: float = 30.0) -> T:
    """The first result of `look` that is neither None nor False. Fails the test after the time."""
    deadline = time.monotonic() + within_s
    while True:
        found = look()
        if found is not None and found is not False:
            return found
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {within_s} s: {what}")
        time.sleep(POLL_S)
