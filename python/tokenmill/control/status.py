"""GET /control/status: the house at a glance, for `tokenmill doctor` and other programs."""

import os
from collections.abc import Callable, Sequence
from typing import Protocol

from litestar import get
from litestar.handlers.base import BaseRouteHandler
from msgspec import Struct

from tokenmill._native import VERSION, WorkerState
from tokenmill.clock import monotonic_ms
from tokenmill.engines.views import EngineView
from tokenmill.models.fleet import Fleet

STATE_NAMES = {
    int(WorkerState.STARTING): "starting",
    int(WorkerState.SERVING): "serving",
    int(WorkerState.DRAINING): "draining",
}


class StatusSegment(Protocol):
    """What is read from the hot segment."""

    @property
    def keys_ready(self) -> bool: ...
    def key_count(self) -> int: ...
    def worker_state(self, worker: int) -> WorkerState: ...
    def heartbeat_ms(self, worker: int) -> int: ...
    def worker_in_flight(self, worker: int) -> int: ...
    def worker_waiting(self, worker: int) -> int: ...


class WorkerView(Struct, frozen=True, kw_only=True):
    """A worker; `silent_ms` is how long its event loop has not said that it is alive."""

    slot: int
    state: str
    in_flight: int
    waiting: int = 0  # for a place at a busy engine
    silent_ms: int


class Status(Struct, frozen=True, kw_only=True):
    """Everything at a glance. Times are milliseconds."""

    version: str
    control_pid: int
    control_up_ms: int
    keys: int
    are_keys_ready: bool
    fleet_generation: int
    models: tuple[str, ...]
    engines: list[EngineView]
    workers: list[WorkerView]


class StatusReader:
    """Puts a status together out of what the parts of the house say."""

    def __init__(
        self,
        segment: StatusSegment,
        workers_max: int,
        engines: Callable[[], Sequence[EngineView]],
        fleet: Callable[[], Fleet],
    ) -> None:
        self._segment = segment
        self._workers_max = workers_max
        self._engines = engines
        self._fleet = fleet
        self._started_ms = monotonic_ms()

    def read(self) -> Status:
        """The status now."""
        fleet = self._fleet()
        return Status(
            version=VERSION,
            control_pid=os.getpid(),
            control_up_ms=monotonic_ms() - self._started_ms,
            keys=self._segment.key_count(),
            are_keys_ready=self._segment.keys_ready,
            fleet_generation=fleet.generation,
            models=tuple(route.id for route in fleet.routes),
            engines=list(self._engines()),
            workers=self._workers(),
        )

    def _workers(self) -> list[WorkerView]:
        states = {slot: self._segment.worker_state(slot) for slot in range(self._workers_max)}
        return [
            self._worker(slot, STATE_NAMES[int(state)])
            for slot, state in states.items()
            if state != WorkerState.FREE
        ]

    def _worker(self, slot: int, state: str) -> WorkerView:
        beat_ms = self._segment.heartbeat_ms(slot)
        return WorkerView(
            slot=slot,
            state=state,
            in_flight=self._segment.worker_in_flight(slot),
            waiting=self._segment.worker_waiting(slot),
            silent_ms=max(monotonic_ms() - beat_ms, 0) if beat_ms else 0,
        )


def status_route(reader: StatusReader) -> BaseRouteHandler:
    """The handler, to be placed under /control."""

    @get("/status", sync_to_thread=False)
    def show_status() -> Status:
        return reader.read()

    return show_status
