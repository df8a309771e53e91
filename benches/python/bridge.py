"""CPU of the bare bridge: what one JSON request, one burst chunk and one paced chunk cost.

The engine is a process of its own that sends bytes made beforehand; what is counted is the CPU of
this process alone: event loop, native thread, and the kernel's work for both. No HTTP server is in
front. `python benches/python/bridge.py [--json]`; needs a release build (`maturin develop -r`).
"""

import argparse
import asyncio
import json
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from tokenmill._native import (
    AnswerKind,
    End,
    Forwarder,
    ForwardLimits,
    Relay,
    Segment,
    UsageShape,
    Whole,
)

CONNECTIONS = 32
BURST_CHUNKS = 200
PACED_CHUNKS = 100
PACED_STREAMS = 200
PACED_SECONDS = 0.02


def chunk_of(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def vllm_chunk(made: int) -> bytes:
    """As vLLM 0.32 writes it."""
    choice = {
        "index": 0,
        "delta": {"content": " token"},
        "logprobs": None,
        "finish_reason": "stop" if made == BURST_CHUNKS else None,
        "token_ids": None,
    }
    usage = {"prompt_tokens": 17, "total_tokens": 17 + made, "completion_tokens": made}
    chunk = {
        "id": "chatcmpl-0123456789abcdef0123456789abcdef",
        "object": "chat.completion.chunk",
        "created": 1763770000,
        "model": "meta-llama/Llama-3.1-8B-Instruct",
        "choices": [choice],
        "usage": usage,
    }
    return chunk_of(b"data: %s\n\n" % json.dumps(chunk, separators=(",", ":")).encode())


HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
CHUNKS = [vllm_chunk(made) for made in range(1, BURST_CHUNKS + 1)]
TAIL = chunk_of(b"data: [DONE]\n\n") + b"0\r\n\r\n"
BODY = json.dumps(
    {
        "id": "chatcmpl-1",
        "model": "meta-llama/Llama-3.1-8B-Instruct",
        "choices": [{"index": 0, "message": {"content": "word " * 60}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 17, "completion_tokens": 60, "total_tokens": 77},
    }
).encode()
WHOLE = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY)
    + BODY
)


def serve(connection: socket.socket) -> None:
    """Answers by target: /whole, /burst, /paced."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while request := connection.recv(65536):
        target = request.split(b" ", 2)[1]
        if target == b"/whole":
            connection.sendall(WHOLE)
        elif target == b"/burst":
            connection.sendall(HEAD + b"".join(CHUNKS) + TAIL)
        else:
            connection.sendall(HEAD)
            for chunk in CHUNKS[-PACED_CHUNKS:]:
                time.sleep(PACED_SECONDS)
                connection.sendall(chunk)
            connection.sendall(TAIL)


def run_engine() -> None:
    """The engine's process: prints its port, then a thread a connection."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print(listening.getsockname()[1], flush=True)
    while True:
        connection, _ = listening.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


async def drain(relay: Relay) -> None:
    """Takes everything, as the gateway does."""
    loop = asyncio.get_running_loop()
    while True:
        item = relay.take()
        if item is None:
            ready = loop.create_future()
            if not relay.notify(ready):
                await ready
        elif isinstance(item, (End, Whole)):
            return


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def cost(
    one: Callable[[], Awaitable[None]], count: int, at_once: int = CONNECTIONS
) -> tuple[float, float]:
    """CPU and wall seconds of `count` calls, `at_once` at a time."""
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            await one()

    cpu, wall = cpu_seconds(), time.perf_counter()
    await asyncio.gather(*(work() for _ in range(at_once)))
    return cpu_seconds() - cpu, time.perf_counter() - wall


async def measure(port: int, folder: Path) -> dict[str, float]:
    segment = Segment.create(str(folder / "s"), keys_max=16, workers_max=1, engines_max=1)
    minute = 60_000
    limits = ForwardLimits(
        connect_ms=minute,
        first_byte_ms=minute,
        stall_ms=minute,
        comment_ms=minute,
        reader_stall_ms=minute,
        buffer_bytes_max=1 << 20,
        event_bytes_max=1 << 20,
        answer_bytes_max=1 << 24,
        idle_connections_max=CONNECTIONS,
    )
    forwarder = Forwarder(segment, 0, limits)
    forwarder.set_fleet([(0, f"http://127.0.0.1:{port}", None)], [[0]])
    asyncio.get_running_loop().add_reader(forwarder.wake_fd(), forwarder.dispatch)
    request = json.dumps({"messages": [{"role": "user", "content": "Hi " * 50}]}).encode()

    async def ask(target: str, kind: AnswerKind) -> None:
        await drain(
            forwarder.start(
                0,
                target,
                request,
                kind=kind,
                request_id="r",
                usage=UsageShape.NONE,
                model="mine",
            )
        )

    async def whole() -> None:
        await ask("/whole", AnswerKind.WHOLE)

    async def burst() -> None:
        await ask("/burst", AnswerKind.STREAM)

    async def paced() -> None:
        await ask("/paced", AnswerKind.STREAM)

    await cost(whole, 2_000)
    figures = {}
    cpu, wall = await cost(whole, 20_000)
    figures["json_request_cpu_us"] = cpu / 20_000 * 1e6
    figures["json_requests_per_s"] = 20_000 / wall
    cpu, wall = await cost(burst, 3_000)
    figures["burst_chunk_cpu_us"] = cpu / (3_000 * BURST_CHUNKS) * 1e6
    figures["burst_chunks_per_s"] = 3_000 * BURST_CHUNKS / wall
    cpu, wall = await cost(paced, PACED_STREAMS, PACED_STREAMS)
    figures["paced_chunk_cpu_us"] = cpu / (PACED_STREAMS * PACED_CHUNKS) * 1e6
    figures["paced_chunks_per_s"] = PACED_STREAMS * PACED_CHUNKS / wall
    asyncio.get_running_loop().remove_reader(forwarder.wake_fd())
    forwarder.close()
    return {name: round(value, 2) for name, value in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    if options.engine:
        run_engine()
    command = [sys.executable, __file__, "--engine"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as engine,
        tempfile.TemporaryDirectory() as folder,
    ):
        assert engine.stdout is not None
        port = int(engine.stdout.readline())
        try:
            figures = uvloop.run(measure(port, Path(folder)))
        finally:
            engine.kill()
    if options.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:24} {value:>12,.2f}")


if __name__ == "__main__":
    main()
