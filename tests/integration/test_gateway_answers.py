"""Whole answers through a real gateway: names, defaults, headers, models, embeddings, health."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import (
    BEARER,
    CHAT,
    HI,
    OTHER_SECRET,
    SECRET,
    Gateway,
    fleet_of,
    running_gateway,
)
from tests.support.scripted_upstream import ScriptedUpstream, whole
from tokenmill._native import COUNTERS
from tokenmill.models.fleet import Engine, Fleet
from tokenmill.settings import HttpSettings

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "engine-m",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}
VECTORS = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 1.0]}],
    "model": "org/vectors",
    "usage": {"prompt_tokens": 2, "total_tokens": 2},
}


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as server:
        server.always(*whole(ANSWER))
        yield server


@pytest.fixture
async def gateway(tmp_path: Path, upstream: ScriptedUpstream) -> AsyncIterator[Gateway]:
    async with running_gateway(tmp_path, upstream.url) as running:
        yield running


def asked(upstream: ScriptedUpstream) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(upstream.requests[-1].body)
    return decoded


async def test_a_chat_is_answered_with_the_headers_of_every_answer(gateway: Gateway) -> None:
    answer = await gateway.chat(model="engine-m")
    assert (answer.status_code, answer.json()) == (200, ANSWER)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-request-id"].startswith("req_")
    names = [each.split(";")[0] for each in answer.headers["server-timing"].split(", ")]
    assert names == ["key", "decode", "route", "upstream", "gateway"]


async def test_the_engine_gets_the_routes_defaults_and_no_key(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    await gateway.chat(user="me", store=False)
    request = upstream.requests[-1]
    assert (request.method, request.target) == ("POST", CHAT)
    assert "authorization" not in request.headers
    assert SECRET.encode() not in request.body
    assert asked(upstream) == {
        "model": "engine-m",
        "messages": HI,
        "max_tokens": 1024,
        "temperature": 0.7,
        "top_p": 1.0,
    }


@pytest.mark.parametrize(
    ("model", "named"),
    [(None, "engine-m"), ("auto", "engine-m"), ("your-model-id", "your-model-id")],
)
async def test_an_answer_names_the_model_that_was_found_or_asked_for(
    gateway: Gateway, upstream: ScriptedUpstream, model: str | None, named: str
) -> None:
    answer = await gateway.chat(model=model)
    assert answer.json() == ANSWER | {"model": named}
    assert asked(upstream)["model"] == "engine-m"


async def test_both_prefixes_and_a_key_in_the_query(gateway: Gateway) -> None:
    for prefix in ("/v1", "/api/v1"):
        path = f"{prefix}/chat/completions?api_key={SECRET}"
        answer = await gateway.client.post(path, json={"messages": HI})
        assert answer.status_code == 200
        assert answer.headers["referrer-policy"] == "no-referrer"


async def test_keys_in_the_query_can_be_switched_off(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    http = HttpSettings(query_api_key=False)
    async with running_gateway(tmp_path, upstream.url, http=http) as gateway:
        answer = await gateway.client.get(f"/v1/models?api_key={SECRET}")
        assert answer.status_code == 401


async def test_a_request_id_of_the_client_comes_back_and_does_not_reach_the_engine(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    headers = BEARER | {"x-request-id": "mine-1"}
    answer = await gateway.client.post(CHAT, json={"messages": HI}, headers=headers)
    assert answer.headers["x-request-id"] == "mine-1"
    assert upstream.requests[-1].headers["x-request-id"].startswith("req_")


async def test_a_completion_is_answered(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    text = ANSWER | {"object": "text_completion", "choices": [{"index": 0, "text": "Hello"}]}
    upstream.play(*whole(text))
    answer = await gateway.client.post("/v1/completions", json={"prompt": "Hi"}, headers=BEARER)
    assert answer.json() == text
    assert upstream.requests[-1].target == "/v1/completions"
    assert asked(upstream)["max_tokens"] == 1024


async def test_embeddings_are_answered_under_the_alias(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.play(*whole(VECTORS))
    body = {"model": "text-embedding-ada-002", "input": "Hi", "encoding_format": "base64"}
    answer = await gateway.client.post("/v1/embeddings", json=body, headers=BEARER)
    assert answer.json() == VECTORS | {"model": "text-embedding-ada-002"}
    assert asked(upstream) == {"model": "org/vectors", "input": "Hi", "encoding_format": "base64"}


async def test_a_long_input_is_counted_by_the_engine_first(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.play(*whole({"count": 8193, "max_model_len": 32768}))
    body = {"input": ["Hi", "word " * 2000]}
    answer = await gateway.client.post("/v1/embeddings", json=body, headers=BEARER)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "context_length_exceeded")
    assert error["param"] == "input[1]"
    assert [each.target for each in upstream.requests] == ["/tokenize"]


async def test_a_long_input_that_is_short_enough_is_embedded(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.play(*whole({"count": 2000}))
    upstream.play(*whole(VECTORS))
    body = {"input": "word " * 2000}
    answer = await gateway.client.post("/v1/embeddings", json=body, headers=BEARER)
    assert answer.status_code == 200
    assert [each.target for each in upstream.requests] == ["/tokenize", "/v1/embeddings"]


async def test_models_are_listed_for_the_account(gateway: Gateway) -> None:
    listed = (await gateway.client.get("/v1/models", headers=BEARER)).json()
    assert listed["object"] == "list"
    assert [each["id"] for each in listed["data"]] == ["engine-m", "org/vectors"]
    assert listed["data"][0] == {
        "id": "engine-m",
        "object": "model",
        "created": 5,
        "owned_by": "vllm",
    }
    other = {"authorization": f"Bearer {OTHER_SECRET}"}
    seen = (await gateway.client.get("/api/v1/models", headers=other)).json()["data"]
    assert "private" in [each["id"] for each in seen]


@pytest.mark.parametrize("name", ["org/vectors", "org%2Fvectors", "text-embedding-ada-002"])
async def test_a_model_is_shown_by_id_with_slashes_or_by_alias(gateway: Gateway, name: str) -> None:
    answer = await gateway.client.get(f"/v1/models/{name}", headers=BEARER)
    assert answer.json()["id"] == name.replace("%2F", "/")


async def test_anothers_model_is_not_there(gateway: Gateway) -> None:
    for answer in (
        await gateway.client.get("/v1/models/private", headers=BEARER),
        await gateway.chat(model="private"),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("path", ["/health", "/v1/health", "/api/v1/health"])
async def test_health_follows_the_fleet(gateway: Gateway, path: str) -> None:
    assert (await gateway.client.get(path)).json() == {"status": "ok"}
    gateway.publish(Fleet())
    answer = await gateway.client.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_engine")
    assert (await gateway.client.get("/livez")).status_code == 200


async def test_a_new_fleet_is_in_force_with_the_next_request(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    loading = Engine(slot=0, name="e", url=upstream.url, kind="vllm", state="loading")
    gateway.publish(Fleet(engines=(loading,)))
    answer = await gateway.chat()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_loading")
    assert answer.headers["retry-after"] == "1"
    gateway.publish(fleet_of(upstream.url))
    assert (await gateway.chat()).status_code == 200


async def test_a_fleet_file_that_cannot_be_read_leaves_the_old_one(gateway: Gateway) -> None:
    assert (await gateway.chat()).status_code == 200
    (gateway.settings.state / "fleet.json").write_text("{")
    gateway.segment.publish_fleet(9)
    assert (await gateway.chat()).status_code == 200


async def test_usage_and_answers_are_counted(gateway: Gateway) -> None:
    await gateway.chat()
    await gateway.chat(n=0)
    totals = dict(zip(COUNTERS, gateway.segment.totals(), strict=True))
    assert totals['tokenmill_requests_total{endpoint="chat_completions",status="2xx"}'] == 1
    assert totals['tokenmill_requests_total{endpoint="chat_completions",status="4xx"}'] == 1
    assert totals['tokenmill_tokens_total{kind="prompt"}'] == 3
    assert totals['tokenmill_tokens_total{kind="completion"}'] == 1
