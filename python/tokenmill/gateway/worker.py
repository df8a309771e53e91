"""A worker process: the data plane on the inherited listening socket.

`python -m tokenmill.gateway.worker --listen-fd N --life-fd N --settings-fd N --worker SLOT`.
Started and ended by the supervisor; imports no database and no Litestar. How it leaves:

- replaced (SIGTERM, no drain deadline in the hot segment): others accept already. It leaves new
  connections to them, answers on those it has with `Connection: close` for a moment, then closes
  what is idle; streams have `drain_seconds`.
- the house closes (SIGTERM, a deadline is set): new requests get 503 `draining`; streams have until
  the deadline.
- orphaned (the life pipe ended): it serves on until the next house does, and is then replaced. If
  none comes it leaves at once, for the port is to be free again.

At the deadline the native I/O thread ends the streams with an error event.
"""

import asyncio
import gc
import logging
import sys

from tokenmill._native import Forwarder, ForwardLimits, Segment, WorkerState
from tokenmill.asgi_server import AsgiServer, ServerBounds, ended, run_loop
from tokenmill.child import ChildSettings, ChildStart, read_start, run_child
from tokenmill.clock import monotonic_ms
from tokenmill.gateway.app import build_app
from tokenmill.gateway.spare_memory import SpareMemory, give_back
from tokenmill.handover import Handover
from tokenmill.settings import Settings
from tokenmill.state_folder import handover_socket
from tokenmill.stop_signal import StopSignal

BEAT_S = 1.0
LAME_S = 2.0
"""How long a replaced worker answers on kept connections: a busy client comes by in that time and
learns to go elsewhere; a connection that is idle for longer is closed while it is idle."""
END_MARGIN_S = 2.0
"""For the error events to leave after the drain deadline."""
_POLL_S = 0.02
GARBAGE_OBJECTS = 20_000
"""Objects that may be there beyond the last look for garbage: some megabytes, and one look for
hundreds of requests instead of one for ten."""

logger = logging.getLogger(__name__)


def main() -> bool:
    start = read_start(sys.argv[1:], "worker")
    return run_loop(work(start))


async def work(start: ChildStart) -> bool:
    """Serves until told to leave; whether every connection ended by itself."""
    child = start.child
    segment = Segment.attach(child.segment)
    worker = Worker(child, segment, start.worker)
    place = handover_socket(child.settings.state, f"worker-{start.worker}")
    stop = StopSignal(start.life_fd, Handover(place, "worker", start.listen_fd))
    running = worker.serve(start.listen_fd)
    wanted = asyncio.create_task(stop.wanted.wait())
    await asyncio.wait({running, wanted}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        await running
        raise RuntimeError("the server ended without being told to")
    return await worker.leave(running, stop)


class Worker:
    """The parts of a worker process and its way out."""

    def __init__(self, child: ChildSettings, segment: Segment, slot: int) -> None:
        self._settings = child.settings
        self._segment = segment
        self._slot = slot
        self._forwarder = Forwarder(segment, slot, forward_limits(child.settings))
        self._app = build_app(child.settings, segment, self._forwarder, slot, child.control_socket)
        self._server: AsgiServer | None = None
        self._beating: asyncio.Task[None] | None = None

    def serve(self, listen_fd: int) -> "asyncio.Task[None]":
        """The running server."""
        bounds = ServerBounds(
            connections_max=self._settings.http.connections_max,
            header_read_ms=self._settings.http.header_read_ms,
        )
        self._segment.set_worker_state(self._slot, WorkerState.STARTING)
        self._server = AsgiServer(self._app, listen_fd, bounds)
        running = asyncio.create_task(self._server.run())
        self._beating = asyncio.create_task(self._beat())
        # What start-up made stays: the collector need not walk it again. A request leaves little
        # behind that is not freed by its counts, so looking for the rest can wait.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GARBAGE_OBJECTS)
        return running

    async def leave(self, running: "asyncio.Task[None]", stop: StopSignal) -> bool:
        """Ends as the module says; whether every connection ended by itself."""
        assert self._server is not None, "leave comes after serve"
        deadline_ms = self._segment.drain_deadline_ms(self._slot)
        self._segment.set_worker_state(self._slot, WorkerState.DRAINING)
        if deadline_ms:
            self._segment.set_drain(self._slot, deadline_ms)
            self._app.lame_duck(refuse=True)
            await self._wait_for_streams(deadline_ms, stop)
        else:
            self._app.lame_duck(refuse=False)
            self._server.stop_accepting()
            if not stop.is_orphaned:
                await _wait(stop.urgent, LAME_S)
            deadline_ms = monotonic_ms() + int(self._settings.drain_seconds * 1000)
            self._segment.set_drain(self._slot, deadline_ms)
        self._server.stop()
        left_s = (deadline_ms - monotonic_ms()) / 1000 + END_MARGIN_S
        is_ended = await ended(running, stop, max(left_s, END_MARGIN_S))
        self._forwarder.close()
        await self._app.close()
        return is_ended

    async def _wait_for_streams(self, deadline_ms: int, stop: StopSignal) -> None:
        """Until nothing is in flight; new requests and those that wait for an engine are refused
        meanwhile, not left unanswered."""
        while self._is_busy() and monotonic_ms() < deadline_ms:
            if await _wait(stop.urgent, _POLL_S):
                return

    def _is_busy(self) -> bool:
        slot = self._slot
        return self._segment.worker_in_flight(slot) + self._segment.worker_waiting(slot) > 0

    async def _beat(self) -> None:
        """SERVING from the first turn of the loop on, and a sign of life every second."""
        await asyncio.sleep(0)
        self._segment.beat(self._slot)
        self._segment.set_worker_state(self._slot, WorkerState.SERVING)
        spare = SpareMemory()
        while True:
            self._segment.beat(self._slot)
            self._app.refresh()
            if spare.is_due(self._segment.worker_in_flight(self._slot)):
                await asyncio.to_thread(give_back)
            await asyncio.sleep(BEAT_S)


def forward_limits(given: Settings) -> ForwardLimits:
    """The bounds of the native I/O thread."""
    settings, queue = given.forward, given.queue
    return ForwardLimits(
        connect_ms=settings.connect_ms,
        first_byte_ms=settings.first_byte_ms,
        stall_ms=settings.stall_ms,
        comment_ms=settings.comment_ms,
        reader_stall_ms=settings.reader_stall_ms,
        buffer_bytes_max=settings.buffer_bytes_max,
        event_bytes_max=settings.event_bytes_max,
        answer_bytes_max=settings.answer_bytes_max,
        idle_connections_max=settings.idle_connections_max,
        waiting_max=queue.waiting_max,
        wait_ms=queue.wait_ms,
        hedge=given.routing.hedge,
    )


async def _wait(event: asyncio.Event, timeout_s: float) -> bool:
    """Whether the event came within the time."""
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return False
    return True


if __name__ == "__main__":
    run_child(main)
