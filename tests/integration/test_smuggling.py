"""Requests whose end is a matter of opinion: here there is one opinion, and it is a proxy's too.

A request that could be read in two ways is refused, or is the last of its connection.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.front_proxies import PROXIES, front_proxy
from tests.support.gateway import BEARER, Gateway, running_gateway
from tests.support.scripted_upstream import ScriptedUpstream, whole
from tests.support.smuggling import CORPUS, MARKER
from tokenmill._native import COUNTERS

STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
QUIET_S = 2.0
"""After it a proxy is believed to say no more."""
ANSWERED = [n for n, name in enumerate(COUNTERS) if name.startswith("tokenmill_requests_total")]


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as server:
        server.always(*whole({"choices": [{}]}))
        yield server


@pytest.fixture
async def gateway(tmp_path: Path, upstream: ScriptedUpstream) -> AsyncIterator[Gateway]:
    async with running_gateway(tmp_path, upstream.url) as running:
        yield running


async def exchange(port: int, data: bytes, quiet_s: float = QUIET_S) -> tuple[bytes, bool]:
    """What comes back, and whether the connection was closed then."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    try:
        writer.write(data)
        while part := await asyncio.wait_for(reader.read(65_536), quiet_s):
            received += part
    except TimeoutError:
        return received, False
    except ConnectionError:
        return received, True
    finally:
        writer.transport.abort()
    return received, True


def fate(received: bytes) -> str:
    statuses = STATUS.findall(received)
    if b"x-request-id: marker" in received:
        return "both"
    return "alone" if statuses and statuses[0].startswith(b"2") else "refused"


async def test_a_request_and_what_follows_it(gateway: Gateway) -> None:
    faults = []
    for case in CORPUS:
        received, is_closed = await exchange(gateway.port, case.data + MARKER, 20)
        statuses = STATUS.findall(received)
        is_well_refused = len(statuses) == 1 and statuses[0].startswith(b"4")
        is_as_said = is_closed and fate(received) == case.fate
        if not is_as_said or (case.fate == "refused" and not is_well_refused):
            faults.append((case.name, received))
    assert faults == []


@pytest.mark.parametrize("kind", PROXIES)
async def test_a_proxy_and_the_gateway_count_the_same_requests(
    gateway: Gateway, tmp_path: Path, kind: str
) -> None:
    """A smuggled request would be answered by the gateway and asked for by nobody; or its answer
    would go to the next client of the proxy, which asks for its own right behind each case."""
    async with front_proxy(kind, tmp_path, gateway.port) as port:
        for number, case in enumerate(CORPUS):
            before = answered_count(gateway)
            received, _ = await exchange(port, case.data + MARKER)
            victim = b"GET /livez HTTP/1.1\r\nhost: x\r\nx-request-id: v%d\r\n" % number
            own, _ = await exchange(port, victim + b"connection: close\r\n\r\n", 20)
            assert own.count(b"x-request-id: v%d" % number) == 1, (case.name, own)
            assert STATUS.findall(own) == [b"200"], (case.name, own)
            is_headless = bool(received) and not STATUS.findall(received)  # HTTP/0.9
            seen = received.count(b"x-request-id: ") + is_headless + 1
            assert answered_count(gateway) - before == seen, (case.name, received)


def answered_count(gateway: Gateway) -> int:
    """Requests that the app has answered."""
    totals = gateway.segment.totals()
    return sum(totals[index] for index in ANSWERED)


async def test_a_client_that_leaves_in_a_chunked_body_is_no_fault(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    async with gateway.connect() as (_, writer):
        writer.write(next(case.data for case in CORPUS if case.name == "a good chunked one")[:-9])
        await asyncio.sleep(0.1)  # until it is being read; nothing shows that
    assert (await gateway.client.get("/v1/models", headers=BEARER)).status_code == 200
    assert not [record for record in caplog.records if record.exc_info]
