"""Streams through a real gateway: usage, names, errors before and after the first byte."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import BEARER, CHAT, HI, Gateway, running_gateway
from tests.support.scripted_upstream import (
    DONE,
    LAST_CHUNK,
    Close,
    Hang,
    Reset,
    ScriptedUpstream,
    Step,
    Wait,
    chunk,
    event,
    good_stream,
    head,
    piece,
    refused_url,
    stream,
    whole,
)
from tokenmill._native import COUNTERS
from tokenmill.clock import monotonic_ms
from tokenmill.settings import ForwardSettings

GONE_WITHIN_MS = 250
TRIES = 20
"""A busy machine may be late; it is not late each time."""


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as server:
        server.always(*good_stream("Hel", "lo"))
        yield server


@pytest.fixture
async def gateway(tmp_path: Path, upstream: ScriptedUpstream) -> AsyncIterator[Gateway]:
    async with running_gateway(tmp_path, upstream.url) as running:
        yield running


def events(text: str) -> list[Any]:
    """The data of all events, `[DONE]` as it is."""
    lines = [each.removeprefix("data: ") for each in text.split("\n\n") if each]
    return [each if each == "[DONE]" else json.loads(each) for each in lines]


async def streamed(gateway: Gateway, **fields: Any) -> list[Any]:
    answer = await gateway.chat(stream=True, **fields)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return events(answer.text)


def said(chunks: list[Any]) -> str:
    return "".join(
        each["choices"][0]["delta"]["content"]
        for each in chunks
        if isinstance(each, dict) and each.get("choices")
    )


async def test_a_stream_ends_with_done_and_shows_no_usage_that_was_not_asked_for(
    gateway: Gateway,
) -> None:
    chunks = await streamed(gateway)
    assert chunks[-1] == "[DONE]"
    assert said(chunks) == "Hello"
    assert not any("usage" in each for each in chunks[:-1])
    assert all(each["choices"] for each in chunks[:-1])


async def test_the_engine_is_always_asked_for_all_usage(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    await streamed(gateway)
    options = json.loads(upstream.requests[-1].body)["stream_options"]
    assert options == {"include_usage": True, "continuous_usage_stats": True}


async def test_usage_that_was_asked_for_is_one_chunk_and_null_on_all_others(
    gateway: Gateway,
) -> None:
    chunks = await streamed(gateway, stream_options={"include_usage": True})
    *texts, last, done = chunks
    assert done == "[DONE]"
    assert (last["choices"], last["usage"]["completion_tokens"]) == ([], 2)
    assert all(each["usage"] is None for each in texts)


async def test_continuous_usage_is_left_as_it_comes(gateway: Gateway) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    chunks = await streamed(gateway, stream_options=options)
    assert [each["usage"]["completion_tokens"] for each in chunks[:-1]] == [1, 2, 2, 2]


@pytest.mark.parametrize(
    ("model", "named"), [(None, "engine-m"), ("your-model-id", "your-model-id")]
)
async def test_every_chunk_names_the_model(gateway: Gateway, model: str | None, named: str) -> None:
    chunks = await streamed(gateway, model=model)
    assert {each["model"] for each in chunks[:-1]} == {named}


async def test_frames_arrive_as_they_are_made(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    gate = asyncio.Event()
    upstream.play(head(), chunk(piece("one")), Wait(gate), chunk(piece("two", "stop")), chunk(DONE))
    body = {"messages": HI, "stream": True}
    async with gateway.client.stream("POST", CHAT, json=body, headers=BEARER) as answer:
        pieces = answer.aiter_text()
        assert "one" in await anext(pieces)
        gate.set()
        assert "two" in await anext(pieces)


BROKEN: dict[str, tuple[list[Step], str]] = {
    "closed": ([head(), chunk(piece("a")), Close()], "engine_error"),
    "reset": ([head(), chunk(piece("a")), Reset()], "engine_error"),
    "ended without [DONE]": (stream(piece("a")), "engine_error"),
    "aborted": (stream(piece("a"), piece("", "abort"), DONE), "engine_error"),
    "an error event": (
        stream(piece("a"), event({"error": {"message": "boom", "code": 500}}), DONE),
        "engine_error",
    ),
    "no JSON": (stream(piece("a"), event("{nonsense"), DONE), "engine_error"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_stream_that_breaks_ends_with_an_error_event_and_no_done(
    gateway: Gateway, upstream: ScriptedUpstream, name: str
) -> None:
    script, code = BROKEN[name]
    upstream.play(*script)
    chunks = await streamed(gateway)
    assert chunks[-1]["error"].keys() == {"message", "type", "param", "code"}
    assert chunks[-1]["error"]["code"] == code
    assert "[DONE]" not in chunks
    assert said(chunks) == "a"


async def test_a_stalled_stream_ends_with_a_timeout(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    upstream.play(head(), chunk(piece("a")), Hang())
    forward = ForwardSettings(stall_ms=100)
    async with running_gateway(tmp_path, upstream.url, forward=forward) as gateway:
        chunks = await streamed(gateway)
    assert chunks[-1]["error"]["code"] == "engine_timeout"


EARLY: dict[str, tuple[list[Step], int, str]] = {
    "an error in the first event": (
        stream(event({"error": {"message": "bad grammar", "code": 400}}), DONE),
        400,
        "unsupported_schema",
    ),
    "a server error in the first event": (
        stream(event({"error": {"message": "boom", "code": 500}}), DONE),
        502,
        "engine_error",
    ),
    "a status": (
        whole({"error": {"message": "long", "param": "input_tokens", "code": 400}}, 400),
        400,
        "context_length_exceeded",
    ),
    "a failure": (whole(b"oops", 500), 502, "engine_error"),
    "an unknown model": (
        whole({"error": {"message": "x", "type": "NotFoundError"}}, 404),
        404,
        "model_not_found",
    ),
    "no stream": (whole({"choices": []}), 502, "engine_error"),
}


@pytest.mark.parametrize("name", EARLY)
async def test_an_error_before_the_first_byte_is_a_status(
    gateway: Gateway, upstream: ScriptedUpstream, name: str
) -> None:
    script, status, code = EARLY[name]
    upstream.play(*script)
    answer = await gateway.chat(stream=True)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert (await gateway.chat(stream=True)).status_code == 200


async def test_no_engine_to_connect_to_is_no_engine(tmp_path: Path) -> None:
    with refused_url() as url:
        async with running_gateway(tmp_path, url) as gateway:
            for is_stream in (True, False):
                answer = await gateway.chat(stream=is_stream)
                assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_engine")
                assert answer.headers["retry-after-ms"] == "1000"


async def test_a_silent_engine_is_a_timeout_not_to_be_paid_twice(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    upstream.always(Hang())
    forward = ForwardSettings(first_byte_ms=100)
    async with running_gateway(tmp_path, upstream.url, forward=forward) as gateway:
        answer = await gateway.chat()
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "engine_timeout")
    assert answer.headers["x-should-retry"] == "false"


async def test_a_slow_start_gets_its_head_and_comments(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    gate = asyncio.Event()
    upstream.play(Wait(gate), *good_stream("x"))
    forward = ForwardSettings(comment_ms=50)
    async with running_gateway(tmp_path, upstream.url, forward=forward) as gateway:
        body = {"messages": HI, "stream": True}
        async with gateway.client.stream("POST", CHAT, json=body, headers=BEARER) as answer:
            assert answer.status_code == 200
            pieces = answer.aiter_text()
            assert (await anext(pieces)).startswith(":")
            gate.set()
            rest = "".join([each async for each in pieces])
    assert rest.endswith("data: [DONE]\n\n")


PHASES: dict[str, list[Step]] = {
    "before the head": [Hang()],
    "after the head": [head(), Hang()],
    "in mid-stream": [head(), chunk(piece("a")), Hang()],
}


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize("phase", PHASES)
async def test_a_client_that_goes_closes_the_engines_connection_at_once(
    gateway: Gateway, upstream: ScriptedUpstream, phase: str, is_stream: bool
) -> None:
    took_ms = []
    for number in range(TRIES):
        upstream.gone.clear()
        upstream.play(*PHASES[phase])
        async with gateway.connect() as (_, writer):
            writer.write(gateway.raw_chat(stream=is_stream))
            await upstream.request_count(number + 1)
            writer.transport.abort()
        began = monotonic_ms()
        async with asyncio.timeout(20):
            await upstream.gone.wait()
        took_ms.append(monotonic_ms() - began)
        if took_ms[-1] < GONE_WITHIN_MS:
            return
    pytest.fail(f"it was told too late each time: {took_ms}")


async def test_a_reader_that_never_reads_is_cut(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    many = [chunk(piece("x" * 1000)) for _ in range(20_000)]
    upstream.play(head(), *many, LAST_CHUNK)
    forward = ForwardSettings(reader_stall_ms=200, buffer_bytes_max=16_384)
    async with (
        running_gateway(tmp_path, upstream.url, forward=forward) as gateway,
        gateway.connect() as (reader, writer),
        asyncio.timeout(40),
    ):
        writer.write(gateway.raw_chat(stream=True))
        await upstream.gone.wait()
        received = b""
        while b'"request_timeout"' not in received and (more := await reader.read(65_536)):
            received = received[-1000:] + more
    # Either the error event still found its way, or the connection was cut in mid-answer.
    assert b'"request_timeout"' in received or not received.endswith(b"0\r\n\r\n")
    assert b"[DONE]" not in received


async def test_frames_and_bytes_are_counted(gateway: Gateway) -> None:
    answer = await gateway.chat(stream=True)
    totals = dict(zip(COUNTERS, gateway.segment.totals(), strict=True))
    assert totals["tokenmill_frames_total"] == len(events(answer.text))
    assert totals["tokenmill_downstream_bytes_total"] == len(answer.content)
    assert 1 <= totals["tokenmill_wakeups_total"] <= totals["tokenmill_frames_total"]
    assert totals["tokenmill_streams_total"] == 1


async def test_a_drain_deadline_ends_a_stream_with_an_error_event(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.play(head(), chunk(piece("a")), Hang())
    body = {"messages": HI, "stream": True}
    async with gateway.client.stream("POST", CHAT, json=body, headers=BEARER) as answer:
        pieces = answer.aiter_text()
        text = await anext(pieces)  # it has begun
        gateway.segment.set_drain(1, monotonic_ms() + 100)
        text += "".join([each async for each in pieces])
    assert events(text)[-1]["error"]["code"] == "draining"
