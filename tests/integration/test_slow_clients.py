"""Clients that send slowly, read slowly or not at all, or leave: sockets are freed, others served.

`TOKENMILL_TEST_SLOW_CLIENTS` says how many there are of each kind (a few unless it is set).
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from tests.support.gateway import BEARER, CHAT, SECRET, Gateway, running_gateway
from tests.support.relays import until
from tests.support.scripted_upstream import (
    DONE,
    LAST_CHUNK,
    Hang,
    ScriptedUpstream,
    Step,
    Wait,
    chunk,
    good_stream,
    head,
    piece,
    usage_event,
    whole,
)
from tokenmill._native import COUNTERS
from tokenmill.settings import BodyBounds, ForwardSettings, HttpSettings

COUNT = int(os.environ.get("TOKENMILL_TEST_SLOW_CLIENTS", "100"))
HURRIED = BodyBounds(
    body_bytes_max=100_000, body_deadline_base_ms=3_000, body_bytes_per_s_min=1_000_000
)
IMPATIENT = ForwardSettings(reader_stall_ms=500, buffer_bytes_max=16_384)
COMPLETION = COUNTERS.index('tokenmill_tokens_total{kind="completion"}')


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as server:
        server.always(*whole({"choices": [{}]}))
        yield server


@pytest.fixture
async def gateway(tmp_path: Path, upstream: ScriptedUpstream) -> AsyncIterator[Gateway]:
    changes = {"bounds": HURRIED, "forward": IMPATIENT, "http": HttpSettings(header_read_ms=2_000)}
    one_each = httpx.Limits(max_keepalive_connections=0)
    async with (
        running_gateway(tmp_path, upstream.url, **changes) as running,
        httpx.AsyncClient(base_url=running.url, timeout=20, limits=one_each) as client,
    ):
        running.client = client  # a kept connection may be idle for as short a time as a slow one
        yield running


HEAD = (
    f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {SECRET}\r\n"
    "content-type: application/json\r\n"
).encode()

Slowness = Callable[[Gateway], Awaitable[bytes]]


async def dribble(gateway: Gateway, first: bytes, rest: bytes) -> bytes:
    """Sends a byte a tenth of a second until the gateway has enough of it; what it said."""
    async with gateway.connect() as (reader, writer):
        writer.write(first)
        reading = asyncio.ensure_future(reader.read(65_536))
        for at in range(len(rest)):
            if reading.done():
                break
            with contextlib.suppress(ConnectionError):
                writer.write(rest[at : at + 1])
                await writer.drain()
            await asyncio.wait({reading}, timeout=0.1)
        with contextlib.suppress(ConnectionError):
            return await reading
        return b""


async def slow_first_line(gateway: Gateway) -> bytes:
    return await dribble(gateway, b"", b"GET /" + b"x" * 1_000)


async def slow_headers(gateway: Gateway) -> bytes:
    return await dribble(gateway, HEAD, b"x-a: " + b"b" * 1_000)


async def slow_body(gateway: Gateway) -> bytes:
    return await dribble(gateway, HEAD + b"content-length: 1000\r\n\r\n", b" " * 1_000)


async def slow_chunks(gateway: Gateway) -> bytes:
    return await dribble(gateway, HEAD + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 200)


async def silence(gateway: Gateway) -> bytes:
    async with gateway.connect() as (reader, _):
        return await reader.read()


SLOWNESSES: dict[str, tuple[Slowness, bytes]] = {
    "first line": (slow_first_line, b""),
    "headers": (slow_headers, b""),
    "body": (slow_body, b"HTTP/1.1 408 "),
    "chunks": (slow_chunks, b"HTTP/1.1 408 "),
    "nothing at all": (silence, b""),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", SLOWNESSES)
async def test_many_that_send_slowly_do_not_stop_a_good_client(gateway: Gateway, name: str) -> None:
    slowness, wanted = SLOWNESSES[name]
    slow = [asyncio.create_task(slowness(gateway)) for _ in range(COUNT)]
    answered = 0
    while not all(task.done() for task in slow):
        answer = await gateway.chat()
        assert answer.status_code == 200
        answered += 1
        await asyncio.sleep(0.01)
    assert answered > 0
    assert all(task.result().startswith(wanted) for task in slow)


@pytest.mark.timeout(120)
async def test_many_that_do_not_read_do_not_stop_a_good_client(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    flood = [chunk(piece("x" * 1_000))] * 8_000
    for _ in range(COUNT // 4):
        upstream.play(head(), *flood, Hang())
    async with contextlib.AsyncExitStack() as opened:
        for _ in range(COUNT // 4):
            _, writer = await opened.enter_async_context(gateway.connect())
            writer.write(gateway.raw_chat(stream=True))
        await upstream.request_count(COUNT // 4)
        assert (await gateway.chat()).status_code == 200
        # They are cut: nothing is in flight and the engine is rid of them.
        await until(lambda: gateway.segment.worker_in_flight(1) == 0, seconds=60)
        assert (await gateway.chat()).status_code == 200


async def test_one_that_reads_a_little_at_a_time_gets_all_of_it(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    """Slower than the engine, and never so slow that nothing leaves for `reader_stall_ms`."""
    count = 400
    pieces = [chunk(piece("x" * 2_000, made=made)) for made in range(1, count + 1)]
    ending = [chunk(piece("", "stop", made=count)), chunk(usage_event(3, count)), chunk(DONE)]
    upstream.play(head(), *pieces, *ending, LAST_CHUNK)
    forward = ForwardSettings(reader_stall_ms=5_000, buffer_bytes_max=16_384)
    async with (
        running_gateway(tmp_path, upstream.url, forward=forward) as gateway,
        gateway.connect() as (reader, writer),
    ):
        writer.write(gateway.raw_chat(stream=True))
        received = b""
        while not received.endswith(b"0\r\n\r\n"):
            part = await reader.read(8_192)
            assert part, "it was cut"
            received += part
            await asyncio.sleep(0.002)
    assert received.count(b"x" * 2_000) == count
    assert b"[DONE]" in received


LENGTH = 6


@pytest.mark.parametrize("seen", range(LENGTH + 3))
async def test_a_client_that_leaves_after_any_chunk_is_counted_up_to_there(
    gateway: Gateway, upstream: ScriptedUpstream, seen: int
) -> None:
    """After the head (0), after each word, after the end of them, after `[DONE]`."""
    gates = [asyncio.Event() for _ in range(LENGTH + 2)]
    events = [piece(f"w{made} ", made=made) for made in range(1, LENGTH + 1)]
    events += [piece("", "stop", made=LENGTH), usage_event(3, LENGTH) + DONE]
    script = [step for gate, one in zip(gates, events, strict=True) for step in _gated(gate, one)]
    upstream.play(head(), *script, LAST_CHUNK)
    async with gateway.connect() as (reader, writer):
        writer.write(gateway.raw_chat(stream=True))
        await upstream.request_count(1)
        received = b""
        for gate in gates[:seen]:
            gate.set()
            mark = received.count(b"data: ") + 1
            while received.count(b"data: ") < mark:
                part = await asyncio.wait_for(reader.read(65_536), 10)
                assert part, (received, upstream.requests)
                received += part
        writer.transport.abort()
    await until(lambda: gateway.segment.worker_in_flight(1) == 0, seconds=10)
    assert gateway.segment.totals()[COMPLETION] == min(seen, LENGTH)
    if seen < len(gates):
        await asyncio.wait_for(upstream.gone.wait(), 5)
    assert (await gateway.chat()).status_code == 200


def _gated(gate: asyncio.Event, data: bytes) -> tuple[Step, Step]:
    return Wait(gate), chunk(data)


LEFT_IN = {
    "the first line": b"POST /v1/ch",
    "the headers": HEAD,
    "the body": HEAD + b'content-length: 100\r\n\r\n{"mess',
    "a chunk": HEAD + b'transfer-encoding: chunked\r\n\r\n5\r\n{"m',
}


@pytest.mark.parametrize("place", LEFT_IN)
async def test_a_client_that_leaves_while_it_sends_costs_nothing(
    gateway: Gateway, upstream: ScriptedUpstream, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        async with gateway.connect() as (_, writer):
            writer.write(LEFT_IN[place])
            await writer.drain()
            writer.transport.abort()
    models = await gateway.client.get("/v1/models", headers=BEARER)
    assert models.status_code == 200
    assert upstream.requests == []
    assert not [record for record in caplog.records if record.exc_info]


BOMBS = {
    "a header of a megabyte": b"x-a: " + b"b" * 1_000_000,
    "a key of ten megabytes": b"authorization: Bearer " + b"b" * 10_000_000,
    "five hundred headers": b"\r\n".join(b"x-%d: b" % number for number in range(500)),
}


@pytest.mark.parametrize("name", BOMBS)
async def test_a_bomb_in_the_headers_is_refused(gateway: Gateway, name: str) -> None:
    request = b"GET /v1/models HTTP/1.1\r\nhost: x\r\n" + BOMBS[name] + b"\r\n\r\n"
    with contextlib.suppress(ConnectionError):  # it had not taken all of it when it closed
        assert (await gateway.exchange(request)).startswith(b"HTTP/1.1 431 ")
    assert (await gateway.chat()).status_code == 200


async def test_a_good_stream_is_served_after_all_of_it(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.play(*good_stream("Hi"))
    assert "[DONE]" in (await gateway.chat(stream=True)).text
