"""Whether the client is still there while its answer is being made.

Watching costs a task, so it begins only when an answer has not come within a few milliseconds. A
client that went closes the upstream at once; one that does not read is cut after a while.
"""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from tokenmill._native import End, Head, Lack, Relay, Whole
from tokenmill.inference.exchange import ClientGone, Receive, Send

TICK_S = 0.02
"""Watching begins after one to two of these: within a sixth of the 250 ms in which an abandoned
request must be given up."""

Event = Head | Whole | bytes | Lack | End


class WatchClock:
    """Begins to watch the clients whose answers take long: one timer for all of them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._older: set[ClientWatch] = set()
        self._newer: set[ClientWatch] = set()
        self._is_running = False

    def add(self, watch: "ClientWatch") -> None:
        """`watch` begins after one to two ticks, unless it is taken out before."""
        self._newer.add(watch)
        if not self._is_running:
            self._is_running = True
            self.loop.call_later(TICK_S, self._tick)

    def discard(self, watch: "ClientWatch") -> None:
        """`watch` has seen its answer."""
        self._newer.discard(watch)
        self._older.discard(watch)

    def _tick(self) -> None:
        due, self._older, self._newer = self._older, self._newer, set()
        for watch in due:
            watch.begin()
        self._is_running = bool(self._older)
        if self._is_running:
            self.loop.call_later(TICK_S, self._tick)


class ClientWatch:
    """Waits for a relay's events and for the client's going, whichever comes first.

    Use as a context manager: leaving it closes the relay and ends the watching.
    """

    __slots__ = (
        "_clock",
        "_is_added",
        "_is_stalled",
        "_loop",
        "_owner",
        "_receive",
        "_relay",
        "_stall_s",
        "_stall_timer",
        "_task",
        "_writes",
        "_writes_seen",
        "is_gone",
    )

    def __init__(
        self, relay: Relay, receive: Receive, clock: WatchClock, reader_stall_s: float
    ) -> None:
        self._clock = clock
        self._loop = clock.loop
        self._relay = relay
        self._receive = receive
        self._stall_s = reader_stall_s
        self._owner: asyncio.Task[Any] | None = None
        self._task: asyncio.Task[None] | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._writes = self._writes_seen = 0  # odd while one is under way
        self._is_added = self._is_stalled = False
        self.is_gone = False

    def __enter__(self) -> "ClientWatch":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        if self._is_added:
            self._clock.discard(self)
        if self._stall_timer is not None:
            self._stall_timer.cancel()
        if self._task is not None:
            self._task.cancel()
        self._relay.close()
        if self._is_stalled and isinstance(error, asyncio.CancelledError):
            if self._owner is not None:
                self._owner.uncancel()
            raise ClientGone from error

    async def next_event(self) -> Event:
        """The relay's next event. Raises: ClientGone."""
        while True:
            event = self._relay.take()
            if event is not None:
                return event
            if self.is_gone:
                raise ClientGone
            if not self._is_added:
                self._is_added = True
                self._clock.add(self)
            await self._relay

    async def write(self, message: MutableMapping[str, Any], send: Send) -> None:
        """Sends a piece of a stream. Raises: ClientGone, from the context, if it is not read."""
        if self._stall_timer is None:
            self._owner = asyncio.current_task(self._loop)
            self._stall_timer = self._loop.call_later(self._stall_s, self._check_stall)
        self._writes += 1
        await send(message)
        self._writes += 1

    def begin(self) -> None:
        """Watches from now on."""
        self._task = self._loop.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                break
        self.is_gone = True
        self._relay.wake()
        self._relay.close()

    def _check_stall(self) -> None:
        """Cuts the stream when one write took all of the time since the last look."""
        if self._writes % 2 and self._writes == self._writes_seen:
            self._is_stalled = True
            if self._owner is not None:
                self._owner.cancel()
            return
        self._writes_seen = self._writes
        self._stall_timer = self._loop.call_later(self._stall_s, self._check_stall)
