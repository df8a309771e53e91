"""Memory that a burst of requests left behind goes back to the system when the burst is over.

The allocator keeps what was freed, as the supervisor tells it to (`supervisor/children.py`): right
between two long prompts, and half a gigabyte too much after ten thousand streams.
"""

BURST = 256
"""Requests in flight; what fewer leave behind is not worth the work."""
QUIET_SHARE = 8
"""A burst is over when less than this part of its height is in flight."""
QUIET_LOOKS = 2
"""So often in a row: the last answers are still on their way to clients at the first."""


class SpareMemory:
    """Watches how many requests are in flight, and says when a burst is over."""

    def __init__(self) -> None:
        self._most = 0
        self._quiet_looks = 0

    def is_due(self, in_flight: int) -> bool:
        """Whether to give back now, once for each burst. Asked now and then, about every second."""
        self._most = max(self._most, in_flight)
        if self._most < BURST or in_flight * QUIET_SHARE > self._most:
            self._quiet_looks = 0
            return False
        self._quiet_looks += 1
        if self._quiet_looks < QUIET_LOOKS:
            return False
        self._most = self._quiet_looks = 0
        return True


def give_back() -> None:
    """What glibc has free returns to the system; other allocators do so by themselves. Takes some
    100 ms for a gigabyte, without Python's lock: call it from a thread. Source: malloc_trim(3)."""
    import ctypes  # five milliseconds, which no start should pay

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
