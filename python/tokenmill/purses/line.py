"""One connection to Redis that all requests of a worker share: commands go out as they come, and
answers come back in their order.

Of the protocol (RESP2) only what the script needs. redis-py's asyncio client and its pool of
connections take half as much again of a worker's time, which is what admission costs there.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import Any, cast

from tokenmill.purses.address import RedisServer

WAITING_MAX = 10_000
ANSWER_BYTES_MAX = 1024 * 1024
"""Far more than INFO says, which is the longest answer that is asked for."""

_LINE_END = b"\r\n"


class LineLost(Exception):
    """The connection is over; whatever was asked may have been done."""


class Refusal(Exception):
    """Redis answered with an error."""


class Incomplete(Exception):
    """The rest of the answer has not come yet."""


class Line(asyncio.Protocol):
    """An open connection. Used on one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.WriteTransport | None = None
        self._received = bytearray()
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self.is_over = False

    def ask(self, *parts: bytes | str | int) -> "asyncio.Future[Any]":
        """The answer to a command. Its errors: Refusal, LineLost."""
        answer: asyncio.Future[Any] = self._loop.create_future()
        if self._transport is None or self.is_over or len(self._waiting) >= WAITING_MAX:
            answer.set_exception(LineLost("there is no connection, or too much waits for it"))
            return answer
        self._waiting.append(answer)
        self._transport.write(encode(parts))
        return answer

    def close(self, reason: str = "closed") -> None:
        """Nothing is answered any more."""
        self._lose(LineLost(reason))
        if self._transport is not None:
            self._transport.abort()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's are no subclasses

    def data_received(self, data: bytes) -> None:
        self._received += data
        try:
            for answer in self._answers():
                self._deliver(answer)
        except ValueError as error:
            self.close(str(error))

    def connection_lost(self, error: Exception | None) -> None:
        self._lose(LineLost(str(error or "Redis closed the connection")))

    def _answers(self) -> Iterator[Any]:
        while self._received:
            try:
                answer, end = decode(self._received, 0)
            except Incomplete:
                if len(self._received) > ANSWER_BYTES_MAX:
                    raise ValueError("an answer is too long") from None
                return
            del self._received[:end]
            yield answer

    def _deliver(self, answer: Any) -> None:
        if not self._waiting:
            raise ValueError("an answer that nobody asked for")
        future = self._waiting.popleft()
        if future.done():  # whoever asked has left
            return
        if isinstance(answer, Refusal):
            future.set_exception(answer)
        else:
            future.set_result(answer)

    def _lose(self, error: LineLost) -> None:
        self.is_over = True
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(error)


async def open_line(server: RedisServer) -> Line:
    """An open line that is logged in. Raises: OSError, Refusal, LineLost."""
    loop = asyncio.get_running_loop()
    context = server.tls_context()
    if server.path:
        _, line = await loop.create_unix_connection(Line, server.path)
    else:
        _, line = await loop.create_connection(Line, server.host, server.port, ssl=context)
    is_open = False
    try:
        if server.password:
            user = (server.user,) if server.user else ()
            await line.ask("AUTH", *user, server.password)
        if server.database:
            await line.ask("SELECT", server.database)
        is_open = True
    finally:
        if not is_open:
            line.close()
    return line


def encode(parts: tuple[bytes | str | int, ...]) -> bytes:
    """A command as it is sent."""
    pieces = [b"*%d\r\n" % len(parts)]
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        pieces.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(pieces)


def decode(data: bytearray, start: int) -> tuple[Any, int]:
    """The answer that begins at `start`, and where it ends. Raises: Incomplete, ValueError."""
    end = data.find(_LINE_END, start)
    if end < 0:
        raise Incomplete
    kind, text, after = data[start], bytes(data[start + 1 : end]), end + 2
    match kind:
        case 0x3A:  # :
            return int(text), after
        case 0x24:  # $
            return _decode_text(data, int(text), after)
        case 0x2A:  # *
            found = []
            for _ in range(int(text)):
                one, after = decode(data, after)
                found.append(one)
            return found, after
        case 0x2B:  # +
            return text, after
        case 0x2D:  # -
            return Refusal(text.decode(errors="replace")), after
    raise ValueError("this is not Redis")


def _decode_text(data: bytearray, length: int, start: int) -> tuple[bytes | None, int]:
    if length < 0:
        return None, start
    end = start + length
    if len(data) < end + 2:
        raise Incomplete
    return bytes(data[start:end]), end + 2
