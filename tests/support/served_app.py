"""A small ASGI app served by `tokenmill.asgi_server` in a process of its own: for its tests.

`python -m tests.support.served_app --listen-fd N --life-fd N --header-read-ms N --end-s S`.
Routes: `/pid`, `/stream?count=N&pause_ms=N`, `/close`, `/echo` (the body, once it is there),
`/watch` (waits for the client to go), `/watched` (whether it went). SIGUSR1 stops accepting.
"""

import argparse
import asyncio
import os
import signal
from urllib.parse import parse_qs

from tokenmill.asgi_server import (
    AsgiServer,
    Message,
    Receive,
    Send,
    ServerBounds,
    ended,
    run_loop,
)
from tokenmill.stop_signal import StopSignal


class SampleApp:
    """The routes above; remembers whether a watched client has gone."""

    def __init__(self) -> None:
        self.client_went = asyncio.Event()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        query = {name: int(found[0]) for name, found in parse_qs(_query(scope)).items()}
        match scope["path"]:
            case "/stream":
                await _start(send)
                for number in range(query["count"]):
                    await _part(send, b"chunk %d\n" % number, more=True)
                    await asyncio.sleep(query["pause_ms"] / 1000)
                await _part(send, b"", more=False)
            case "/watch":
                await _start(send)
                await _part(send, b"watching", more=True)
                while (await receive())["type"] != "http.disconnect":
                    pass
                self.client_went.set()
            case "/watched":
                await self.client_went.wait()
                await _answer(send, b"gone")
            case "/echo":
                body, more = b"", True
                while more:
                    piece = await receive()
                    body, more = body + piece["body"], piece["more_body"]
                await _answer(send, body)
            case "/close":
                await _answer(send, b"closing", (b"connection", b"close"))
            case _:
                await _answer(send, str(os.getpid()).encode())


def _query(scope: Message) -> str:
    return bytes(scope["query_string"]).decode()


async def _start(send: Send, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": list(headers)})


async def _part(send: Send, body: bytes, *, more: bool) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _answer(send: Send, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    await _start(send, (b"content-length", str(len(body)).encode()), *headers)
    await _part(send, body, more=False)


async def main() -> bool:
    """Serves until stopped; whether every connection ended by itself."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen-fd", type=int, required=True)
    parser.add_argument("--life-fd", type=int, required=True)
    parser.add_argument("--header-read-ms", type=int, default=10_000)
    parser.add_argument("--end-s", type=float, default=10.0)
    given = parser.parse_args()
    stop = StopSignal(given.life_fd)
    bounds = ServerBounds(header_read_ms=given.header_read_ms, end_s=given.end_s)
    server = AsgiServer(SampleApp(), given.listen_fd, bounds)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, server.stop_accepting)
    running = asyncio.create_task(server.run())
    await stop.wanted.wait()
    server.stop()
    return await ended(running, stop, bounds.end_s)


if __name__ == "__main__":
    os._exit(0 if run_loop(main()) else 3)
