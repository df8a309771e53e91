"""Workers' places in the hot segment, each with a lock file that lives as long as its worker.

The supervisor locks a place and hands the descriptor to the worker: the lock is held until that
process is gone, whatever ends it and whether this supervisor still lives. A worker that outlives a
killed supervisor (it finishes its streams) so keeps its place from the next house.
"""

import os
from collections.abc import Collection
from pathlib import Path

from tokenmill._native import Segment, WorkerState
from tokenmill.state_folder import try_lock, worker_lock_path


class SlotError(Exception):
    """No place is free: more workers than `segment.workers_max` are alive."""


class Slots:
    """The places 0 to `workers_max` - 1 of a house."""

    def __init__(self, state: Path, segment: Segment, workers_max: int) -> None:
        self._state = state
        worker_lock_path(state, 0).parent.mkdir(mode=0o700, exist_ok=True)
        self._segment = segment
        self._workers_max = workers_max

    def take(self, taken: Collection[int]) -> tuple[int, int]:
        """A free place, marked STARTING, and the descriptor that holds it. Raises: SlotError."""
        for slot in range(self._workers_max):
            if slot in taken:
                continue
            descriptor = self._lock(slot)
            if descriptor is not None:
                self._segment.rescue(slot)  # the lock proves that its last worker is dead
                self._segment.set_worker_state(slot, WorkerState.STARTING)
                return slot, descriptor
        raise SlotError(f"all {self._workers_max} places for workers are taken")

    def free_dead(self) -> None:
        """Clears the marks of workers that ended with nobody to see it."""
        for slot in range(self._workers_max):
            is_marked = self._segment.worker_state(slot) != WorkerState.FREE
            descriptor = self._lock(slot) if is_marked else None
            if descriptor is not None:
                self._segment.rescue(slot)
                self._segment.set_worker_state(slot, WorkerState.FREE)
                os.close(descriptor)

    def _lock(self, slot: int) -> int | None:
        return try_lock(worker_lock_path(self._state, slot))
