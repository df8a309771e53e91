"""Traces: a client's goes on to the engine, and where a collector is named, a span of ours is
between the two."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import BEARER, CHAT, HI, SECRET, Gateway, running_gateway
from tests.support.otlp_collector import Collector, attributes, otlp_collector
from tests.support.scripted_upstream import (
    ScriptedUpstream,
    event,
    good_stream,
    piece,
    stream,
    whole,
)
from tokenmill._native import VERSION
from tokenmill.settings import TracingSettings

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
ANSWER = {
    "id": "chatcmpl-1",
    "model": "engine-m",
    "choices": [
        {"index": n, "message": {"content": 'a "finish_reason": "x" b'}, "finish_reason": "length"}
        for n in range(2)
    ],
    "usage": USAGE,
}


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as served:
        served.always(*whole(ANSWER))
        yield served


async def ask(gateway: Gateway, headers: dict[str, str] | None = None, **fields: Any) -> Any:
    body = {"messages": HI, **fields}
    return await gateway.client.post(CHAT, json=body, headers=BEARER | (headers or {}))


def sent(upstream: ScriptedUpstream, name: str) -> list[str | None]:
    """What the engine was told in this header, by request."""
    return [request.headers.get(name) for request in upstream.requests]


async def test_without_a_collector_a_clients_trace_goes_on(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    async with running_gateway(tmp_path, upstream.url) as gateway:
        await ask(gateway)
        await ask(gateway, {"traceparent": PARENT, "tracestate": "a=1"})
        await ask(gateway, {"traceparent": "rubbish", "tracestate": "a=1"})
        await ask(gateway, {"traceparent": PARENT, "tracestate": "Rubbish"})
        await ask(gateway, {"tracestate": "a=1"})
    assert sent(upstream, "traceparent") == [None, PARENT, None, PARENT, None]
    assert sent(upstream, "tracestate") == [None, "a=1", None, None, None]


def tracing(collector: Collector, **changes: Any) -> TracingSettings:
    return TracingSettings(endpoint=collector.url, **changes)


async def test_a_request_has_a_span_between_client_and_engine(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    with otlp_collector() as collector:
        settings = tracing(collector, service="house", headers={"x-key": "s3cret"})
        async with running_gateway(tmp_path, upstream.url, tracing=settings) as gateway:
            await ask(gateway, {"traceparent": PARENT, "tracestate": "a=1"}, model="your-model-id")
        [span] = collector.spans
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, SPAN)
        assert span.trace_state == "a=1"
        assert sent(upstream, "traceparent") == [f"00-{TRACE}-{span.span_id.hex()}-01"]
        assert sent(upstream, "tracestate") == ["a=1"]
        assert (span.name, span.kind) == ("chat engine-m", 2)
        told = attributes(span.attributes)
        assert told.pop("tokenmill.first_byte_ms") > 0
        assert told.pop("tokenmill.request_id") == upstream.requests[0].headers["x-request-id"]
        assert told == {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "tokenmill",
            "gen_ai.request.model": "your-model-id",
            "gen_ai.response.model": "engine-m",
            "gen_ai.request.stream": False,
            "gen_ai.response.finish_reasons": ["length", "length"],
            "gen_ai.usage.input_tokens": 3,
            "gen_ai.usage.output_tokens": 2,
            "gen_ai.usage.cache_read.input_tokens": 0,
            "http.request.method": "POST",
            "http.route": CHAT,
            "http.response.status_code": 200,
            "tokenmill.engine": "e0",
        }
        assert span.end_time_unix_nano > span.start_time_unix_nano
        resource = collector.resources[0]
        assert (resource["service.name"], resource["service.version"]) == ("house", VERSION)
        assert collector.heads[0]["x-key"] == "s3cret"


async def test_streams_refusals_and_cut_streams_tell_how_they_ended(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    upstream.play(*good_stream("a", "b"))
    upstream.play(*stream(piece("a"), event({"error": {"message": "oops", "code": 500}})))
    upstream.play(*whole({"error": {"message": "oops"}}, 500))
    with otlp_collector() as collector:
        async with running_gateway(tmp_path, upstream.url, tracing=tracing(collector)) as gateway:
            await ask(gateway, stream=True)
            await ask(gateway, stream=True)
            await ask(gateway)
            await ask(gateway, temperature=9)
            await ask(gateway, model="nobody")
            body = {"input": "x", "model": "org/vectors"}
            await gateway.client.post("/v1/embeddings", json=body, headers=BEARER)
            await gateway.client.get("/v1/models", headers=BEARER)
        spans = [(one.name, one.status.code, attributes(one.attributes)) for one in collector.spans]
    seen = [(name, code, told.get("error.type")) for name, code, told in spans]
    assert seen[:5] == [
        ("chat engine-m", 0, None),
        ("chat engine-m", 2, "engine_error"),
        ("chat engine-m", 2, "engine_error"),
        ("chat", 0, "invalid_request"),
        ("chat", 0, "model_not_found"),
    ]
    assert len(spans) == 6, "a list of models is no request for an engine"
    assert spans[0][2]["gen_ai.response.finish_reasons"] == ["stop"]
    assert spans[0][2]["gen_ai.usage.output_tokens"] == 2
    assert [told["http.response.status_code"] for _, _, told in spans[:5]] == [
        200,
        200,
        502,
        400,
        404,
    ]


async def test_what_is_not_sampled_is_not_told_but_goes_on(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    """The client's word counts; of requests without one, the ratio's share."""
    unsampled = f"00-{TRACE}-{SPAN}-00"
    with otlp_collector() as collector:
        async with running_gateway(
            tmp_path, upstream.url, tracing=tracing(collector, ratio=0.0)
        ) as gateway:
            await ask(gateway)
            await ask(gateway, {"traceparent": unsampled})
            await ask(gateway, {"traceparent": PARENT})
            await ask(gateway, {"traceparent": "rubbish"})
        assert [one.trace_id.hex() for one in collector.spans] == [TRACE]
    told = sent(upstream, "traceparent")
    assert [one[-2:] for one in told if one] == ["00", "00", "01", "00"]
    assert [one[3:35] for one in told[1:3] if one] == [TRACE, TRACE]


async def test_no_secret_leaves(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    words = ["a private question", "a private answer", "Private-Header", SECRET]
    upstream.always(
        *whole(
            {
                **ANSWER,
                "choices": [
                    {"index": 0, "message": {"content": words[1]}, "finish_reason": "stop"}
                ],
            }
        )
    )
    with otlp_collector() as collector:
        async with running_gateway(tmp_path, upstream.url, tracing=tracing(collector)) as gateway:
            messages = [{"role": "user", "content": words[0]}]
            headers = {"user-agent": words[2], "x-request-id": words[2]}
            await gateway.client.post(
                f"{CHAT}?api_key={SECRET}", json={"messages": messages}, headers=headers
            )
            await ask(gateway, {"authorization": f"Bearer {SECRET}x"})
        assert len(collector.spans) == 2
        for word in words:
            assert word.encode() not in collector.text


async def test_a_collector_that_is_away_changes_nothing(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    with otlp_collector() as collector:
        settings = tracing(collector)
    async with running_gateway(tmp_path, upstream.url, tracing=settings) as gateway:
        for _ in range(3):
            assert (await ask(gateway)).status_code == 200


async def test_without_the_library_there_are_no_spans(
    tmp_path: Path,
    upstream: ScriptedUpstream,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tokenmill.inference.tracing", None)
    settings = TracingSettings(endpoint="http://127.0.0.1:1")
    async with running_gateway(tmp_path, upstream.url, tracing=settings) as gateway:
        answer = await ask(gateway, {"traceparent": PARENT})
        assert answer.status_code == 200
    assert sent(upstream, "traceparent") == [PARENT]
    assert "tokenmill[otel]" in caplog.text
    assert json.loads(answer.text)["usage"]["completion_tokens"] == 2
