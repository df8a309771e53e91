"""The clocks of the Python side. Nothing else reads time; pure code takes it as an argument."""

import time

monotonic_ns = time.monotonic_ns  # by another name: it is read eight times a request
"""Nanoseconds of CLOCK_MONOTONIC: the same scale in every process of the machine."""


def monotonic_ms() -> int:
    """Milliseconds of CLOCK_MONOTONIC; the unit of deadlines in the hot segment."""
    return time.monotonic_ns() // 1_000_000


def wall_s() -> int:
    """Seconds since the epoch, for `created` fields and expiry dates only."""
    return int(time.time())


def wall_ms() -> int:
    """Milliseconds since the epoch, for the times of ledger lines and requests."""
    return time.time_ns() // 1_000_000
