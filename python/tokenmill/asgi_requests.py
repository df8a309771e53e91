"""How a request that Granian hands over becomes a task: with the first piece of its body at hand.

Granian hands a request over on a thread of its own and wakes the event loop for it. Asking for the
body then goes through two more threads and wakes the loop again. So it is asked for here, where the
request is handed over, and the loop hears of both at once. A request whose body keeps it waiting
begins without it, so whoever counts the time that a body takes can do so.

`asgi_server.py` alone uses it; it leans on what Granian calls a watcher.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import Context, copy_context
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Message, Receive, Send], Awaitable[None]]

TICK_S = 0.25
"""A request begins without a body after one to two of these."""

_WITH_BODY = frozenset(("POST", "PUT", "PATCH"))


class Arrivals:
    """The requests of one app that wait for the first piece of their bodies."""

    def __init__(self, loop: asyncio.AbstractEventLoop, app: AsgiApp) -> None:
        self.loop = loop
        self.app = app
        self._context = copy_context()
        self._newer: set[Arrival] = set()
        self._older: set[Arrival] = set()
        self._timer = loop.call_later(TICK_S, self._tick)

    def take(self, watcher: Any) -> None:
        """Takes a request over. On Granian's thread: the body's first piece is told on it too, so
        it cannot be there before it is waited for."""
        arrival = Arrival(self, watcher)
        scope = watcher.scope
        if scope["method"] in _WITH_BODY and not _asks_before_it_sends(scope):
            self._newer.add(arrival)
            arrival.ask(self._context)
        else:
            self.loop.call_soon_threadsafe(arrival.begin, context=self._context)

    def discard(self, arrival: "Arrival") -> None:
        """It waits no longer."""
        self._newer.discard(arrival)
        self._older.discard(arrival)

    def close(self) -> None:
        """Nothing comes any more."""
        self._timer.cancel()

    def _tick(self) -> None:
        due, self._older, self._newer = self._older, self._newer, set()
        for arrival in due:
            arrival.begin()
        self._timer = self.loop.call_later(TICK_S, self._tick)


class Arrival:
    """One request on its way to its task, then the `receive` of that."""

    __slots__ = ("_arrivals", "_first", "_has_begun", "_watcher")

    def __init__(self, arrivals: Arrivals, watcher: Any) -> None:
        self._arrivals = arrivals
        self._watcher = watcher
        self._first: Any = None  # the piece that was asked for, until it is taken
        self._has_begun = False

    def ask(self, context: Context) -> None:
        """Asks for the first piece; the task begins with it."""
        self._first = self._watcher.proto.receive()
        self._first.add_done_callback(self.begin, context)

    def begin(self, _piece: object = None) -> None:
        """Makes the task, unless it is there."""
        if self._has_begun:
            return
        self._has_begun = True
        self._arrivals.discard(self)
        # Granian keeps it: the loop alone does not.
        self._watcher.taskref(self._arrivals.loop.create_task(self._run()))

    def receive(self) -> Awaitable[Message]:
        """The next piece, as ASGI has it."""
        first = self._first
        if first is None:
            asked: Awaitable[Message] = self._watcher.proto.receive()
            return asked
        self._first = None
        piece: Awaitable[Message] = first
        return piece

    async def _run(self) -> None:
        watcher = self._watcher
        try:
            await self._arrivals.app(watcher.scope, self.receive, watcher.proto.send)
        finally:
            # The piece holds what waits for it, and Python's collector does not see that. One that
            # nobody took keeps the connection from its end.
            first, self._first = self._first, None
            if first is not None:
                first.cancel()
            watcher.done()


def _asks_before_it_sends(scope: Message) -> bool:
    """Whether the client waits to be told that its body is wanted: that is for the app to say."""
    return any(name == b"expect" for name, _ in scope["headers"])
