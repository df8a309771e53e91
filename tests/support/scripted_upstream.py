"""An engine that does exactly as told: a raw TCP server that plays scripts, byte for byte.

A script is a list of steps for one request. `play` queues one for the next request, `always` sets
the one for all others. What the clients did is recorded: requests, connections, and when they went.
"""

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.support.ports import fresh_listener

JsonObject = dict[str, Any]


@dataclass(frozen=True)
class Raw:
    """Bytes as they are; each step is one write."""

    data: bytes


@dataclass(frozen=True)
class Dribble:
    """The same, a byte at a time."""

    data: bytes


@dataclass(frozen=True)
class Drip:
    """The same, with a pause after each byte."""

    data: bytes
    pause_s: float


@dataclass(frozen=True)
class Wait:
    """Goes on when the event is set."""

    event: asyncio.Event


@dataclass(frozen=True)
class Hang:
    """Says nothing until the client goes."""


@dataclass(frozen=True)
class Close:
    """Closes the connection in good order."""


@dataclass(frozen=True)
class Reset:
    """Closes it with a reset."""


Step = Raw | Dribble | Drip | Wait | Hang | Close | Reset


def head(
    status: int = 200, content_type: str = "text/event-stream; charset=utf-8", *headers: str
) -> Raw:
    """The head of a chunked answer."""
    lines = [
        f"HTTP/1.1 {status} Whatever",
        f"content-type: {content_type}",
        "transfer-encoding: chunked",
        *headers,
    ]
    return Raw("\r\n".join([*lines, "", ""]).encode())


def chunk(data: bytes) -> Raw:
    """One HTTP chunk."""
    return Raw(b"%x\r\n%s\r\n" % (len(data), data))


LAST_CHUNK = Raw(b"0\r\n\r\n")


def event(data: JsonObject | str) -> bytes:
    """One server-sent event."""
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    return f"data: {text}\n\n".encode()


def piece(text: str, finish: str | None = None, *, index: int = 0, made: int = 1) -> bytes:
    """A chat chunk with continuous usage, as vLLM sends it."""
    choice = {"index": index, "delta": {"content": text}, "finish_reason": finish}
    usage = {"prompt_tokens": 3, "completion_tokens": made, "total_tokens": 3 + made}
    return event({"id": "chatcmpl-1", "model": "engine-m", "choices": [choice], "usage": usage})


def usage_event(prompt: int, completion: int) -> bytes:
    """The chunk that closes a stream's usage."""
    usage = {"prompt_tokens": prompt, "completion_tokens": completion}
    return event({"id": "chatcmpl-1", "model": "engine-m", "choices": [], "usage": usage})


DONE = event("[DONE]")


def stream(*events: bytes) -> list[Step]:
    """A whole event stream, one chunk an event."""
    return [head(), *(chunk(one) for one in events), LAST_CHUNK]


def good_stream(*words: str) -> list[Step]:
    """A clean answer of these words."""
    pieces = [piece(word, made=made) for made, word in enumerate(words, 1)]
    count = len(words)
    return stream(*pieces, piece("", "stop", made=count), usage_event(3, count), DONE)


def whole(body: JsonObject | bytes, status: int = 200) -> list[Step]:
    """A JSON answer with its length."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n"
    return [Raw(f"{lines}content-length: {len(data)}\r\n\r\n".encode() + data)]


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass
class ScriptedUpstream:
    """The server; `async with` starts and stops it."""

    path: Path | None = None
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    connection_count: int = 0
    open_count: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client has closed a connection; clear it to wait for the next one."""
    _scripts: deque[Sequence[Step]] = field(default_factory=deque)
    _fallback: Sequence[Step] = ()
    _server: asyncio.Server | None = None
    _connections: set["_Connection"] = field(default_factory=set)
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        if self.path is not None:
            self._server = await loop.create_unix_server(self._connection, self.path)
        else:
            listener = fresh_listener()
            self._server = await loop.create_server(self._connection, sock=listener, ssl=self.tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for connection in list(self._connections):
            await connection.end()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Its base URL."""
        if self.path is not None:
            return f"unix:{self.path}"
        assert self._server is not None
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def play(self, *steps: Step) -> None:
        """The script of the next request that has none."""
        self._scripts.append(steps)

    def always(self, *steps: Step) -> None:
        """The script of every request that nothing was queued for."""
        self._fallback = steps

    async def request_count(self, count: int) -> None:
        """Waits until that many requests have come."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)

    def close_idle(self) -> None:
        """Closes every connection, as a server does with those kept too long."""
        for connection in self._connections:
            connection.transport.close()

    async def take(self, request: Request) -> Sequence[Step]:
        """Records a request; its script."""
        self.requests.append(request)
        async with self._arrived:
            self._arrived.notify_all()
        return self._scripts.popleft() if self._scripts else self._fallback

    def _connection(self) -> asyncio.Protocol:
        self.connection_count += 1
        return _Connection(self, self.connection_count)

    def opened(self, connection: "_Connection") -> None:
        """A connection stands, encrypted where that is asked for."""
        self.open_count += 1
        self._connections.add(connection)


class _Connection(asyncio.Protocol):
    """One client's connection: reads requests, plays their scripts, notes when the client goes."""

    transport: asyncio.Transport

    def __init__(self, upstream: ScriptedUpstream, number: int) -> None:
        self._upstream = upstream
        self._number = number
        self._received = bytearray()
        self._news = asyncio.Event()
        self._client_went = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._player: asyncio.Task[None] | None = None
        self._is_ours_to_close = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._upstream.opened(self)
        self._player = asyncio.ensure_future(self._serve())

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._news.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, _: Exception | None) -> None:
        self._upstream.open_count -= 1
        self._client_went.set()
        self._news.set()
        self._writable.set()
        if not self._is_ours_to_close:
            self._upstream.gone.set()

    async def end(self) -> None:
        """Stops playing and closes."""
        self._is_ours_to_close = True
        self.transport.abort()
        if self._player is not None:
            self._player.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._player

    async def _serve(self) -> None:
        while (request := await self._read_request()) is not None:
            for step in await self._upstream.take(request):
                if self._client_went.is_set():
                    return
                await self._do(step)
        self.transport.close()

    async def _do(self, step: Step) -> None:
        match step:
            case Raw(data):
                await self._write(data)
            case Dribble(data):
                for at in range(len(data)):
                    await self._write(data[at : at + 1])
                    await asyncio.sleep(0)
            case Drip(data, pause_s):
                for at in range(len(data)):
                    await self._write(data[at : at + 1])
                    await asyncio.sleep(pause_s)
            case Wait(gate):
                await gate.wait()
            case Hang():
                await self._client_went.wait()
            case Close():
                self._is_ours_to_close = True
                self.transport.close()
                await self._client_went.wait()
            case Reset():
                self._is_ours_to_close = True
                sock: socket.socket = self.transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.transport.abort()
                await self._client_went.wait()

    async def _write(self, data: bytes) -> None:
        self.transport.write(data)
        await self._writable.wait()

    async def _read_request(self) -> Request | None:
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            if not await self._more():
                return None
        lines = self._received[:end].decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ", 2)
        pairs = (line.split(":", 1) for line in lines[1:])
        headers = {name.lower(): value.strip() for name, value in pairs}
        length = int(headers.get("content-length", "0"))
        while len(self._received) < end + 4 + length:
            if not await self._more():
                return None
        body = bytes(self._received[end + 4 : end + 4 + length])
        del self._received[: end + 4 + length]
        return Request(method, target, headers, body, self._number)

    async def _more(self) -> bool:
        self._news.clear()
        if self._client_went.is_set():
            return False
        await self._news.wait()
        return not self._client_went.is_set()


@contextlib.contextmanager
def refused_url() -> Iterator[str]:
    """A URL whose connections are refused: bound, and never listening."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@contextlib.asynccontextmanager
async def unanswered_url() -> AsyncIterator[str]:
    """A URL whose connections are neither taken nor refused: its queue is full."""
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        tries = []
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            tries.append(asyncio.ensure_future(loop.sock_connect(waiting, address)))
        await asyncio.wait(tries, return_when=asyncio.FIRST_COMPLETED)
        yield f"http://127.0.0.1:{address[1]}"
        for one in tries:
            one.cancel()
        await asyncio.gather(*tries, return_exceptions=True)
