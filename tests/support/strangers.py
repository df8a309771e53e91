"""Servers that are no engine, or pretend to be one: raw bytes on a real loopback socket.

A stranger is a coroutine that gets a connection after the request's head was read. `canned` makes
one that answers by path; whoever needs worse manners writes them itself.
"""

import asyncio
import contextlib
import json
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

Manners = Callable[[str, StreamWriter], Awaitable[None]]
"""Gets the request's target and the connection to answer on."""

MODELS = {
    "object": "list",
    "data": [
        {
            "id": "tiny-chat",
            "object": "model",
            "created": 1,
            "owned_by": "vllm",
            "root": "/m",
            "parent": None,
            "max_model_len": 2048,
        }
    ],
}


@contextlib.asynccontextmanager
async def stranger(
    manners: Manners,
    *,
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    heads: list[bytes] | None = None,
) -> AsyncIterator[int]:
    """Serves on a loopback port, which is what comes out; `heads` collects what was asked."""

    guests: dict[asyncio.Task[None], StreamWriter] = {}

    async def greet(reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        guests[task] = writer
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = await reader.readuntil(b"\r\n\r\n")
            if heads is not None:
                heads.append(head)
            await manners(head.split(b" ")[1].decode(), writer)
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", port, ssl=tls)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task, writer in guests.items():
            task.cancel()
            writer.transport.abort()
        closing = (writer.wait_closed() for writer in guests.values())
        await asyncio.gather(*guests, *closing, return_exceptions=True)


def answer(body: bytes | object, status: int = 200, headers: str = "") -> bytes:
    """A whole HTTP answer; what is not bytes is sent as JSON."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return f"HTTP/1.1 {status} X\r\ncontent-length: {len(sent)}\r\n{headers}\r\n".encode() + sent


def canned(answers: Mapping[str, bytes], otherwise: bytes | None = None) -> Manners:
    """Manners that answer by path; what is not in the table is not found."""

    async def manners(target: str, writer: StreamWriter) -> None:
        writer.write(answers.get(target, otherwise or answer({"detail": "Not Found"}, 404)))
        await writer.drain()

    return manners


def vllm_answers(models: object = MODELS) -> dict[str, bytes]:
    """What a vLLM with a chat model answers, as far as discovery asks."""
    return {
        "/version": answer({"version": "0.32.0"}),
        "/v1/models": answer(models),
        "/health": answer(b""),
        "/v1/chat/completions": answer({"detail": "Method Not Allowed"}, 405),
    }
