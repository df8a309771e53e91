"""Statuses of wrong requests on real sockets, and what becomes of their connections."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import (
    BEARER,
    CHAT,
    HI,
    SECRET,
    USAGE_SECRET,
    Gateway,
    fleet_of,
    running_gateway,
)
from tests.support.scripted_upstream import ScriptedUpstream, whole
from tokenmill.inference import serving
from tokenmill.keys.rules import digest, make_secret
from tokenmill.models.fleet import Fleet
from tokenmill.settings import BodyBounds, HttpSettings

GOOD = {"choices": [], "model": "engine-m"}
BOUNDS = BodyBounds(body_bytes_max=2_000)
HURRIED = BodyBounds(
    body_bytes_max=2_000, body_deadline_base_ms=100, body_bytes_per_s_min=1_000_000
)
"""Where a body does not come; elsewhere it may be late."""


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as server:
        server.always(*whole(GOOD))
        yield server


@pytest.fixture
async def gateway(
    request: pytest.FixtureRequest, tmp_path: Path, upstream: ScriptedUpstream
) -> AsyncIterator[Gateway]:
    bounds = getattr(request, "param", BOUNDS)
    async with running_gateway(tmp_path, upstream.url, bounds=bounds) as running:
        yield running


def raw(*lines: str, body: bytes = b"", target: str = CHAT, method: str = "POST") -> bytes:
    """A request whose connection is to be closed after it."""
    first = [f"{method} {target} HTTP/1.1", *lines, "", ""]
    return "\r\n".join(first).encode() + body


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def error_of(answer: bytes) -> dict[str, Any]:
    error: dict[str, Any] = json.loads(answer.split(b"\r\n\r\n", 1)[1])["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    return error


KEY = f"authorization: Bearer {SECRET}"
JSON = "content-type: application/json"


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "No API key provided. Send `Authorization: Bearer pk_live_…`."),
        ({"authorization": "Bearer nonsense"}, "Invalid API key provided"),
        ({"authorization": "Bearer " + make_secret("z" * 36)}, "Invalid API key provided"),
        ({"authorization": f"Basic {SECRET}"}, "Invalid API key provided"),
        ({"authorization": SECRET}, "Invalid API key provided"),
        ({"authorization": f"Bearer {SECRET}x"}, "Invalid API key provided"),
        ({"authorization": "Bearer ' OR 1=1 --"}, "Invalid API key provided"),
        ({"authorization": "Bearer " + "x" * 5_000}, "Invalid API key provided"),
        ({"authorization": ""}, "Invalid API key provided"),
    ],
)
async def test_without_a_good_key_the_answer_is_401(
    gateway: Gateway, headers: dict[str, str], message: str
) -> None:
    answer = await gateway.client.post(CHAT, json={"messages": HI}, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"] == {
        "message": message,
        "type": "authentication_error",
        "param": None,
        "code": "invalid_api_key",
    }
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_revoked_key_is_refused_at_once(gateway: Gateway) -> None:
    assert (await gateway.chat()).status_code == 200
    gateway.segment.revoke_key(digest(SECRET))
    answer = await gateway.chat()
    assert answer.status_code == 401
    assert answer.json()["error"]["message"] == "Invalid API key provided: it was revoked."


async def test_an_expired_key_is_refused(gateway: Gateway) -> None:
    fields = {"key_id": 9, "account_id": 1, "tier": 0, "scopes": 15}
    gateway.segment.put_key(digest(SECRET), **fields, expires_at_s=1)
    answer = await gateway.chat()
    assert answer.json()["error"]["message"] == "Invalid API key provided: it has expired."


async def test_a_key_without_the_scope_is_forbidden(gateway: Gateway) -> None:
    headers = {"authorization": f"Bearer {USAGE_SECRET}"}
    answer = await gateway.client.post(CHAT, json={"messages": HI}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["type"]) == (403, "permission_error")


async def test_a_wrong_value_is_named_and_never_reaches_an_engine(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    answer = await gateway.chat(messages=[{"role": "bot", "content": ""}])
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "messages[0].role")
    assert not upstream.requests


async def test_an_unknown_model_is_404_and_one_of_the_other_kind_400(gateway: Gateway) -> None:
    answer = await gateway.chat(model="nope")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    answer = await gateway.chat(model="org/vectors")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")


@pytest.mark.parametrize("path", ["/v1/nope", "/api/v1/chat", "/v1/"])
async def test_unknown_routes_are_404_in_the_envelope(gateway: Gateway, path: str) -> None:
    answer = await gateway.client.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", CHAT, "POST, OPTIONS"),
        ("PUT", CHAT, "POST, OPTIONS"),
        ("POST", "/v1/models", "GET, HEAD, OPTIONS"),
        ("DELETE", "/v1/models/engine-m", "GET, HEAD, OPTIONS"),
        ("POST", "/health", "GET, HEAD, OPTIONS"),
    ],
)
async def test_wrong_methods_are_405_with_the_right_ones(
    gateway: Gateway, method: str, path: str, allowed: str
) -> None:
    answer = await gateway.client.request(method, path, headers=BEARER)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert answer.json()["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/v1/models", "/health", "/livez"])
async def test_head_is_get_without_a_body(gateway: Gateway, path: str) -> None:
    got = await gateway.client.get(path, headers=BEARER)
    answer = await gateway.client.head(path, headers=BEARER)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(got.content))


async def test_options_tells_the_methods(gateway: Gateway) -> None:
    answer = await gateway.client.options(CHAT)
    assert (answer.status_code, answer.headers["allow"]) == (204, "POST, OPTIONS")
    assert "access-control-allow-origin" not in answer.headers


async def test_cors_by_setting(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    page = {"origin": "https://a.example", "access-control-request-method": "POST"}
    http = HttpSettings(cors_origins=("https://a.example",))
    async with running_gateway(tmp_path, upstream.url, http=http) as gateway:
        asked = await gateway.client.options(CHAT, headers=page)
        refused = await gateway.client.post(CHAT, headers={"origin": "https://a.example"})
        strange = await gateway.client.options(CHAT, headers=page | {"origin": "https://b.example"})
    assert asked.headers["access-control-allow-origin"] == "https://a.example"
    assert asked.headers["access-control-allow-methods"] == "POST, OPTIONS"
    assert refused.status_code == 401  # and the page may read why
    assert refused.headers["access-control-allow-origin"] == "https://a.example"
    assert "access-control-allow-origin" not in strange.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
async def test_other_media_types_are_415(gateway: Gateway, headers: dict[str, str]) -> None:
    answer = await gateway.client.post(CHAT, content=b"{}", headers=BEARER | headers)
    assert (answer.status_code, answer.headers["connection"]) == (415, "close")
    assert answer.json()["error"]["code"] == "unsupported_media_type"


async def test_a_body_over_the_cap_is_413_before_it_is_read(gateway: Gateway) -> None:
    answer = await gateway.exchange(raw("host: x", KEY, JSON, "content-length: 2001"))
    assert (status_of(answer), error_of(answer)["code"]) == (413, "request_too_large")
    assert b"connection: close" in answer


async def test_a_chunked_body_over_the_cap_is_413(gateway: Gateway) -> None:
    chunks = b"400\r\n" + b"x" * 0x400 + b"\r\n"
    request = raw("host: x", KEY, JSON, "transfer-encoding: chunked", body=chunks * 3)
    answer = await gateway.exchange(request)
    assert (status_of(answer), error_of(answer)["code"]) == (413, "request_too_large")


@pytest.mark.parametrize("gateway", [HURRIED], indirect=True, ids=["hurried"])
@pytest.mark.parametrize("sent", [b"", b'{"mess'])
async def test_a_body_that_does_not_come_is_408(gateway: Gateway, sent: bytes) -> None:
    answer = await gateway.exchange(raw("host: x", KEY, JSON, "content-length: 99", body=sent))
    assert (status_of(answer), error_of(answer)["code"]) == (408, "request_timeout")
    assert b"x-should-retry: false" in answer
    assert b"connection: close" in answer


async def test_a_missing_host_is_400_and_closes(gateway: Gateway) -> None:
    answer = await gateway.exchange(raw(KEY, target="/v1/models", method="GET"))
    assert status_of(answer) == 400
    assert b"connection: close" in answer


async def test_a_chunked_request_is_served_and_its_connection_closed(gateway: Gateway) -> None:
    body = json.dumps({"messages": HI}).encode()
    framed = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    lines = ("host: x", KEY, JSON, "transfer-encoding: chunked")
    answer = await gateway.exchange(raw(*lines, body=framed))
    assert status_of(answer) == 200
    assert b"connection: close" in answer


async def test_what_follows_a_request_with_both_lengths_is_not_served(gateway: Gateway) -> None:
    smuggled = raw("host: x", KEY, target="/v1/models", method="GET")
    lines = ("host: x", KEY, JSON, "content-length: 5", "transfer-encoding: chunked")
    answer = await gateway.exchange(raw(*lines, body=b"0\r\n\r\n" + smuggled))
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "lines",
    [("authorization: Bearer x", KEY), (KEY, "content-type: text/plain", JSON)],
)
async def test_headers_that_contradict_each_other_are_refused(
    gateway: Gateway, lines: tuple[str, ...]
) -> None:
    request = raw("host: x", "connection: close", *lines, "content-length: 2", body=b"{}")
    answer = await gateway.exchange(request)
    assert status_of(answer) == 400
    assert "twice" in error_of(answer)["message"]


async def test_a_connection_lives_on_after_errors(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    bodies = [b"{}", b"nonsense", json.dumps({"messages": HI}).encode()]
    statuses = []
    async with gateway.connect() as (reader, writer):
        for body in bodies:
            writer.write(raw("host: x", KEY, JSON, f"content-length: {len(body)}", body=body))
            answer_head = await reader.readuntil(b"\r\n\r\n")
            size = int(answer_head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(size)
            statuses.append(status_of(answer_head))
    assert statuses == [400, 400, 200]
    assert len(upstream.requests) == 1


async def test_errors_of_engines_are_translated(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.play(*whole({"error": {"message": "too long", "param": "input_tokens"}}, 400))
    error = (await gateway.chat()).json()["error"]
    assert (error["code"], error["param"]) == ("context_length_exceeded", "messages")
    upstream.play(*whole({"detail": "Not Found"}, 404))
    answer = await gateway.chat()
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "engine_error")


async def test_before_the_keys_are_loaded_a_request_waits(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    async with running_gateway(tmp_path, upstream.url, is_ready=False) as gateway:
        waiting = asyncio.create_task(gateway.chat())
        health = await gateway.client.get("/health")
        assert (health.status_code, health.json()["error"]["code"]) == (503, "model_loading")
        assert not waiting.done()
        gateway.publish(fleet_of(upstream.url))
        gateway.segment.set_accounts_ready()
        gateway.segment.set_keys_ready()
        assert (await waiting).status_code == 200


async def test_a_start_that_takes_too_long_is_503(
    tmp_path: Path, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "READY_WAIT_S", 0.05)
    async with running_gateway(tmp_path, upstream.url, is_ready=False) as gateway:
        answer = await gateway.chat()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_loading")


@pytest.mark.parametrize("refuse", [True, False])
async def test_a_worker_that_leaves_closes_connections(gateway: Gateway, refuse: bool) -> None:
    gateway.app.lame_duck(refuse=refuse)
    answer = await gateway.chat()
    assert answer.headers["connection"] == "close"
    assert answer.status_code == (503 if refuse else 200)
    if refuse:
        assert answer.json()["error"]["code"] == "draining"
        assert answer.headers["retry-after"]


async def test_our_own_bug_is_a_500_with_its_request_id(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("tokenmill.inference.chat.check_chat", broken)
    answer = await gateway.chat()
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert "a bug" not in answer.text
    (record,) = [each for each in caplog.records if each.exc_info]
    assert vars(record)["request_id"] == answer.headers["x-request-id"]


async def test_clients_that_wait_for_an_engine_do_not_fill_the_log(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.publish(Fleet())
    for path in ("/health", "/v1/models"):
        await gateway.client.get(path, headers=BEARER)
    answer = await gateway.chat()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_engine")
    assert [each for each in caplog.records if each.name.startswith("tokenmill.gateway")] == []
