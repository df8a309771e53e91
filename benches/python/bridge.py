"""CPU of the bare bridge: what one JSON request, one burst chunk and one paced chunk cost.

The engine is a process of its own that sends bytes made beforehand; what is counted is the CPU of
this process alone: event loop, native thread, and the kernel's work for both. No HTTP server is in
front. JSON requests and bursts are asked for with nobody paying, and paid for out of ten accounts
and out of a million (permit, admission, metering, settlement, cost, limit headers), in turns:
`money_…` is the median of the differences within a turn.
`python benches/python/bridge.py [--json]`; needs a release build (`maturin develop -r`).
"""

import argparse
import asyncio
import itertools
import json
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from statistics import median

import uvloop

from tokenmill._native import (
    AnswerKind,
    End,
    Forwarder,
    ForwardLimits,
    KeyEntry,
    Payer,
    Relay,
    Segment,
    Tariff,
    UsageShape,
    Whole,
)
from tokenmill.clock import wall_s
from tokenmill.keys.rules import digest, make_secret

CONNECTIONS = 32
JSON_COUNT = 2_000
BURST_COUNT = 200
BURST_CHUNKS = 200
PACED_CHUNKS = 100
PACED_STREAMS = 200
PACED_SECONDS = 0.02
VARIANTS = {"": 0, "_paid_by_10": 10, "_paid_by_1000000": 1_000_000}
KEYS = 1_000
STRIDE = 7_919  # accounts in no order that a prefetcher knows
MINUTE_MS = 60_000
LIMITS = ForwardLimits(
    connect_ms=MINUTE_MS,
    first_byte_ms=MINUTE_MS,
    stall_ms=MINUTE_MS,
    comment_ms=MINUTE_MS,
    reader_stall_ms=MINUTE_MS,
    buffer_bytes_max=1 << 20,
    event_bytes_max=1 << 20,
    answer_bytes_max=1 << 24,
    idle_connections_max=CONNECTIONS,
)
TARIFF = Tariff(
    model=7,
    service_class=0,
    endpoint=0,
    prompt_nanos=100,
    cached_nanos=100,
    completion_nanos=100,
)
REQUEST = json.dumps({"messages": [{"role": "user", "content": "Hi " * 50}]}).encode()


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
    while True:
        item = relay.take()
        if item is None:
            await relay
        elif isinstance(item, (End, Whole)):
            return


class Bridge:
    """A segment with some accounts, and its forwarder on the running loop."""

    def __init__(self, port: int, folder: Path, accounts: int) -> None:
        self.segment = Segment.create(
            str(folder / str(accounts)),
            keys_max=KEYS,
            workers_max=1,
            engines_max=1,
            accounts_max=accounts + 1,
            cells_max=4 * JSON_COUNT,
        )
        self._keys = [self._make_key(number, accounts) for number in range(KEYS if accounts else 0)]
        self._next_key = itertools.cycle(self._keys)
        self.forwarder = Forwarder(self.segment, 0, LIMITS)
        self.forwarder.set_fleet([(0, f"http://127.0.0.1:{port}", None)], [[0]])
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.forwarder.wake_fd(), self.forwarder.dispatch)

    async def ask(self, target: str, kind: AnswerKind) -> None:
        """One request, paid for where there are accounts."""
        key = next(self._next_key, None)
        if key is None:
            await drain(self._start(target, kind, None))
            return
        assert self.segment.take_request(key.account_id) is None
        payer = Payer(
            key,
            TARIFF,
            prompt_tokens_max=400,
            completion_tokens_max=500,
            tokens_estimate=600,
            prompt_tokens_min=40,
            enforce=True,
        )
        relay = self._start(target, kind, payer)
        await drain(relay)
        assert relay.cost_nanos > 0
        assert self.segment.limit_headers(key.account_id, wall_s())

    def _start(self, target: str, kind: AnswerKind, payer: Payer | None) -> Relay:
        relay = self.forwarder.start(
            0,
            target,
            REQUEST,
            kind=kind,
            request_id="r",
            usage=UsageShape.NONE,
            model="mine",
            payer=payer,
        )
        assert isinstance(relay, Relay)
        return relay

    def free_cells(self) -> None:
        """What the keeper does, once the ledger has them."""
        while cells := self.segment.settled_cells(JSON_COUNT):
            self.segment.free_cells(cells)

    def close(self) -> None:
        """Ends the thread."""
        self._loop.remove_reader(self.forwarder.wake_fd())
        self.forwarder.close()

    def _make_key(self, number: int, accounts: int) -> KeyEntry:
        """A key of an account somewhere among all of them."""
        account, secret = number * STRIDE % accounts + 1, make_secret(f"{number:036}")
        self.segment.put_account(
            account,
            requests_per_min=100_000_000,
            tokens_per_min=100_000_000,
            concurrency_max=0,
            weight=1,
            opening_nanos=10**15,
        )
        self.segment.put_key(
            digest(secret), key_id=number + 1, account_id=account, tier=0, scopes=1, expires_at_s=0
        )
        found = self.segment.find_key(secret.encode(), wall_s())
        assert isinstance(found, KeyEntry)
        return found


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def cost(
    one: Callable[[], Awaitable[None]], count: int, at_once: int = CONNECTIONS
) -> tuple[float, float]:
    """CPU and wall microseconds of one of `count` calls, `at_once` at a time."""
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            await one()

    cpu, wall = cpu_seconds(), time.perf_counter()
    await asyncio.gather(*(work() for _ in range(at_once)))
    scale = 1e6 / count
    return (cpu_seconds() - cpu) * scale, (time.perf_counter() - wall) * scale


async def measure(port: int, folder: Path, rounds: int) -> dict[str, float]:
    """Medians of all rounds, in each of which every variant has its turn."""
    bridges = {name: Bridge(port, folder, accounts) for name, accounts in VARIANTS.items()}
    found: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)

    for number in range(rounds + 1):  # the first one warms up
        free = (0.0, 0.0)
        for name, bridge in bridges.items():
            whole = partial(bridge.ask, "/whole", AnswerKind.WHOLE)
            burst = partial(bridge.ask, "/burst", AnswerKind.STREAM)
            cpu, wall = await cost(whole, JSON_COUNT)
            chunk_cpu, chunk_wall = await cost(burst, BURST_COUNT)
            bridge.free_cells()
            if number == 0:
                continue
            note(f"json_request_cpu_us{name}", cpu)
            note(f"burst_chunk_cpu_us{name}", chunk_cpu / BURST_CHUNKS)
            if name:
                note(f"money_json_request_cpu_us{name}", cpu - free[0])
                note(f"money_burst_chunk_cpu_us{name}", (chunk_cpu - free[1]) / BURST_CHUNKS)
            else:
                free = cpu, chunk_cpu
                note("json_requests_per_s", 1e6 / wall)
                note("burst_chunks_per_s", BURST_CHUNKS * 1e6 / chunk_wall)
    paced = partial(bridges[""].ask, "/paced", AnswerKind.STREAM)
    cpu, wall = await cost(paced, PACED_STREAMS, PACED_STREAMS)
    note("paced_chunk_cpu_us", cpu / PACED_CHUNKS)
    note("paced_chunks_per_s", PACED_CHUNKS * 1e6 / wall)
    for bridge in bridges.values():
        bridge.close()
    return {name: round(median(values), 3) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--rounds", type=int, default=7)
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
            figures = uvloop.run(measure(port, Path(folder), options.rounds))
        finally:
            engine.kill()
    if options.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:36} {value:>12,.3f}")


if __name__ == "__main__":
    main()
