"""Good answers through the native relay: streams, whole bodies, plain requests, what is sent."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.relays import TARGET, collect, house, next_event, tokens
from tests.support.scripted_upstream import (
    DONE,
    LAST_CHUNK,
    Close,
    Dribble,
    Raw,
    ScriptedUpstream,
    Wait,
    chunk,
    good_stream,
    head,
    piece,
    stream,
    usage_event,
    whole,
)
from tokenmill._native import AnswerKind, EndReason, Head, Relay, UsageShape

Start = Callable[[], Relay]


async def test_a_stream_comes_through_metered_and_renamed(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path) as here:
        here.use(upstream.url)
        upstream.always(*good_stream("Hi", " you"))
        relay = here.start(usage=UsageShape.NONE, model="mine")
        got = await collect(relay)
        assert got.head is not None
        assert got.head.status == 200
        assert got.head.first_byte_ns > 0
        assert got.reason == EndReason.COMPLETE
        assert got.end is not None
        assert got.end.sent_tokens
        assert got.body.endswith(DONE)
        frames = [json.loads(frame[6:]) for frame in got.body.split(b"\n\n")[:-2]]
        assert [frame["model"] for frame in frames] == ["mine"] * 3
        assert all("usage" not in frame for frame in frames)
        assert tokens(relay.usage()) == (3, 2, 0)
        assert relay.usage().seen


async def test_frames_leave_while_the_engine_still_works(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path) as here:
        here.use(upstream.url)
        gate = asyncio.Event()
        first = piece("Hi")
        rest = [chunk(piece("", "stop")), chunk(DONE), LAST_CHUNK]
        upstream.always(head(), chunk(first), Wait(gate), *rest)
        relay = here.start()
        assert isinstance(await next_event(relay), Head)
        assert await next_event(relay) == first
        assert here.segment.engine_in_flight(0) == 1
        assert relay.take() is None
        gate.set()
        assert (await collect_rest(relay)).endswith(DONE)
        assert here.segment.engine_in_flight(0) == 0


async def collect_rest(relay: Relay) -> bytes:
    parts = []
    while isinstance(part := await next_event(relay), bytes):
        parts.append(part)
    return b"".join(parts)


async def test_a_stream_that_comes_byte_by_byte_is_the_same(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path) as here:
        here.use(upstream.url)
        events = piece("Grüße") + piece("", "stop") + DONE
        lines = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
        length = b"content-length: %d\r\n\r\n" % len(events)
        upstream.always(Dribble(lines + length + events))
        got = await here.run()
        assert got.body == events
        assert got.reason == EndReason.COMPLETE


async def test_chunks_that_end_anywhere_and_trailers_change_nothing(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path) as here:
        here.use(upstream.url)
        events = piece("é") + piece("", "stop") + DONE
        cut = [chunk(events[at : at + 7]) for at in range(0, len(events), 7)]
        end = Raw(b"0\r\nx-checksum: 1\r\n\r\n")
        upstream.always(head(200, "text/event-stream", "trailer: x-checksum"), *cut, end)
        for _ in range(2):
            assert (await here.run()).body == events
        assert upstream.connection_count == 1


async def test_the_final_usage_is_shown_to_who_asked(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path) as here:
        here.use(upstream.url)
        upstream.always(*stream(piece("", "stop"), usage_event(3, 1), usage_event(3, 2), DONE))
        relay = here.start(usage=UsageShape.FINAL)
        got = await collect(relay)
        assert got.body.count(b'"usage":null') == 1
        assert got.body.count(b'"completion_tokens":2') == 1
        assert b'"completion_tokens":1' not in got.body
        assert tokens(relay.usage()) == (3, 2, 0)


async def test_a_stream_without_usage_is_complete_and_unmetered(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path) as here:
        here.use(upstream.url)
        upstream.always(*stream(b'data: {"choices":[{"finish_reason":"stop"}]}\n\n', DONE))
        relay = here.start()
        assert (await collect(relay)).reason == EndReason.COMPLETE
        assert not relay.usage().seen


async def test_a_whole_answer_is_metered_and_renamed(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path) as here:
        here.use(upstream.url)
        usage = {
            "prompt_tokens": 5,
            "completion_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 4},
        }
        upstream.always(*whole({"model": "m", "choices": [], "usage": usage}))
        relay = here.start(AnswerKind.WHOLE, model="mine")
        got = await collect(relay)
        assert got.whole is not None
        assert got.whole.status == 200
        assert got.whole.first_byte_ns > 0
        assert json.loads(got.whole.body) == {"model": "mine", "choices": [], "usage": usage}
        assert tokens(relay.usage()) == (5, 7, 4)


async def test_an_error_status_is_given_whole_whatever_was_asked(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path) as here:
        here.use(upstream.url)
        for kind in (AnswerKind.STREAM, AnswerKind.WHOLE):
            upstream.play(*whole(b"not even JSON", 404))
            got = await here.run(kind)
            assert got.whole is not None
            assert (got.whole.status, got.whole.body) == (404, b"not even JSON")


async def test_a_stream_that_is_answered_with_json_is_given_whole(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path) as here:
        here.use(upstream.url)
        upstream.always(*whole({"choices": []}))
        got = await here.run()
        assert got.whole is not None
        assert json.loads(got.whole.body) == {"choices": []}


async def test_what_is_sent_to_an_engine(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path) as here:
        here.use(upstream.url + "/base/", token="sekret")
        upstream.always(*good_stream("Hi"))
        await here.run(body=b'{"stream":true}')
        sent = upstream.requests[0]
        assert (sent.method, sent.target) == ("POST", "/base" + TARGET)
        assert sent.body == b'{"stream":true}'
        assert sent.headers == {
            "host": upstream.url.removeprefix("http://"),
            "content-type": "application/json",
            "accept": "text/event-stream",
            "x-request-id": "req-1",
            "authorization": "Bearer sekret",
            "content-length": "15",
        }


async def test_a_plain_request_is_passed_on_over_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    async with ScriptedUpstream(path=path) as upstream, house(tmp_path) as here:
        here.use(upstream.url)
        lines = (
            b"HTTP/1.1 303 See Other\r\nlocation: /there\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n"
        )
        hop = b"connection: keep-alive, x-hop\r\nkeep-alive: 5\r\nx-hop: 1\r\n"
        upstream.always(Raw(lines + hop + b"content-length: 4\r\n\r\nbody"))
        sent = [(b"X-Mine", b"1"), (b"Connection", b"x-drop"), (b"x-drop", b"1"), (b"te", b"x")]
        got = await collect(here.plain("PUT", "/a?b=c", sent, b"data"))
        assert got.head is not None
        assert got.head.status == 303
        assert got.head.headers == [
            (b"location", b"/there"),
            (b"set-cookie", b"a=1"),
            (b"set-cookie", b"b=2"),
            (b"content-length", b"4"),
        ]
        assert (got.body, got.reason) == (b"body", EndReason.COMPLETE)
        request = upstream.requests[0]
        assert (request.method, request.target, request.body) == ("PUT", "/a?b=c", b"data")
        assert request.headers == {"host": "localhost", "x-mine": "1", "content-length": "4"}


async def test_a_plain_answer_without_length_ends_with_its_connection(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path) as here:
        here.use(upstream.url)
        upstream.always(Raw(b"HTTP/1.1 200 OK\r\n\r\n"), Raw(b"all of it"), Close())
        got = await collect(here.plain())
        assert (got.body, got.reason) == (b"all of it", EndReason.COMPLETE)


async def test_answers_to_head_and_204_have_no_body(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream, house(tmp_path) as here:
        here.use(upstream.url)
        upstream.play(Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n"))
        upstream.play(Raw(b"HTTP/1.1 204 No Content\r\n\r\n"))
        for method, status in (("HEAD", 200), ("DELETE", 204)):
            got = await collect(here.plain(method))
            assert got.head is not None
            assert (got.head.status, got.body) == (status, b"")
            assert got.reason == EndReason.COMPLETE


@pytest.mark.parametrize("url", ["https://", "engine:8000", "unix:relative", "ftp://x", ""])
async def test_a_url_that_cannot_be_used_is_named(tmp_path: Path, url: str) -> None:
    async with house(tmp_path) as here:
        with pytest.raises(ValueError, match="engine URL") as raised:
            here.use(url)
        assert repr(url).strip("'") in str(raised.value)


async def test_requests_that_http_does_not_allow_are_refused(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        refusals: list[Start] = [
            lambda: here.plain(target="no-slash"),
            lambda: here.plain(target="/with space"),
            lambda: here.plain(method="NO SUCH"),
            lambda: here.plain(headers=[(b"a b", b"c")]),
            lambda: here.plain(headers=[(b"a", b"b\r\nc: d")]),
            lambda: here.forwarder.start(
                0, TARGET, b"", kind=AnswerKind.WHOLE, request_id="a\r\nb: c"
            ),
        ]
        for refused in refusals:
            with pytest.raises(ValueError, match=r"HTTP allows|path"):
                refused()
