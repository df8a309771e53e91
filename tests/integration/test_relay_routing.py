"""Which engine gets a request, and what happens when one refuses, fails, or comes back."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.relays import House, collect, house, until
from tests.support.scripted_upstream import (
    Close,
    Drip,
    Hang,
    Raw,
    ScriptedUpstream,
    Step,
    good_stream,
    head,
    refused_url,
    stream,
    whole,
)
from tokenmill._native import (
    COUNTERS,
    ENGINE_COUNTERS,
    AnswerKind,
    EndReason,
    KeyEntry,
    Payer,
    RoutingPolicy,
    Tariff,
)
from tokenmill.keys.rules import digest, make_secret

SHUTDOWN = {"error": {"message": "cannot schedule new futures after shutdown", "code": 500}}
ACCOUNT = 3
REFUSING_S = 1.0
"""So long one that refused is left out, the first time."""


def retries(here: House) -> int:
    return here.segment.totals()[COUNTERS.index("tokenmill_retries_total")]


@contextlib.asynccontextmanager
async def engines(count: int) -> AsyncIterator[list[ScriptedUpstream]]:
    """Engines that answer with a stream."""
    async with contextlib.AsyncExitStack() as stack:
        made = [await stack.enter_async_context(ScriptedUpstream()) for _ in range(count)]
        for one in made:
            one.always(*good_stream("Hi"))
        yield made


def payer(here: House, account: int = ACCOUNT) -> Payer:
    """Somebody without limits, who has enough."""
    here.segment.put_account(
        account,
        requests_per_min=0,
        tokens_per_min=0,
        concurrency_max=0,
        weight=1,
        opening_nanos=10**12,
    )
    tariff = Tariff(
        model=1, service_class=0, endpoint=0, prompt_nanos=1, cached_nanos=1, completion_nanos=1
    )
    secret = make_secret(chr(ord("a") + account) * 36)
    here.segment.put_key(
        digest(secret), key_id=account, account_id=account, tier=3, scopes=1, expires_at_s=0
    )
    entry = here.segment.find_key(secret.encode(), 1)
    assert isinstance(entry, KeyEntry)
    return Payer(
        entry,
        tariff,
        prompt_tokens_max=10,
        completion_tokens_max=10,
        tokens_estimate=1,
        prompt_tokens_min=1,
        enforce=True,
    )


def prompt(*words: str) -> bytes:
    """A request whose messages are these, each of a thousand bytes."""
    messages = [{"role": "user", "content": (word * 1_000)[:1_000]} for word in words]
    return json.dumps({"model": "m", "messages": messages}, separators=(",", ":")).encode()


def tally(here: House, engine: int) -> dict[str, int]:
    """What was counted of the engine: requests, retries, outcomes and ejections by their label."""
    found = dict(zip(ENGINE_COUNTERS, here.segment.engine_totals(engine), strict=True))
    said = {name: count for name, count in found.items() if count and "first_byte" not in name}
    return {name.partition('="')[2].rstrip('"}') or name: count for name, count in said.items()}


async def test_what_becomes_of_requests_is_counted_by_engine(tmp_path: Path) -> None:
    async with engines(1) as [only], house(tmp_path) as here:
        here.use(only.url)
        await collect(here.start())
        only.play(*stream(b'data: {"x"\n\n'))
        await collect(here.start())
        only.play(*whole(b'{"error": {"message": "no"}}', status=404))
        await collect(here.start(AnswerKind.WHOLE))
        only.play(Hang())
        running = here.start()
        await only.request_count(4)
        running.close()
        await until(lambda: here.segment.engine_in_flight(0) == 0)
        total = {"tokenmill_engine_requests_total": 4}
        assert tally(here, 0) == total | dict.fromkeys(
            ("complete", "malformed", "client_error", "cancelled"), 1
        )
        count = ENGINE_COUNTERS.index("tokenmill_engine_first_byte_milliseconds_count")
        assert here.segment.engine_totals(0)[count] == 2, "of the streams that began"
        here.segment.clear_engine_totals(0)
        assert tally(here, 0) == {}


async def test_a_conversation_stays_with_the_engine_that_has_its_beginning(tmp_path: Path) -> None:
    async with engines(4) as four, house(tmp_path) as here:
        here.use(*(each.url for each in four), policy=RoutingPolicy.PREFIX)
        paying = payer(here)
        homes = set()
        for talk in ("a", "b", "c", "d", "e", "f"):
            used = set()
            for turns in range(1, 6):
                words = [f"{talk}{turn} " for turn in range(turns)]
                relay = here.start(body=prompt(*words), payer=paying)
                await collect(relay)
                used.add(relay.engine)
            assert len(used) == 1, "a later turn went to an engine that had not seen the talk"
            homes |= used
        assert len(homes) > 1, "all talks went to one engine"


async def test_the_beginning_of_another_account_is_no_reason(tmp_path: Path) -> None:
    async with engines(8) as eight, house(tmp_path) as here:
        here.use(*(each.url for each in eight), policy=RoutingPolicy.PREFIX)
        first, other = payer(here, 3), payer(here, 4)
        await collect(here.start(body=prompt("x", "y"), payer=first))
        used = set()
        for _ in range(4):
            # Each account's own copies stay together; the two are placed apart.
            relay = here.start(body=prompt("x", "y"), payer=other)
            await collect(relay)
            used.add(relay.engine)
        assert len(used) == 1


async def test_a_session_stays_with_its_engine(tmp_path: Path) -> None:
    async with engines(4) as four, house(tmp_path) as here:
        here.use(*(each.url for each in four), policy=RoutingPolicy.SESSION)
        homes = {}
        for name in ("anna", "bert", "carl", "dora", "emil", "fritz"):
            used = set()
            for _ in range(4):
                relay = here.start(session=name)
                await collect(relay)
                used.add(relay.engine)
            (homes[name],) = used
        assert len(set(homes.values())) > 1


@pytest.mark.parametrize(
    "refusal",
    [
        whole({"error": "busy"}, 503),
        whole(SHUTDOWN, 500),
        whole({"error": "too many"}, 429),
        [Close()],
    ],
    ids=["503", "500 after shutdown", "429", "closed without a byte"],
)
@pytest.mark.parametrize("kind", [AnswerKind.STREAM, AnswerKind.WHOLE])
async def test_what_an_engine_did_not_take_another_one_gets(
    tmp_path: Path, refusal: list[Step], kind: AnswerKind
) -> None:
    async with ScriptedUpstream() as bad, ScriptedUpstream() as good, house(tmp_path) as here:
        here.use(bad.url, good.url)
        bad.always(*refusal)
        good.always(*(good_stream("Hi") if kind == AnswerKind.STREAM else whole({"id": "1"})))
        for _ in range(12):
            got = await here.run(kind)
            if kind == AnswerKind.STREAM:
                assert got.reason == EndReason.COMPLETE
            else:
                assert got.whole is not None
                assert got.whole.status == 200
        assert len(good.requests) == 12
        assert retries(here) == len(bad.requests) > 0
        assert [here.segment.engine_in_flight(engine) for engine in range(2)] == [0, 0]


async def test_an_engine_that_refuses_gets_nothing_more_at_once(tmp_path: Path) -> None:
    async with ScriptedUpstream() as leaving, engines(1) as (good,), house(tmp_path) as here:
        here.use(leaving.url, good.url)
        leaving.always(*whole(SHUTDOWN, 500))
        while not leaving.requests:
            asked_s = time.monotonic()
            await here.run()
        assert here.segment.engine_health(0).cause == "refusing"
        for _ in range(20):
            await here.run()
            if time.monotonic() < asked_s + REFUSING_S:
                assert len(leaving.requests) == 1
        already = len(leaving.requests)
        # It comes back: it gets one request when its time is over, and is trusted again.
        leaving.always(*good_stream("back"))
        async with asyncio.timeout(20):
            while len(leaving.requests) == already:
                await here.run()
                await asyncio.sleep(0.01)
        await until(lambda: here.segment.engine_health(0).cause == "")


async def test_a_request_without_an_answer_is_tried_twice_at_most(tmp_path: Path) -> None:
    async with engines(5) as five, house(tmp_path) as here:
        here.use(*(each.url for each in five))
        for one in five:
            one.always(Close())
        assert (await here.run()).reason == EndReason.CLOSED
        assert sum(len(one.requests) for one in five) == 2


async def test_an_answer_that_has_begun_is_not_tried_again(tmp_path: Path) -> None:
    async with engines(2) as two, house(tmp_path) as here:
        here.use(*(each.url for each in two))
        for one in two:
            one.always(head(), Close())
        assert (await here.run()).reason == EndReason.CLOSED
        assert sum(len(one.requests) for one in two) == 1
        for one in two:
            one.always(*whole({"error": "oops"}, 500))
        got = await here.run(AnswerKind.WHOLE)
        assert got.whole is not None
        assert got.whole.status == 500
        assert sum(len(one.requests) for one in two) == 2


async def test_when_every_engine_refuses_the_last_refusal_is_the_answer(tmp_path: Path) -> None:
    async with engines(3) as three, house(tmp_path) as here:
        here.use(*(each.url for each in three))
        for one in three:
            one.always(*whole({"error": "busy"}, 503))
        got = await here.run(AnswerKind.WHOLE)
        assert got.whole is not None
        assert (got.whole.status, got.whole.body) == (503, b'{"error": "busy"}')
        # All are left out, and still asked: a pool is never empty by what happened to it.
        assert all(here.segment.engine_health(engine).cause for engine in range(3))
        for one in three:
            one.always(*good_stream("Hi"))
        assert (await here.run()).reason == EndReason.COMPLETE


async def test_a_tenth_of_all_requests_is_tried_again_and_no_more(tmp_path: Path) -> None:
    async with engines(2) as two, house(tmp_path) as here:
        here.use(*(each.url for each in two))
        for one in two:
            one.always(*whole({"error": "too many"}, 429))
        for _ in range(60):
            await here.run(AnswerKind.WHOLE)
        assert retries(here) <= 20 + 60 // 10
        assert sum(len(one.requests) for one in two) == 60 + retries(here)


async def test_an_engine_whose_answers_fail_is_left_out_and_never_most_of_a_pool(
    tmp_path: Path,
) -> None:
    async with engines(3) as three, house(tmp_path) as here:
        here.use(*(each.url for each in three))
        for one in three[:2]:
            one.always(head(), Close())
        async with asyncio.timeout(30):
            while not any(here.segment.engine_health(at).cause for at in range(2)):
                await here.run()
        for _ in range(40):
            await here.run()
        causes = [here.segment.engine_health(engine).cause for engine in range(3)]
        assert sorted(causes) == ["", "", "failing"]
        assert causes[2] == ""


async def test_an_engine_that_begins_far_later_than_its_pool_is_left_out(tmp_path: Path) -> None:
    async with engines(4) as four, house(tmp_path) as here:
        here.use(*(each.url for each in four))
        begin, *rest = good_stream("late")
        assert isinstance(begin, Raw)
        four[1].always(Drip(begin.data[:3], pause_s=0.4), Raw(begin.data[3:]), *rest)
        async with asyncio.timeout(60):
            while here.segment.engine_health(1).cause != "slow":
                await asyncio.gather(*(here.run() for _ in range(16)))
        asked = len(four[1].requests)
        await asyncio.gather(*(here.run() for _ in range(40)))
        assert len(four[1].requests) == asked


async def test_the_wallet_pays_once_for_a_request_that_was_tried_twice(tmp_path: Path) -> None:
    with refused_url() as refused:
        async with engines(1) as (good,), house(tmp_path) as here:
            here.use(refused, good.url)
            paying = payer(here)
            before = here.segment.account(ACCOUNT)
            assert before is not None
            spent = 0
            for _ in range(6):
                relay = here.start(payer=paying)
                await collect(relay)
                spent += relay.cost_nanos
            after = here.segment.account(ACCOUNT)
            assert after is not None
            assert spent > 0
            assert before.available_nanos - after.available_nanos == spent


async def test_what_engines_say_of_their_load_counts(tmp_path: Path) -> None:
    async with engines(2) as two, house(tmp_path) as here:
        here.use(*(each.url for each in two))
        here.segment.note_engine_metrics(0, running=9, waiting=2, cache_permille=990)
        for _ in range(10):
            await here.run()
        assert [len(one.requests) for one in two] == [0, 10]


async def test_what_other_houses_have_counts_and_is_not_believed_for_long(tmp_path: Path) -> None:
    async with engines(2) as two, house(tmp_path) as here:
        here.use(*(each.url for each in two))
        for _ in range(10):
            here.segment.note_engine_others(0, 3)
            await here.run()
        assert [len(one.requests) for one in two] == [0, 10]
        # The same requests seen by the engine itself are not counted twice.
        here.segment.note_engine_metrics(1, running=2, waiting=0, cache_permille=0)
        here.segment.note_engine_others(1, 2)
        here.segment.note_engine_others(0, 3)
        await here.run()
        assert [len(one.requests) for one in two] == [0, 11]
        here.segment.note_engine_metrics(1, running=0, waiting=0, cache_permille=0)

        async def is_used() -> None:
            while not two[0].requests:
                await here.run()
                await asyncio.sleep(0.05)

        await asyncio.wait_for(is_used(), 30)


async def test_an_engine_that_came_back_gets_its_share_step_by_step(tmp_path: Path) -> None:
    async with engines(2) as two, house(tmp_path) as here:
        here.use(*(each.url for each in two))
        here.segment.begin_engine(0, has_returned=True)
        for _ in range(40):
            await here.run()
        assert len(two[0].requests) < 20
