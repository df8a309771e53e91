"""Every way an engine can fail: the relay names it, never ends cleanly, and keeps the count."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.support.relays import collect, house, next_event, tokens
from tests.support.scripted_upstream import (
    DONE,
    LAST_CHUNK,
    Close,
    Hang,
    Raw,
    Reset,
    ScriptedUpstream,
    Step,
    Wait,
    chunk,
    event,
    head,
    piece,
    refused_url,
    stream,
    unanswered_url,
    whole,
)
from tokenmill._native import AnswerKind, End, EndReason, Head

ERROR = {"error": {"message": "bad grammar", "code": 400}}

MID_STREAM_FAULTS: list[tuple[str, list[Step], EndReason]] = [
    # The process dies: its socket is closed, or reset.
    ("closed", [Close()], EndReason.CLOSED),
    ("reset", [Reset()], EndReason.CLOSED),
    # A proper HTTP end without DONE; DONE without a finish.
    ("no done", [LAST_CHUNK], EndReason.CLOSED),
    ("done unfinished", [chunk(DONE), LAST_CHUNK], EndReason.CLOSED),
    # vLLM's own ways.
    ("abort", [chunk(piece("", "abort", made=4)), chunk(DONE), LAST_CHUNK], EndReason.ABORTED),
    ("error", [chunk(event(ERROR)), chunk(DONE), LAST_CHUNK], EndReason.ERROR_EVENT),
    # Bytes that are no chunk, no UTF-8, no JSON.
    ("bad chunk", [Raw(b"zz\r\n"), Hang()], EndReason.MALFORMED),
    ("bad text", [chunk(b'data: {"a":"\xff"}\n\n')], EndReason.MALFORMED),
    ("bad JSON", [chunk(b'data: {"choices":[{\n\n'), chunk(DONE)], EndReason.MALFORMED),
    # A line that never ends.
    ("giant line", [chunk(b"data: " + b"x" * 70_000), Hang()], EndReason.TOO_LARGE),
    # Silence.
    ("hang", [Hang()], EndReason.STALLED),
]


def patience(reason: EndReason) -> dict[str, int]:
    """The limit that this end comes of, which is short where it comes of one: nobody else is to be
    taken for silent who is slow."""
    names = {EndReason.STALLED: "stall_ms", EndReason.FIRST_BYTE_TIMEOUT: "first_byte_ms"}
    return {names[reason]: 300} if reason in names else {}


@pytest.mark.parametrize(
    ("steps", "reason"),
    [pytest.param(steps, reason, id=name) for name, steps, reason in MID_STREAM_FAULTS],
)
async def test_a_fault_in_mid_stream(tmp_path: Path, steps: list[Step], reason: EndReason) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path, **patience(reason)) as here:
        here.use(upstream.url)
        upstream.always(head(), chunk(piece("Hi", made=4)), *steps)
        relay = here.start()
        got = await collect(relay)
        assert got.reason == reason
        assert got.end is not None
        assert got.end.sent_tokens
        assert got.body == piece("Hi", made=4)
        assert tokens(relay.usage())[:2] == (3, 4)
        assert relay.take() is None
        assert here.segment.worker_in_flight(1) == 0


FIRST_FAULTS: list[tuple[str, list[Step], EndReason]] = [
    # Taken and closed, or reset, without a word; cut inside the head.
    ("closed", [Close()], EndReason.CLOSED),
    ("reset", [Reset()], EndReason.CLOSED),
    ("cut head", [Raw(b"HTTP/1.1 200 OK\r\ncontent-ty"), Close()], EndReason.CLOSED),
    # Another protocol; a head without end; too many headers.
    ("no HTTP", [Raw(b"220 mail ready\r\n\r\n"), Hang()], EndReason.MALFORMED),
    ("giant head", [Raw(b"HTTP/1.1 200 OK\r\na: " + b"x" * 99_999)], EndReason.MALFORMED),
    ("many headers", [head(200, "a/b", *["a: b"] * 150)], EndReason.MALFORMED),
    # Silence.
    ("hang", [Hang()], EndReason.FIRST_BYTE_TIMEOUT),
    ("a head alone", [head(), Hang()], EndReason.FIRST_BYTE_TIMEOUT),
    # An error as the first event is no head: it can still become a status.
    ("error", stream(event(ERROR), DONE), EndReason.ERROR_EVENT),
    ("abort", stream(piece("", "abort"), DONE), EndReason.ABORTED),
    ("empty", stream(), EndReason.CLOSED),
]


@pytest.mark.parametrize(
    ("steps", "reason"),
    [pytest.param(steps, reason, id=name) for name, steps, reason in FIRST_FAULTS],
)
async def test_a_fault_before_the_first_frame(
    tmp_path: Path, steps: list[Step], reason: EndReason
) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path, **patience(reason)) as here:
        here.use(upstream.url)
        upstream.always(*steps)
        got = await here.run()
        assert (got.reason, got.head) == (reason, None)
        assert got.end is not None
        assert not got.end.sent_tokens
        assert len(upstream.requests) == 1


async def test_an_error_event_says_what_the_engine_said(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path) as here:
        here.use(upstream.url)
        upstream.always(*stream(event(ERROR), DONE))
        got = await here.run()
        assert got.end is not None
        assert json.loads(got.end.detail) == ERROR


WHOLE_FAULTS: list[tuple[str, list[Step], EndReason]] = [
    # Half a body; a stalled one; one that is no JSON; one that is no object.
    ("cut", [Raw(b'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"a'), Close()], EndReason.CLOSED),
    ("hang", [Raw(b'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"a'), Hang()], EndReason.STALLED),
    ("no JSON", whole(b"<html>"), EndReason.MALFORMED),
    ("a list", whole(b"[]"), EndReason.MALFORMED),
    # Too long by its own account, and by what came.
    ("long", [Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n")], EndReason.TOO_LARGE),
    ("longer", [head(), *[chunk(b"x" * 60_000)] * 20], EndReason.TOO_LARGE),
    # The engine gave up.
    ("abort", whole({"choices": [{"finish_reason": "abort"}]}), EndReason.ABORTED),
]


@pytest.mark.parametrize(
    ("steps", "reason"),
    [pytest.param(steps, reason, id=name) for name, steps, reason in WHOLE_FAULTS],
)
async def test_a_fault_of_a_whole_answer(
    tmp_path: Path, steps: list[Step], reason: EndReason
) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path, **patience(reason)) as here:
        here.use(upstream.url)
        upstream.always(*steps)
        got = await here.run(AnswerKind.WHOLE)
        assert (got.reason, got.whole) == (reason, None)
        assert got.end is not None
        assert got.end.sent_tokens, "the engine had begun a good answer: a retry pays twice"


async def test_a_plain_answer_cut_short_says_so(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path) as here:
        here.use(upstream.url)
        upstream.always(Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"), Close())
        got = await collect(here.plain())
        assert (got.body, got.reason) == (b"half", EndReason.CLOSED)


async def test_a_pool_without_engines_and_a_pool_that_is_not(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        assert (await here.run()).reason == EndReason.NO_ENGINE
        here.use()
        assert (await here.run()).reason == EndReason.NO_ENGINE


async def test_an_engine_that_refuses(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        with refused_url() as url:
            here.use(url)
            relay = here.start()
            assert (await collect(relay)).reason == EndReason.REFUSED
            assert relay.engine == 0


async def test_an_engine_that_does_not_take_the_connection(tmp_path: Path) -> None:
    async with house(tmp_path, connect_ms=200) as here, unanswered_url() as url:
        here.use(url)
        assert (await here.run()).reason == EndReason.CONNECT_TIMEOUT


async def test_comments_keep_a_silent_stream_alive(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path, comment_ms=50) as here:
        here.use(upstream.url)
        before, between = asyncio.Event(), asyncio.Event()
        rest = [chunk(piece("", "stop")), chunk(DONE), LAST_CHUNK]
        upstream.always(Wait(before), head(), chunk(piece("Hi")), Wait(between), *rest)
        relay = here.start()
        first = await next_event(relay)
        assert isinstance(first, Head)
        assert (first.status, first.first_byte_ns) == (200, 0)
        comment = b": keep-alive\n\n"
        assert [await next_event(relay) for _ in range(2)] == [comment] * 2
        before.set()
        while (got := await next_event(relay)) == comment:
            pass
        assert got == piece("Hi")
        assert await next_event(relay) == comment
        between.set()
        while isinstance(got := await next_event(relay), bytes):
            pass
        assert isinstance(got, End)
        assert got.reason == EndReason.COMPLETE


async def test_an_error_status_after_a_comment_is_an_error_event(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path, comment_ms=50) as here:
        here.use(upstream.url)
        for body, reason in (
            (json.dumps(ERROR).encode(), EndReason.ERROR_EVENT),
            (b"<html>", EndReason.MALFORMED),
        ):
            gate = asyncio.Event()
            upstream.play(Wait(gate), *whole(body, 400))
            relay = here.start()
            assert isinstance(await next_event(relay), Head)
            gate.set()
            while isinstance(got := await next_event(relay), bytes):
                assert got == b": keep-alive\n\n"
            assert isinstance(got, End)
            assert got.reason == reason


async def test_a_whole_answer_gets_no_comments(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path, comment_ms=20) as here:
        here.use(upstream.url)
        gate = asyncio.Event()
        upstream.always(Wait(gate), *whole({}))
        relay = here.start(AnswerKind.WHOLE)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.15):
                await relay
        gate.set()
        await relay
        assert (await collect(relay)).whole is not None
