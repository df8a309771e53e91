"""CPU of a worker per request and per chunk, beside an app that does nothing on the same server.

    python benches/load/gateway_cpu.py [--requests 20000] [--connections 32]

Three processes: an engine that answers at once from memory, the worker's app (or the empty one) on
the real server, and this one, which loads it over kept connections and reads the CPU time of the
served process from /proc. Linux only. Run it on a quiet machine with a release build: CPU seconds
stretch when cores are shared.
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import msgspec
import uvloop

from tokenmill._native import Forwarder, Segment
from tokenmill.asgi_server import AsgiApp, AsgiServer, Message, Receive, Send, run_loop
from tokenmill.gateway.app import build_app
from tokenmill.gateway.worker import forward_limits
from tokenmill.keys.rules import ALL_SCOPES, digest, make_secret
from tokenmill.listening import listen_tcp
from tokenmill.models.fleet import Engine, Fleet, Route, fleet_path
from tokenmill.settings import SegmentSettings, Settings

SECRET = make_secret("b" * 36)
MODEL = "bench-model"
CHUNKS = 200
ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello there!"}}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
    }
).encode()


def stream_body() -> bytes:
    """A burst of chunks as vLLM sends them, with continuous usage."""
    lines = []
    for number in range(CHUNKS + 1):
        choices = [{"index": 0, "delta": {"content": f"tok{number} "}, "finish_reason": None}]
        usage = {"prompt_tokens": 5, "completion_tokens": number, "total_tokens": 5 + number}
        last = number == CHUNKS
        data = {"id": "c", "model": MODEL, "choices": [] if last else choices, "usage": usage}
        lines.append(f"data: {json.dumps(data)}\n\n")
    return "".join([*lines, "data: [DONE]\n\n"]).encode()


def framed(body: bytes, kind: str) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


class InstantEngine(asyncio.Protocol):
    """Answers each request in one write."""

    transport: asyncio.Transport
    whole = framed(ANSWER, "application/json")
    stream = framed(stream_body(), "text/event-stream")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.received = cast("asyncio.Transport", transport), b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        while (end := self.received.find(b"\r\n\r\n") + 4) > 3:
            head = self.received[:end].lower()
            size = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            if len(self.received) < end + size:
                return
            body, self.received = self.received[end : end + size], self.received[end + size :]
            self.transport.write(self.stream if b'"stream":true' in body else self.whole)


async def serve_engine(listener: socket.socket) -> None:
    server = await asyncio.get_running_loop().create_server(InstantEngine, sock=listener)
    await server.serve_forever()


async def empty_app(_scope: Message, receive: Receive, send: Send) -> None:
    """What the server costs by itself."""
    await receive()
    size = b"%d" % len(ANSWER)
    headers = [(b"content-type", b"application/json"), (b"content-length", size)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER, "more_body": False})


def gateway_app(folder: Path, engine_port: str) -> AsgiApp:
    """A worker's app with one key and one engine."""
    sizes = SegmentSettings(keys_max=64, workers_max=4, engines_max=16)
    settings = Settings(state=folder, segment=sizes)
    path = str(folder / "hot.segment")
    segment = Segment.create(path, keys_max=64, workers_max=4, engines_max=16)
    owner = {"key_id": 1, "account_id": 1, "tier": 3, "scopes": int(ALL_SCOPES)}
    segment.put_key(digest(SECRET), **owner, expires_at_s=0)
    url = f"http://127.0.0.1:{engine_port}"
    engine = Engine(slot=0, name="bench", url=url, kind="vllm", state="serving")
    route = Route(
        id=MODEL, task="generate", pool=0, engine_model=MODEL, created=1, owned_by="bench"
    )
    fleet = Fleet(generation=1, engines=(engine,), pools=((0,),), routes=(route,))
    fleet_path(folder).write_bytes(msgspec.json.encode(fleet))
    segment.publish_fleet(1)
    segment.set_keys_ready()
    forwarder = Forwarder(segment, 0, forward_limits(settings.forward))
    return build_app(settings, segment, forwarder, 0, str(folder / "control.sock"))


async def serve_app(app: AsgiApp, listener: socket.socket) -> None:
    await AsgiServer(app, listener.detach()).run()


class Load:
    """Keeps `connections` busy until `count` answers are there."""

    def __init__(self, port: int, count: int, connections: int, *, is_stream: bool) -> None:
        fields: dict[str, Any] = {"model": MODEL, "max_tokens": 500, "temperature": 0.7}
        fields["messages"] = [{"role": "user", "content": "What is machine learning?"}]
        body = json.dumps(fields | ({"stream": True} if is_stream else {})).encode()
        lines = ["POST /v1/chat/completions HTTP/1.1", "host: bench", "accept: application/json"]
        lines += [f"authorization: Bearer {SECRET}", "user-agent: OpenAI/Python 3.54.0"]
        lines += [f"x-stainless-{name}: value" for name in ("lang", "os", "arch", "runtime")]
        lines += ["content-type: application/json", f"content-length: {len(body)}", "", ""]
        self.request = "\r\n".join(lines).encode() + body
        self.end = b"0\r\n\r\n" if is_stream else ANSWER[-20:]
        self.port, self.count, self.connections = port, count, connections
        self.done = 0

    async def run(self) -> None:
        await asyncio.gather(*(self._one() for _ in range(self.connections)))

    async def _one(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)
        while self.done < self.count:
            self.done += 1
            writer.write(self.request)
            answer = await reader.readuntil(self.end)
            assert answer.startswith(b"HTTP/1.1 200"), answer[:500]
        writer.close()


def cpu_seconds(process: int) -> float:
    """User and system time of a process so far, all threads."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start(role: str, folder: Path, *arguments: str) -> tuple[subprocess.Popen[bytes], int]:
    """A process of this file in `role`, and its port."""
    port_file = folder / f"{role}.port"
    command = [sys.executable, __file__, "--role", role, "--folder", str(folder), *arguments]
    process = subprocess.Popen(command)
    while not (port_file.exists() and port_file.read_text()):
        time.sleep(0.05)
    return process, int(port_file.read_text())


def measure(process: int, load: Load) -> dict[str, float]:
    uvloop.run(Load(load.port, 500, load.connections, is_stream=load.end == b"0\r\n\r\n").run())
    began, used = time.monotonic(), cpu_seconds(process)
    uvloop.run(load.run())
    seconds, used = time.monotonic() - began, cpu_seconds(process) - used
    return {
        "requests_per_s": round(load.done / seconds),
        "cpu_us_per_request": round(used / load.done * 1e6, 1),
    }


def run_all(requests: int, connections: int) -> dict[str, Any]:
    """The figures: the empty app, whole answers, streams."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        engine, engine_port = start("engine", folder)
        empty, empty_port = start("empty", folder)
        gateway, port = start("gateway", folder, "--engine-port", str(engine_port))
        try:
            nothing = measure(empty.pid, Load(empty_port, requests, connections, is_stream=False))
            whole = measure(gateway.pid, Load(port, requests, connections, is_stream=False))
            load = Load(port, requests // 10, connections, is_stream=True)
            stream = measure(gateway.pid, load)
        finally:
            for process in (engine, empty, gateway):
                process.kill()
                process.wait()
    stream["cpu_us_per_chunk"] = round(stream["cpu_us_per_request"] / CHUNKS, 2)
    return {"empty_app": nothing, "whole": whole, f"stream_of_{CHUNKS}_chunks": stream}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--role", default="")
    parser.add_argument("--folder", type=Path, default=Path())
    parser.add_argument("--engine-port", default="")
    given = parser.parse_args()
    if not given.role:
        print(json.dumps(run_all(given.requests, given.connections), indent=2))
        return
    listener = listen_tcp("127.0.0.1", 0)
    (given.folder / f"{given.role}.port").write_text(str(listener.getsockname()[1]))
    if given.role == "engine":
        uvloop.run(serve_engine(listener))
    elif given.role == "empty":
        run_loop(serve_app(empty_app, listener))
    else:
        run_loop(serve_app(gateway_app(given.folder, given.engine_port), listener))


if __name__ == "__main__":
    main()
