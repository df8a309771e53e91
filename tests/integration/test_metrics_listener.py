"""The private listener of metrics on a real socket."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry, Counter

from tokenmill.control.metrics_listener import HEAD_BYTES_MAX, MetricsListener


@pytest.fixture
async def listener() -> AsyncIterator[MetricsListener]:
    registry = CollectorRegistry()
    Counter("seen", "Seen.", registry=registry).inc(3)
    listener = MetricsListener(registry)
    await listener.open("127.0.0.1", 0)
    yield listener
    await listener.close()


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_metrics_are_shown(listener: MetricsListener) -> None:
    answer = await ask(listener.port, b"GET /metrics HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain")
    assert b"\nseen_total 3.0\n" in answer


async def test_the_newer_format_is_shown_to_who_asks_for_it(listener: MetricsListener) -> None:
    head = b"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text; version=1.0.0\r\n\r\n"
    answer = await ask(listener.port, head)
    assert b"content-type: application/openmetrics-text" in answer
    assert answer.endswith(b"# EOF\n")


REFUSED = [
    (b"GET /control/keys HTTP/1.1\r\n\r\n", b"HTTP/1.1 404"),
    (b"POST /metrics HTTP/1.1\r\n\r\n", b"HTTP/1.1 405"),
    (b"\r\n\r\n", b"HTTP/1.1 404"),
]


@pytest.mark.parametrize(("request_head", "status"), REFUSED)
async def test_nothing_else_is(
    listener: MetricsListener, request_head: bytes, status: bytes
) -> None:
    assert (await ask(listener.port, request_head)).startswith(status)


async def test_an_endless_head_is_cut_off(listener: MetricsListener) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    with pytest.raises(ConnectionError):
        for _ in range(100):
            writer.write(b"x" * HEAD_BYTES_MAX)
            await writer.drain()
            if await reader.read() == b"":
                raise ConnectionResetError
    writer.transport.abort()


async def test_a_taken_port_is_logged_and_lived_with(
    listener: MetricsListener, caplog: pytest.LogCaptureFixture
) -> None:
    second = MetricsListener(CollectorRegistry())
    with caplog.at_level(logging.WARNING):
        await second.open("127.0.0.1", listener.port)
    assert second.port == 0
    assert "metrics.port" in caplog.text
