"""Busy engines: who waits, who goes next, who is turned away, and what that leaves behind."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from tests.support.gateway import (
    ACCOUNT,
    BEARER,
    CHAT,
    OPENING_NANOS,
    OTHER_ACCOUNT,
    OTHER_SECRET,
    WORKER,
    Gateway,
    fleet_of,
    put_account,
    running_gateway,
)
from tests.support.relays import until
from tests.support.scripted_upstream import ScriptedUpstream, Wait, good_stream, whole
from tokenmill._native import COUNTERS
from tokenmill.settings import QueueSettings

OTHER_BEARER = {"authorization": f"Bearer {OTHER_SECRET}"}
HELD_S = 0.02
"""How long a place is held where turns are measured."""

COMPLETION = {
    "model": "engine-m",
    "choices": [{"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2},
}


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as server:
        server.always(*whole(COMPLETION))
        yield server


@asynccontextmanager
async def busy_house(
    folder: Path, upstream: ScriptedUpstream, places: int, **queue: int
) -> AsyncIterator[Gateway]:
    """A gateway before one engine with so many places."""
    given = {"wait_ms": 60_000} | queue
    async with running_gateway(folder, upstream.url, queue=QueueSettings(**given)) as gateway:
        fleet = fleet_of(upstream.url)
        engines = tuple(replace(engine, places=places) for engine in fleet.engines)
        gateway.publish(replace(fleet, engines=engines))
        yield gateway


def hold(upstream: ScriptedUpstream, count: int) -> list[asyncio.Event]:
    """The next requests are answered when their events are set."""
    gates = [asyncio.Event() for _ in range(count)]
    for gate in gates:
        upstream.play(Wait(gate), *whole(COMPLETION))
    return gates


def ask(gateway: Gateway, who: str = "") -> asyncio.Task[httpx.Response]:
    """A chat completion of one account or the other, on its way."""
    headers = OTHER_BEARER if who == "other" else BEARER
    body = {"messages": [{"role": "user", "content": who or "own"}], "max_tokens": 5}
    return asyncio.create_task(gateway.client.post(CHAT, json=body, headers=headers))


def waiting(gateway: Gateway) -> int:
    return gateway.segment.worker_waiting(WORKER)


def counted(gateway: Gateway, name: str) -> int:
    return gateway.segment.totals()[COUNTERS.index(name)]


async def test_an_engine_gets_no_more_than_its_places_and_the_rest_waits(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    async with busy_house(tmp_path, upstream, 2) as gateway:
        gates = hold(upstream, 5)
        asked = [ask(gateway) for _ in range(5)]
        await upstream.request_count(2)
        await until(lambda: waiting(gateway) == 3)
        for number, gate in enumerate(gates):
            assert len(upstream.requests) == min(number + 2, 5)
            gate.set()
            await upstream.request_count(min(number + 3, 5))
        answers = await asyncio.gather(*asked)
        assert [answer.status_code for answer in answers] == [200] * 5
        assert waiting(gateway) == 0
        assert counted(gateway, "tokenmill_wait_milliseconds_count") == 3
        assert gateway.segment.engine_in_flight(0) == 0


async def test_accounts_take_turns_by_their_weights(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    """What a request costs its account is the time of its place: turns are judged where all places
    were held about as long, and no request for as long as many."""
    for number in range(10):
        folder = tmp_path / str(number)
        folder.mkdir()
        first, longest_s = await turns_of_two_accounts(folder, upstream)
        if longest_s < 4 * HELD_S:
            break
    # One account was there first with all it had; from then on three of four are the other's.
    assert 12 <= first[2:22].count("other") <= 18, first


async def turns_of_two_accounts(
    folder: Path, upstream: ScriptedUpstream
) -> tuple[list[str], float]:
    """Whose requests came to the engine, in their order, and the longest time between two."""
    longest_s, upstream.requests[:] = 0.0, []
    async with busy_house(folder, upstream, 2) as gateway:
        put_account(gateway.segment, ACCOUNT, weight=1)
        put_account(gateway.segment, OTHER_ACCOUNT, weight=3)
        gates = hold(upstream, 42)
        asked = [ask(gateway) for _ in range(22)]
        await until(lambda: waiting(gateway) == 20)
        asked += [ask(gateway, "other") for _ in range(20)]
        await until(lambda: waiting(gateway) == 40)
        for number, gate in enumerate(gates):
            began_s = time.monotonic()
            await upstream.request_count(min(number + 2, 42))
            await asyncio.sleep(HELD_S)
            longest_s = max(longest_s, time.monotonic() - began_s)
            gate.set()
        answers = await asyncio.gather(*asked)
        assert {answer.status_code for answer in answers} == {200}
        return [json.loads(each.body)["messages"][0]["content"] for each in upstream.requests], (
            longest_s
        )


async def test_one_request_beside_a_flood_comes_soon(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    async with busy_house(tmp_path, upstream, 1) as gateway:
        gates = hold(upstream, 32)
        asked = [ask(gateway) for _ in range(31)]
        await until(lambda: waiting(gateway) == 30)
        asked.append(ask(gateway, "other"))
        await until(lambda: waiting(gateway) == 31)
        for number, gate in enumerate(gates):
            await upstream.request_count(number + 1)
            gate.set()
        await asyncio.gather(*asked)
        first = [json.loads(each.body)["messages"][0]["content"] for each in upstream.requests]
        assert first.index("other") <= 3, first


async def test_a_client_that_leaves_the_line_gives_back_its_place_and_its_money(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    async with busy_house(tmp_path, upstream, 1) as gateway:
        [gate] = hold(upstream, 1)
        first = ask(gateway)
        await upstream.request_count(1)
        held = gateway.segment.account(ACCOUNT)
        async with gateway.connect() as (_, writer):
            writer.write(gateway.raw_chat(max_tokens=5))
            await until(lambda: waiting(gateway) == 1)
            both = gateway.segment.account(ACCOUNT)
            assert held is not None
            assert both is not None
            assert both.in_flight == 2
            assert both.available_nanos < held.available_nanos
        await until(lambda: waiting(gateway) == 0)
        await until(lambda: _in_flight(gateway) == 1)
        after = gateway.segment.account(ACCOUNT)
        assert after is not None
        assert after.available_nanos == held.available_nanos
        gate.set()
        assert (await first).status_code == 200
        assert len(upstream.requests) == 1
        assert gateway.segment.audit(ACCOUNT) == (OPENING_NANOS - 500, 0, -500)


async def test_what_waits_too_long_is_refused_and_pays_nothing(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    async with busy_house(tmp_path, upstream, 1, wait_ms=100) as gateway:
        [gate] = hold(upstream, 1)
        first = ask(gateway)
        await upstream.request_count(1)
        answer = await ask(gateway)
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "overloaded"
        assert int(answer.headers["retry-after"]) >= 1
        assert "x-should-retry" not in answer.headers
        assert counted(gateway, 'tokenmill_refusals_total{reason="overloaded"}') == 1
        gate.set()
        await first
        assert gateway.segment.audit(ACCOUNT) == (OPENING_NANOS - 500, 0, -500)


async def test_a_count_of_tokens_waits_its_turn_too(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    """It is asked where a wallet barely covers a request, and nobody pays for it."""
    async with busy_house(tmp_path, upstream, 1) as gateway:
        gateway.put_account(nanos=100 * (3 + 5))
        [gate] = hold(upstream, 1)
        first = ask(gateway, "other")
        await upstream.request_count(1)
        upstream.play(*whole({"count": 3}))
        poor = ask(gateway)
        await until(lambda: waiting(gateway) == 1)
        await asyncio.sleep(0.05)
        assert [each.target for each in upstream.requests] == [CHAT]
        gate.set()
        assert [(await each).status_code for each in (first, poor)] == [200, 200]
        assert [each.target for each in upstream.requests] == [CHAT, "/tokenize", CHAT]
        assert gateway.segment.engine_in_flight(0) == 0


async def test_a_count_of_tokens_that_gets_no_place_is_refused(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    async with busy_house(tmp_path, upstream, 1, wait_ms=100) as gateway:
        gateway.put_account(nanos=100 * (3 + 5))
        [gate] = hold(upstream, 1)
        first = ask(gateway, "other")
        await upstream.request_count(1)
        refused = await ask(gateway)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
        assert int(refused.headers["retry-after"]) >= 1
        assert counted(gateway, 'tokenmill_refusals_total{reason="overloaded"}') == 1
        gate.set()
        await first
        assert [each.target for each in upstream.requests] == [CHAT]


async def test_what_cannot_be_served_in_time_is_refused_at_once(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    async with busy_house(tmp_path, upstream, 1, wait_ms=200) as gateway:
        [gate] = hold(upstream, 1)
        first = ask(gateway)
        await upstream.request_count(1)
        await asyncio.sleep(0.5)  # so long a place is held here
        gate.set()
        await first
        [gate] = hold(upstream, 1)
        first = ask(gateway)
        await upstream.request_count(2)
        cells = gateway.segment.open_cells()
        refused = await ask(gateway)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after-ms"]) >= 100
        assert waiting(gateway) == 0
        assert gateway.segment.open_cells() == cells, "nothing was held for it"
        assert counted(gateway, "tokenmill_wait_milliseconds_count") == 0
        gate.set()
        await first


async def test_where_nobody_may_wait_the_excess_is_refused(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    async with busy_house(tmp_path, upstream, 1, waiting_max=0) as gateway:
        [gate] = hold(upstream, 1)
        first = ask(gateway)
        await upstream.request_count(1)
        answers = await asyncio.gather(*(ask(gateway) for _ in range(8)))
        assert {answer.status_code for answer in answers} == {503}
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
        gate.set()
        assert (await first).status_code == 200
        assert (await ask(gateway)).status_code == 200


async def test_one_account_cannot_take_all_the_room_to_wait(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    async with busy_house(tmp_path, upstream, 1, waiting_max=20) as gateway:
        [gate] = hold(upstream, 1)
        asked = [ask(gateway)]
        await upstream.request_count(1)
        flood = [ask(gateway) for _ in range(40)]
        await until(lambda: sum(each.done() for each in flood) == 36)
        other = ask(gateway, "other")
        await until(lambda: waiting(gateway) == 5)
        gate.set()
        answers = await asyncio.gather(*asked, *flood, other)
        statuses = [answer.status_code for answer in answers]
        assert (statuses.count(200), statuses.count(503)) == (6, 36)
        assert answers[-1].status_code == 200


async def test_a_drain_sends_those_away_who_wait(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    async with busy_house(tmp_path, upstream, 1) as gateway:
        [gate] = hold(upstream, 1)
        first = ask(gateway)
        await upstream.request_count(1)
        second = ask(gateway)
        await until(lambda: waiting(gateway) == 1)
        gateway.segment.set_drain(WORKER, 2**60)
        answer = await second
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "draining"
        gate.set()
        assert (await first).status_code == 200, "what an engine has begun is not sent away"


async def test_a_stream_that_waits_is_answered_like_any_other(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    async with busy_house(tmp_path, upstream, 1) as gateway:
        [gate] = hold(upstream, 1)
        first = ask(gateway)
        await upstream.request_count(1)
        upstream.play(*good_stream("Hel", "lo"))
        stream = asyncio.create_task(gateway.chat(stream=True))
        await until(lambda: waiting(gateway) == 1)
        gate.set()
        assert (await first).status_code == 200
        assert (await stream).text.endswith("data: [DONE]\n\n")


async def test_an_engine_without_a_number_of_places_takes_all_at_once(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    async with busy_house(tmp_path, upstream, 0, waiting_max=0) as gateway:
        gates = hold(upstream, 12)
        asked = [ask(gateway) for _ in range(12)]
        await upstream.request_count(12)
        for gate in gates:
            gate.set()
        assert {answer.status_code for answer in await asyncio.gather(*asked)} == {200}


def _in_flight(gateway: Gateway) -> int:
    view = gateway.segment.account(ACCOUNT)
    assert view is not None
    return view.in_flight
