"""An engine that has left the fleet: what it still says is relayed, its silence is its end.

A vLLM that is told to stop may refuse connections and leave a stream hanging for ever. The cases
run side by side, because each waits out the ten seconds that such an engine is given.
"""

import asyncio
import time
from pathlib import Path

from tests.support.relays import House, collect, house, next_event
from tests.support.scripted_upstream import (
    DONE,
    Hang,
    ScriptedUpstream,
    Step,
    Wait,
    chunk,
    head,
    piece,
    stream,
    whole,
)
from tokenmill._native import AnswerKind, EndReason, Head, Relay

GIVEN_S = 10.0
LATEST_S = GIVEN_S + 5
"""The native thread looks every two seconds; the rest is for a busy machine."""


def forget_engines(here: House) -> None:
    """The fleet has no engine any more."""
    here.forwarder.set_fleet([], [])


async def begun(relay: Relay) -> None:
    assert isinstance(await next_event(relay), Head)
    assert b"one" in await next_event(relay)  # type: ignore[operator]


async def check_silence_in_mid_stream_ends_it(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path, stall_ms=60_000) as here:
        here.use(upstream.url)
        upstream.play(head(), chunk(piece("one")), Hang())
        relay = here.start()
        await begun(relay)
        forget_engines(here)
        left = time.monotonic()
        got = await collect_rest(relay)
        assert got == EndReason.CLOSED
        assert GIVEN_S - 1 < time.monotonic() - left < LATEST_S


async def check_silence_before_an_answer_ends_it(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path, first_byte_ms=60_000) as here:
        here.use(upstream.url)
        upstream.play(Hang())
        relay = here.start(AnswerKind.WHOLE)
        await upstream.request_count(1)
        forget_engines(here)
        got = await asyncio.wait_for(collect(relay), LATEST_S)
        assert got.reason == EndReason.CLOSED


async def check_an_engine_that_finishes_what_it_began_is_heard_to_the_end(tmp_path: Path) -> None:
    """A word each four seconds, well past the time that a silent engine is given."""
    words: list[Step] = []
    for count in range(1, 5):
        words += [Wait(after(4 * count)), chunk(piece("one", made=count))]
    async with ScriptedUpstream() as upstream, house(tmp_path, stall_ms=60_000) as here:
        here.use(upstream.url)
        upstream.play(head(), chunk(piece("one")), *words, *stream(piece("", "stop"), DONE)[1:])
        relay = here.start()
        await begun(relay)
        forget_engines(here)
        assert await collect_rest(relay) == EndReason.COMPLETE


async def check_an_engine_that_comes_back_is_waited_for(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path, stall_ms=60_000) as here:
        here.use(upstream.url)
        upstream.play(Wait(after(GIVEN_S + 4)), *whole({"choices": []}))
        relay = here.start(AnswerKind.WHOLE)
        await upstream.request_count(1)
        here.forwarder.set_fleet([(0, upstream.url, None)], [])
        here.use(upstream.url)
        got = await asyncio.wait_for(collect(relay), GIVEN_S + LATEST_S)
        assert got.whole is not None


CASES = [
    check_silence_in_mid_stream_ends_it,
    check_silence_before_an_answer_ends_it,
    check_an_engine_that_finishes_what_it_began_is_heard_to_the_end,
    check_an_engine_that_comes_back_is_waited_for,
]


async def test_the_silence_of_an_engine_that_left_is_its_end(tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as cases:
        for case in CASES:
            folder = tmp_path / case.__name__
            folder.mkdir()
            cases.create_task(case(folder))


def after(seconds: float) -> asyncio.Event:
    """An event that is set after so many seconds."""
    gate = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, gate.set)
    return gate


async def collect_rest(relay: Relay) -> EndReason:
    while isinstance(item := await next_event(relay), bytes):
        pass
    return item.reason  # type: ignore[union-attr]
