"""The clocks of the Python side. Nothing else here reads time; pure code takes it as an argument."""

import time


def monotonic_ns() -> int:
    """Nanoseconds of CLOCK_MONOTONIC: the same scale in every process of the machine."""
    return time.monotonic_ns()


def monotonic_ms() -> int:
    """Milliseconds of CLOCK_MONOTONIC; the unit of deadlines in the hot segment."""
    return time.monotonic_ns() // 1_000_000


def wall_s() -> int:
    """Seconds since the epoch, for `created` fields and expiry dates only."""
    return int(time.time())
