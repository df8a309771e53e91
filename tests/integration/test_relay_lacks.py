"""A request whose adapter no engine holds: it waits with all that it holds, goes on where the
adapter was loaded, and is admitted, held and billed once."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.test_relay_routing import ACCOUNT, payer, retries
from tests.support.relays import House, collect, house, next_event, until
from tests.support.scripted_upstream import (
    Close,
    ScriptedUpstream,
    Step,
    good_stream,
    refused_url,
    whole,
)
from tokenmill._native import AnswerKind, EndReason, Head, Lack, Relay, Whole

LOST = whole({"error": {"message": "no lora", "type": "NotFoundError", "code": 404}}, 404)
COMMENT = b": keep-alive\n\n"


@contextlib.asynccontextmanager
async def engine_and_house(
    folder: Path, **changes: int
) -> AsyncIterator[tuple[ScriptedUpstream, House]]:
    """An engine that answers, which the house does not know yet."""
    async with ScriptedUpstream() as engine, house(folder, **changes) as here:
        engine.always(*good_stream("Hi"))
        here.use()
        yield engine, here


async def lack_of(relay: Relay) -> int:
    event = await next_event(relay)
    assert isinstance(event, Lack), event
    return event.engine


def in_flight(here: House) -> int:
    account = here.segment.account(ACCOUNT)
    assert account is not None
    return account.in_flight


async def test_what_nobody_holds_is_lacking_until_an_engine_has_it(tmp_path: Path) -> None:
    async with engine_and_house(tmp_path) as (engine, here):
        relay = here.start(payer=payer(here), is_loadable=True)
        assert await lack_of(relay) == -1
        assert (in_flight(here), here.segment.open_cells()) == (1, 1)
        here.use(engine.url)
        relay.go_on(0)
        got = await collect(relay)
        assert got.reason == EndReason.COMPLETE
        assert b"Hi" in got.body
        assert (in_flight(here), relay.cost_nanos) == (0, 3 + 1)
        assert retries(here) == 0, "nobody was asked before"


@pytest.mark.parametrize("kind", [AnswerKind.STREAM, AnswerKind.WHOLE])
async def test_an_engine_that_lost_it_is_asked_again_for_one_retry_and_one_bill(
    tmp_path: Path, kind: AnswerKind
) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    async with engine_and_house(tmp_path) as (engine, here):
        here.use(engine.url)
        engine.play(*LOST)
        if kind == AnswerKind.WHOLE:
            choice = {"index": 0, "finish_reason": "stop", "message": {"content": "Hi"}}
            engine.always(*whole({"choices": [choice], "usage": usage}))
        relay = here.start(kind, payer=payer(here), is_loadable=True)
        assert await lack_of(relay) == 0
        assert here.segment.open_cells() == 1
        relay.go_on(0)
        got = await collect(relay)
        assert b"Hi" in (got.body or (got.whole.body if got.whole else b""))
        assert (len(engine.requests), retries(here), relay.cost_nanos) == (2, 1, 4)
        ids = {request.headers["x-request-id"] for request in engine.requests}
        assert ids == {"req-1"}, "it is one request"


async def test_another_engine_that_holds_it_is_asked_first(tmp_path: Path) -> None:
    async with (
        ScriptedUpstream() as lost,
        ScriptedUpstream() as holder,
        house(tmp_path) as here,
    ):
        lost.always(*LOST)
        holder.always(*good_stream("Hi"))
        here.use(lost.url, holder.url)
        here.segment.note_engine_metrics(1, running=50, waiting=0, cache_permille=0)
        got = await here.run(is_loadable=True)
        assert got.reason == EndReason.COMPLETE
        assert (len(lost.requests), len(holder.requests), retries(here)) == (1, 1, 1)


async def test_an_engine_that_is_gone_took_its_adapter_with_it(tmp_path: Path) -> None:
    async with engine_and_house(tmp_path) as (engine, here):
        with refused_url() as gone:
            here.use(gone)
            relay = here.start(is_loadable=True)
            assert await lack_of(relay) == 0
            here.use(engine.url)
            relay.go_on(0)
            assert (await collect(relay)).reason == EndReason.COMPLETE


@pytest.mark.parametrize("script", [LOST, [Close()]], ids=["lost", "closed"])
async def test_loading_again_takes_from_the_budget_for_retries(
    tmp_path: Path, script: list[Step]
) -> None:
    requests, lacks = 60, 0
    async with engine_and_house(tmp_path) as (engine, here):
        here.use(engine.url)
        engine.always(*script)
        for _ in range(requests):
            relay = here.start(AnswerKind.WHOLE, is_loadable=True)
            while isinstance(event := await next_event(relay), Lack):
                lacks += 1
                relay.go_on(0)
            if script == LOST:
                assert isinstance(event, Whole) and event.status == 404
        assert 0 < lacks <= 20 + requests // 10
        assert lacks == retries(here)
        assert len(engine.requests) == requests + lacks


async def test_what_kills_an_engine_kills_one_more_at_most(tmp_path: Path) -> None:
    async with engine_and_house(tmp_path) as (engine, here):
        engine.always(Close())
        relay = here.start(is_loadable=True)
        assert await lack_of(relay) == -1
        here.use(engine.url)
        relay.go_on(0)
        assert await lack_of(relay) == 0
        relay.go_on(0)
        assert (await collect(relay)).reason == EndReason.CLOSED
        assert len(engine.requests) == 2


async def test_where_it_cannot_be_had_nothing_is_billed(tmp_path: Path) -> None:
    async with engine_and_house(tmp_path) as (engine, here):
        here.use(engine.url)
        engine.always(*LOST)
        before = here.segment.account(ACCOUNT)
        relay = here.start(AnswerKind.WHOLE, payer=payer(here), is_loadable=True)
        before = here.segment.account(ACCOUNT)
        assert await lack_of(relay) == 0
        relay.give_up()
        assert (await collect(relay)).reason == EndReason.NO_ENGINE
        after = here.segment.account(ACCOUNT)
        assert before is not None and after is not None
        assert (relay.cost_nanos, after.in_flight) == (0, 0)
        assert after.available_nanos >= before.available_nanos


async def test_a_streams_client_gets_comments_while_it_is_loaded(tmp_path: Path) -> None:
    async with engine_and_house(tmp_path, comment_ms=30) as (engine, here):
        relay = here.start(is_loadable=True)
        assert await lack_of(relay) == -1
        assert isinstance(await next_event(relay), Head)
        assert await next_event(relay) == COMMENT
        here.use(engine.url)
        relay.go_on(0)
        frames = b""
        while isinstance(event := await next_event(relay), bytes):
            frames += event
        assert b"Hi" in frames and not isinstance(event, Head)


async def test_a_whole_answer_has_no_comments(tmp_path: Path) -> None:
    async with engine_and_house(tmp_path, comment_ms=10) as (_, here):
        relay = here.start(AnswerKind.WHOLE, is_loadable=True)
        assert await lack_of(relay) == -1
        with contextlib.suppress(TimeoutError):
            await until(lambda: relay.take() is not None, 0.1)
            pytest.fail("something came")
        relay.give_up()


async def test_a_client_that_goes_gives_back_what_it_held(tmp_path: Path) -> None:
    async with engine_and_house(tmp_path) as (_, here):
        relay = here.start(AnswerKind.WHOLE, payer=payer(here), is_loadable=True)
        assert await lack_of(relay) == -1
        relay.close()
        assert (in_flight(here), relay.cost_nanos) == (0, 0)
        relay.go_on(0)  # too late, and nothing


async def test_other_requests_lack_nothing(tmp_path: Path) -> None:
    async with engine_and_house(tmp_path) as (engine, here):
        assert (await here.run()).reason == EndReason.NO_ENGINE
        here.use(engine.url)
        engine.play(*LOST)
        got = await here.run()
        assert got.whole is not None and got.whole.status == 404
