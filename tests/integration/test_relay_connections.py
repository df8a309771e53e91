"""Connections and engines: reuse, retries that are safe, balance, and many streams at once."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support.relays import House, collect, house, next_event, until
from tests.support.scripted_upstream import (
    Close,
    Hang,
    Raw,
    ScriptedUpstream,
    Wait,
    good_stream,
    refused_url,
    unanswered_url,
    whole,
)
from tokenmill._native import COUNTERS, AnswerKind, End, EndReason, Head


def counted(here: House, name: str) -> int:
    """A counter of the segment by the name of its Prometheus sample."""
    return here.segment.totals()[COUNTERS.index(name)]


async def test_a_connection_is_used_again(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path) as here:
        here.use(upstream.url)
        upstream.play(*good_stream("Hi"))
        upstream.play(*whole({}))
        upstream.play(*whole({}, 404))
        upstream.play(Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"))
        upstream.always(*good_stream("Hi"))
        await here.run()
        await here.run(AnswerKind.WHOLE)
        await here.run(AnswerKind.WHOLE)
        await collect(here.plain())
        assert (await here.run()).reason == EndReason.COMPLETE
        assert upstream.connection_count == 1


async def test_a_connection_that_the_engine_closed_meanwhile_is_replaced(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path) as here:
        here.use(upstream.url)
        upstream.always(*good_stream("Hi"))
        for count in range(1, 6):
            assert (await here.run()).reason == EndReason.COMPLETE
            assert upstream.connection_count == count
            upstream.close_idle()


async def test_a_kept_connection_that_closes_without_a_byte_is_tried_afresh(
    tmp_path: Path,
) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path) as here:
        here.use(upstream.url)
        upstream.play(*good_stream("Hi"))
        upstream.play(Close())
        upstream.always(*good_stream("Hi"))
        await here.run()
        assert (await here.run(body=b'{"second":1}')).reason == EndReason.COMPLETE
        assert [request.connection for request in upstream.requests] == [1, 1, 2]
        assert upstream.requests[2].body == b'{"second":1}'
        assert counted(here, "tokenmill_retries_total") == 1


async def test_a_plain_post_is_not_sent_twice(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path) as here:
        here.use(upstream.url)
        upstream.play(*whole({}))
        upstream.play(Close())
        upstream.play(*whole({}))
        upstream.play(Close())
        upstream.always(*whole({}))
        await collect(here.plain())
        assert (await collect(here.plain("POST"))).reason == EndReason.CLOSED
        await collect(here.plain())
        assert (await collect(here.plain("GET"))).reason == EndReason.COMPLETE


async def test_a_connection_is_not_used_again_when_the_engine_said_so(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path) as here:
        here.use(upstream.url)
        upstream.always(
            Raw(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"), Close()
        )
        for count in (1, 2):
            assert (await here.run(AnswerKind.WHOLE)).whole is not None
            assert upstream.connection_count == count


async def test_no_more_connections_are_kept_than_allowed(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path, idle_connections_max=2) as here:
        here.use(upstream.url)
        upstream.always(*good_stream("Hi"))
        await asyncio.gather(*(here.run() for _ in range(10)))
        await until(lambda: upstream.open_count <= 2)
        assert upstream.open_count == 2


async def test_another_engine_gets_what_never_reached_the_first(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path, connect_ms=200) as here:
        upstream.always(*good_stream("Hi"))
        with refused_url() as refused:
            async with unanswered_url() as unanswered:
                here.use(refused, unanswered, upstream.url)
                for _ in range(5):
                    relay = here.start()
                    assert (await collect(relay)).reason == EndReason.COMPLETE
                    assert relay.engine == 2
        assert [here.segment.engine_in_flight(engine) for engine in range(3)] == [0, 0, 0]
        assert counted(here, "tokenmill_retries_total") >= 2


async def test_what_engines_send_is_counted(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path) as here:
        here.use(upstream.url)
        upstream.play(*good_stream("Hi"))
        upstream.always(Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"))
        streamed = await here.run()
        after_stream = counted(here, "tokenmill_upstream_bytes_total")
        assert after_stream >= len(streamed.body) > 0
        await here.run(AnswerKind.WHOLE)
        assert counted(here, "tokenmill_upstream_bytes_total") == after_stream + 2


async def test_the_least_busy_engine_gets_the_next_request(tmp_path: Path) -> None:
    async with ScriptedUpstream() as first, ScriptedUpstream() as second, house(tmp_path) as here:
        here.use(first.url, second.url)
        first.always(Hang())
        second.always(Hang())
        relays = []
        for _ in range(10):
            relays += [here.start(), here.start()]
            await first.request_count(len(relays) // 2)
            await second.request_count(len(relays) // 2)
        assert (len(first.requests), len(second.requests)) == (10, 10)


async def test_running_relays_keep_their_engine_when_the_fleet_changes(tmp_path: Path) -> None:
    async with ScriptedUpstream() as first, ScriptedUpstream() as second, house(tmp_path) as here:
        here.use(first.url)
        first.always(*good_stream("first"))
        second.always(*good_stream("second"))
        relay = here.start()
        here.use(second.url)
        assert b"first" in (await collect(relay)).body
        assert b"second" in (await here.run()).body


async def test_an_unchanged_engine_keeps_its_connections_when_the_fleet_changes(
    tmp_path: Path,
) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path) as here:
        upstream.always(*good_stream("Hi"))
        with refused_url() as other:
            here.use(upstream.url)
            await here.run()
            here.forwarder.set_fleet([(0, upstream.url, None), (1, other, None)], [[0], [1]])
            await here.run()
            assert upstream.connection_count == 1
            here.use(upstream.url, token="new")
            await here.run()
            assert upstream.connection_count == 2


async def test_two_hundred_streams_at_once_are_all_whole(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path) as here:
        here.use(upstream.url)
        words = [f"w{number}" for number in range(50)]
        upstream.always(*good_stream(*words))
        relays = [here.start() for _ in range(200)]
        answers = await asyncio.gather(*(collect(relay) for relay in relays))
        assert {answer.reason for answer in answers} == {EndReason.COMPLETE}
        assert len({answer.body for answer in answers}) == 1
        assert all(relay.usage().completion_tokens == 50 for relay in relays)
        assert here.segment.worker_in_flight(1) == 0


async def test_a_task_that_gave_up_waiting_is_not_woken_and_may_wait_again(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path) as here:
        here.use(upstream.url)
        gate = asyncio.Event()
        upstream.always(Wait(gate), *good_stream("Hi"))
        relays = [here.start() for _ in range(3)]
        waiting = [asyncio.create_task(next_event(relay)) for relay in relays]
        await upstream.request_count(3)
        waiting[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting[0]
        gate.set()
        assert isinstance(await waiting[1], Head)
        assert isinstance(await waiting[2], Head)
        assert (await collect(relays[0])).reason == EndReason.COMPLETE


async def test_a_task_that_is_woken_and_cancelled_at_once_is_cancelled(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path) as here:
        here.use(upstream.url)
        upstream.always(Hang())
        relay = here.start()
        waiting = asyncio.create_task(next_event(relay))
        await upstream.request_count(1)
        relay.wake()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_a_task_can_be_told_to_look_though_nothing_came(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path) as here:
        here.use(upstream.url)
        upstream.always(Hang())
        relay = here.start()
        looks = 0

        async def look() -> None:
            nonlocal looks
            while looks < 2:
                await relay
                assert relay.take() is None
                looks += 1

        looking = asyncio.create_task(look())
        await upstream.request_count(1)
        relay.wake()
        await until(lambda: looks == 1)
        assert not looking.done()
        relay.wake()
        await looking


async def test_an_event_that_is_there_is_not_waited_for(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path) as here:
        here.use(upstream.url)
        upstream.always(Hang())
        relay: Any = here.start()
        await upstream.request_count(1)
        here.forwarder.close()
        assert next(relay, "nothing to wait for") == "nothing to wait for"
        assert isinstance(relay.take(), End)


async def test_a_task_that_cannot_be_woken_does_not_keep_the_others_waiting(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path) as here:
        here.use(upstream.url)
        upstream.always(Hang())
        relays = [here.start() for _ in range(3)]
        waiting = [asyncio.create_task(next_event(relay)) for relay in (relays[0], relays[2])]
        await upstream.request_count(3)

        def fail(_woken: object) -> None:
            raise RuntimeError("its loop is closed")

        broken: Any = relays[1]
        assert next(broken) is broken
        broken.add_done_callback(fail)
        errors: list[str] = []

        def dispatch() -> None:
            """Where the loop calls it: no task runs."""
            try:
                here.forwarder.dispatch()
            except RuntimeError as error:
                errors.append(str(error))

        loop = asyncio.get_running_loop()
        loop.remove_reader(here.forwarder.wake_fd())
        here.forwarder.close()
        loop.call_soon(dispatch)
        assert all(isinstance(each, End) for each in await asyncio.gather(*waiting))
        assert errors == ["its loop is closed"]
