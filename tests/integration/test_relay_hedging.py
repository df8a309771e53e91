"""A second engine for a stream that begins late: the sooner answer counts, the other is closed at
once, and there is one bill."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.test_relay_routing import ACCOUNT, payer
from tests.support.relays import House, collect, house, until
from tests.support.scripted_upstream import (
    Close,
    Hang,
    ScriptedUpstream,
    Step,
    Wait,
    good_stream,
    head,
    whole,
)
from tokenmill._native import COUNTERS, AnswerKind, EndReason

SEEN_FIRST = 64
"""Streams before it is known what late is."""


def counted(here: House, name: str) -> int:
    return here.segment.totals()[COUNTERS.index(f"tokenmill_{name}_total")]


@contextlib.asynccontextmanager
async def two_engines(
    folder: Path, *, hedge: bool = True
) -> AsyncIterator[tuple[House, ScriptedUpstream, ScriptedUpstream]]:
    """A house that knows how soon its two engines begin: at once."""
    async with (
        ScriptedUpstream() as first,
        ScriptedUpstream() as second,
        house(folder, hedge=hedge) as here,
    ):
        here.use(first.url, second.url)
        for engine in (first, second):
            engine.always(*good_stream("early"))
        for _ in range(SEEN_FIRST):
            assert (await here.run()).reason == EndReason.COMPLETE
        for engine in (first, second):
            engine.requests.clear()
            # A busy machine may have opened a second one, which would be kept: what is open
            # afterwards is what was asked afterwards.
            engine.close_idle()
        await until(lambda: first.open_count == second.open_count == 0)
        yield here, first, second


async def asked_first(
    here: House, first: ScriptedUpstream, second: ScriptedUpstream, slow: list[Step]
) -> tuple[ScriptedUpstream, ScriptedUpstream]:
    """Makes `first` the engine that is asked first, for the other looks busy, and slow."""
    here.segment.note_engine_metrics(1, running=50, waiting=0, cache_permille=0)
    first.always(*slow)
    return first, second


@pytest.mark.parametrize("slow", [[Hang()], [head(), Hang()]], ids=["no head", "a head alone"])
async def test_the_sooner_answer_counts_and_the_late_engine_is_closed(
    tmp_path: Path, slow: list[Step]
) -> None:
    async with two_engines(tmp_path) as (here, first, second):
        late, other = await asked_first(here, first, second, slow)
        relay = here.start()
        got = await collect(relay)
        assert got.reason == EndReason.COMPLETE
        assert b"early" in got.body
        assert relay.engine == 1
        assert (len(late.requests), len(other.requests)) == (1, 1)
        await until(lambda: late.open_count == 0)
        assert [here.segment.engine_in_flight(engine) for engine in range(2)] == [0, 0]
        assert counted(here, "hedges") == 1


async def test_off_by_default_nobody_else_is_asked(tmp_path: Path) -> None:
    async with two_engines(tmp_path, hedge=False) as (here, first, second):
        go = asyncio.Event()
        await asked_first(here, first, second, [Wait(go), *good_stream("late")])
        relay = here.start()
        await first.request_count(1)
        await asyncio.sleep(0.2)
        go.set()
        assert b"late" in (await collect(relay)).body
        assert second.requests == []


async def test_a_whole_answer_is_asked_of_one_engine(tmp_path: Path) -> None:
    async with two_engines(tmp_path) as (here, first, second):
        go = asyncio.Event()
        await asked_first(here, first, second, [Wait(go), *whole({"id": "1"})])
        relay = here.start(AnswerKind.WHOLE)
        await first.request_count(1)
        await asyncio.sleep(0.2)
        go.set()
        assert (await collect(relay)).whole is not None
        assert second.requests == []


async def test_when_both_answer_the_first_to_begin_is_relayed_alone(tmp_path: Path) -> None:
    async with two_engines(tmp_path) as (here, first, second):
        go = asyncio.Event()
        await asked_first(here, first, second, [head(), Wait(go), *good_stream("x")[1:]])
        second.always(head(), Wait(asyncio.Event()), *good_stream("y")[1:])
        relay = here.start()
        await second.request_count(1)
        go.set()
        got = await collect(relay)
        assert got.reason == EndReason.COMPLETE
        assert b"x" in got.body
        assert relay.engine == 0
        await until(lambda: second.open_count == 0)


@pytest.mark.parametrize(
    "failing", [[Close()], [head(), Close()], whole({"error": "no"}, 503)], ids=["c", "h", "503"]
)
async def test_a_second_engine_that_fails_leaves_the_first_its_time(
    tmp_path: Path, failing: list[Step]
) -> None:
    async with two_engines(tmp_path) as (here, first, second):
        go = asyncio.Event()
        await asked_first(here, first, second, [Wait(go), *good_stream("patience")])
        second.always(*failing)
        relay = here.start()
        await second.request_count(1)
        await asyncio.sleep(0.05)
        go.set()
        got = await collect(relay)
        assert got.reason == EndReason.COMPLETE
        assert b"patience" in got.body


async def test_a_winner_that_fails_in_the_middle_is_the_end(tmp_path: Path) -> None:
    async with two_engines(tmp_path) as (here, first, second):
        late, _ = await asked_first(here, first, second, [Hang()])
        second.always(*good_stream("a", "b")[:2], Close())
        got = await here.run()
        assert got.reason == EndReason.CLOSED
        assert b"a" in got.body
        assert (len(late.requests), len(second.requests)) == (1, 1)


async def test_when_both_fail_the_client_is_told(tmp_path: Path) -> None:
    async with two_engines(tmp_path) as (here, first, second):
        go = asyncio.Event()
        await asked_first(here, first, second, [Wait(go), Close()])
        second.always(Close())
        relay = here.start()
        await second.request_count(1)
        go.set()
        assert (await collect(relay)).reason == EndReason.CLOSED


async def test_a_client_that_goes_closes_both(tmp_path: Path) -> None:
    async with two_engines(tmp_path) as (here, first, second):
        late, other = await asked_first(here, first, second, [Hang()])
        other.always(Hang())
        relay = here.start()
        await other.request_count(1)
        relay.close()
        await until(lambda: late.open_count == other.open_count == 0)
        assert [here.segment.engine_in_flight(engine) for engine in range(2)] == [0, 0]


async def test_it_is_paid_for_once_by_what_the_winner_said(tmp_path: Path) -> None:
    async with two_engines(tmp_path) as (here, first, second):
        go = asyncio.Event()
        await asked_first(here, first, second, [head(), Wait(go), *good_stream("x", "y")[1:]])
        second.always(*good_stream("one", "two", "three"))
        paying = payer(here)
        before = here.segment.account(ACCOUNT)
        assert before is not None
        relay = here.start(payer=paying)
        got = await collect(relay)
        go.set()
        assert b"three" in got.body
        assert relay.cost_nanos == 3 + 3, "three tokens of the prompt, three of the answer"
        after = here.segment.account(ACCOUNT)
        assert after is not None
        assert before.available_nanos - after.available_nanos == relay.cost_nanos
        assert after.in_flight == 0


async def test_it_takes_from_the_budget_for_retries(tmp_path: Path) -> None:
    async with two_engines(tmp_path) as (here, first, second):
        for count in range(60):
            await asked_first(here, first, second, [Hang()])
            relay = here.start()
            await first.request_count(count + 1)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await collect(relay)
            relay.close()
        assert counted(here, "hedges") <= 20 + (SEEN_FIRST + 60) // 10
        assert 0 < len(second.requests) <= counted(here, "hedges")
