"""The scripted engine itself: it plays what it was told and sees what its clients do."""

import asyncio

import pytest

from tests.support.scripted_upstream import (
    Close,
    Dribble,
    Hang,
    Raw,
    Reset,
    ScriptedUpstream,
    Wait,
    refused_url,
    unanswered_url,
    whole,
)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def address(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").partition(":")
    return host, int(port)


async def ask(upstream: ScriptedUpstream, body: bytes = b"") -> Streams:
    reader, writer = await asyncio.open_connection(*address(upstream.url))
    writer.write(b"POST /a HTTP/1.1\r\nX-One: 1\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    return reader, writer


async def test_scripts_are_played_in_order_then_the_one_for_all_others() -> None:
    async with ScriptedUpstream() as upstream:
        upstream.play(Raw(b"first"), Close())
        upstream.always(Dribble(b"others"), Close())
        answers = []
        for _ in range(3):
            reader, writer = await ask(upstream, b"{}")
            answers.append(await reader.read())
            writer.close()
        assert answers == [b"first", b"others", b"others"]
        one = upstream.requests[0]
        assert (one.method, one.target, one.body) == ("POST", "/a", b"{}")
        assert one.headers["x-one"] == "1"
        assert not upstream.gone.is_set()


async def test_a_connection_carries_several_requests() -> None:
    async with ScriptedUpstream() as upstream:
        upstream.always(*whole({}))
        reader, writer = await ask(upstream)
        await reader.readuntil(b"{}")
        writer.write(b"GET /b HTTP/1.1\r\n\r\n")
        await reader.readuntil(b"{}")
        assert [request.connection for request in upstream.requests] == [1, 1]
        writer.close()


async def test_it_sees_its_client_go() -> None:
    async with ScriptedUpstream() as upstream:
        upstream.always(Hang())
        _, writer = await ask(upstream)
        await upstream.request_count(1)
        assert upstream.open_count == 1
        writer.close()
        async with asyncio.timeout(5):
            await upstream.gone.wait()
        assert upstream.open_count == 0


async def test_a_step_waits_for_its_event_and_a_reset_is_one() -> None:
    async with ScriptedUpstream() as upstream:
        gate = asyncio.Event()
        upstream.always(Raw(b"a"), Wait(gate), Raw(b"b"), Reset())
        reader, writer = await ask(upstream)
        assert await reader.readexactly(1) == b"a"
        gate.set()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_a_refused_url_refuses_and_an_unanswered_one_does_not_answer() -> None:
    with refused_url() as url, pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address(url))
    async with unanswered_url() as url:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await asyncio.open_connection(*address(url))
