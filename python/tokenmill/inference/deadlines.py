"""Deadlines of many short waits for the price of one timer.

Nearly every body is there at once, so a timer for each would be set and taken back for nothing.
Here a wait is one entry in a map; a timer runs for the earliest one only.
"""

import asyncio
from typing import Any


class Deadlines:
    """Cancels tasks whose wait took too long. Of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ends: dict[asyncio.Task[Any], float] = {}
        self._expired: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, seconds: float) -> asyncio.Task[Any] | None:
        """The running task, which is cancelled after `seconds` unless `end` comes first."""
        task = asyncio.current_task(self._loop)
        if task is not None:
            end = self._loop.time() + seconds
            self._ends[task] = end
            if self._timer is None or end < self._timer.when():
                self._arm(end)
        return task

    def end(self, task: asyncio.Task[Any] | None) -> None:
        """The wait is over."""
        if task is not None:
            self._ends.pop(task, None)

    def take_back(self, task: asyncio.Task[Any] | None) -> bool:
        """Whether the task was cancelled for its deadline; then it is cancelled no longer."""
        if task is None or task not in self._expired:
            return False
        self._expired.discard(task)
        task.uncancel()
        return True

    def _arm(self, end: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(end, self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        for task in [each for each, end in self._ends.items() if end <= now]:
            del self._ends[task]
            self._expired.add(task)
            task.cancel()
        if self._ends:
            self._arm(min(self._ends.values()))
