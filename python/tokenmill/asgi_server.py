"""The one file that leans on Granian: an ASGI app served from an inherited listening socket.

Workers, control and the embedded engine call it; it knows nothing of what they serve. It leans on
`granian.server.embed.Server`, on its private `_init_shared_socket`, `_spawn_asgi_worker` and
`_serve`, on the three arguments of `SocketHolder` and on the scheduler that requests are given to
(Granian is pinned; tests/integration/test_asgi_server.py pins the behaviour). Listening sockets are
made by `listening.py`, which sets TCP_NODELAY on them.
"""

import asyncio
import logging
import os
import resource
import socket
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop
from granian._granian import ASGIWorker, CallbackScheduler, SocketHolder
from granian.constants import HTTPModes, Interfaces, TaskImpl
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import AsyncWorker, Server
from msgspec import Struct

from tokenmill.asgi_requests import Arrivals, AsgiApp, Message, Receive, Send
from tokenmill.listening import BACKLOG
from tokenmill.stop_signal import StopSignal

__all__ = ["AsgiApp", "AsgiServer", "Message", "Receive", "Send"]

T = TypeVar("T")

_OWN_DESCRIPTORS = 256  # what a process needs beside its connections: files, pipes, engine pools

logger = logging.getLogger(__name__)


class ServerBounds(Struct, frozen=True, kw_only=True):
    """Bounds of one server. `connections_max` counts idle connections too."""

    connections_max: int = 20_000
    header_read_ms: int = 60_000  # also how long a kept connection may be idle
    end_s: float = 30.0  # how long connections may take to end after the stop


class _SocketServer(Server):
    """Granian's embedded server on a descriptor that is already bound."""

    def __init__(self, app: AsgiApp, descriptor: int, bounds: ServerBounds) -> None:
        self._descriptor = descriptor
        super().__init__(
            app,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=bounds.header_read_ms),
            websockets=False,
            backlog=BACKLOG,
            backpressure=bounds.connections_max,
            runtime_blocking_threads=1,
            task_impl=TaskImpl.asyncio,
            # Granian's own loggers, without handlers of their own: what it reports goes to ours.
            log_dictconfig={"handlers": {}, "loggers": {"_granian": {}}},
            log_level=LogLevels.error,
        )

    def _init_shared_socket(self) -> None:
        holder: Any = SocketHolder  # its stub omits the arguments
        self._shd = holder(self._descriptor, _is_unix(self._descriptor), BACKLOG)

    async def run(self) -> None:
        granian: Any = super()
        await granian._serve(_serve_arrivals, lambda: self.target)

    def end(self) -> None:
        granian: Any = super()
        granian.signal_handler_interrupt()


@AsyncWorker.wrap_target  # type: ignore[untyped-decorator]
async def _serve_arrivals(
    number: int, stop: Any, app: AsgiApp, sock: Any, loop: Any, *options: Any
) -> None:
    """What Granian's own `_spawn_asgi_worker` does, with requests given to `Arrivals`."""
    *runtime, _task_impl, mode, http1, http2, websockets, static, _log, tls, _scope = options
    stopped = loop.create_future()
    stop.add_cb(lambda: loop.call_soon_threadsafe(stopped.set_result, None))
    made: tuple[Any, Any] = ASGIWorker, CallbackScheduler  # their stubs omit arguments
    worker = made[0](
        number, sock, None, *runtime, mode, http1, http2, websockets, static, *tls, (None, None)
    )
    arrivals = Arrivals(loop, app)
    scheduler = made[1](loop, app, None, None, None)
    scheduler._schedule_fn = arrivals.take
    is_unix = (sock[0] or sock[1]).is_uds()
    (worker.serve_async_uds if is_unix else worker.serve_async)(scheduler, loop, stop)
    try:
        await stopped
    finally:
        arrivals.close()


class AsgiServer:
    """A server on `listen_fd`, which it owns from now on. One event loop, one I/O thread."""

    def __init__(self, app: AsgiApp, listen_fd: int, bounds: ServerBounds | None = None) -> None:
        self.bounds = bounds or ServerBounds()
        self._listen_fd = listen_fd
        self._accepting = True
        self._server = _SocketServer(app, listen_fd, self.bounds)

    async def run(self) -> None:
        """Serves; returns when `stop` was called and every connection has ended."""
        raise_descriptor_limit(self.bounds.connections_max + _OWN_DESCRIPTORS)
        try:
            await self._server.run()
        finally:
            self._accepting = (
                False  # Granian has closed the descriptor; its number may be another's
            )
        if self._server.interrupt_children:
            raise RuntimeError("the HTTP server ended by itself; its error is logged above")

    def stop_accepting(self) -> None:
        """Leaves new connections to the other holders of the socket; keeps those there are.

        Granian can only stop accepting and close idle connections in one go, and then resets
        connections whose first request it has not read yet. So its descriptor is exchanged for a
        socket that nobody connects to, under its feet: epoll goes on, accept finds nothing.
        """
        if self._accepting:
            self._accepting = False
            with socket.socket() as nobody:
                nobody.bind(("127.0.0.1", 0))
                nobody.listen(1)
                nobody.setblocking(False)
                os.dup2(nobody.fileno(), self._listen_fd, inheritable=False)

    def stop(self) -> None:
        """Stops accepting, closes idle connections, lets each other one end after its answer."""
        self.stop_accepting()
        self._server.end()


async def serve(
    app: AsgiApp,
    *,
    listen_fd: int,
    stop: StopSignal,
    bounds: ServerBounds | None = None,
) -> bool:
    """Serves `app` until it is told to stop; whether all ended by itself.

    Then: no new connections, running answers end, at most `bounds.end_s`. A second signal cuts what
    is left. The caller ends the process after False: connections may still be open.
    """
    server = AsgiServer(app, listen_fd, bounds)
    running = asyncio.create_task(server.run())
    wanted = asyncio.create_task(stop.wanted.wait())
    await asyncio.wait({running, wanted}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        wanted.cancel()
        await running
        return True
    server.stop()
    return await ended(running, stop, server.bounds.end_s)


async def ended(running: asyncio.Task[None], stop: StopSignal, timeout_s: float) -> bool:
    """Whether `running` ends within `timeout_s` and before a second signal."""
    urgent = asyncio.create_task(stop.urgent.wait())
    await asyncio.wait({running, urgent}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    urgent.cancel()
    if not running.done():
        return False
    await running
    return True


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """The result of `main`, run on uvloop: the loop that the native bridge is measured with."""
    return uvloop.run(main)


def raise_descriptor_limit(wanted: int) -> int:
    """The limit of open files now in force: `wanted`, or as near to it as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= allowed:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed


def _is_unix(descriptor: int) -> bool:
    with socket.socket(fileno=os.dup(descriptor)) as probe:
        return probe.family == socket.AF_UNIX
