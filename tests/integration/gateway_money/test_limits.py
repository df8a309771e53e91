"""Limits at a worker: what is refused until when, and what every answer tells of them."""

import asyncio
import math

import pytest

from tests.support.billed_cells import COMPLETION, StartGateway, until
from tests.support.gateway import (
    ACCOUNT,
    BEARER,
    USAGE_SECRET,
    Gateway,
)
from tests.support.scripted_upstream import (
    Close,
    ScriptedUpstream,
    Wait,
    chunk,
    head,
    piece,
    whole,
)
from tokenmill.settings import LimitSettings


async def test_requests_a_minute_are_refused_with_the_exact_time(gateway: Gateway) -> None:
    gateway.put_account(requests_per_min=2)
    answers = [await gateway.chat() for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    last = answers[2]
    error = last.json()["error"]
    assert error["type"] == error["code"] == "rate_limit_exceeded"
    assert "2 requests a minute" in error["message"]
    wait_ms = int(last.headers["retry-after-ms"])
    assert 25_000 < wait_ms <= 30_000
    assert last.headers["retry-after"] == str(math.ceil(wait_ms / 1000))
    assert [each.headers["x-ratelimit-remaining"] for each in answers] == ["1", "0", "0"]
    assert last.headers["x-ratelimit-limit-requests"] == "2"
    assert last.headers["x-ratelimit-reset-requests"].endswith("s")


async def test_tokens_a_minute_are_corrected_to_what_was_used(gateway: Gateway) -> None:
    gateway.put_account(tokens_per_min=1_200)
    first = await gateway.chat(max_tokens=1_000)
    assert first.status_code == 200
    assert int(first.headers["x-ratelimit-remaining-tokens"]) >= 1_195
    never = await gateway.chat(max_tokens=1_201)
    assert never.status_code == 400
    assert "retry-after" not in never.headers
    assert never.json()["error"]["param"] == "max_tokens"


async def test_too_many_tokens_now_is_a_429(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    gateway.put_account(tokens_per_min=1_200)
    held = asyncio.Event()
    upstream.play(head(), chunk(piece("x")), Wait(held), Close())
    first = asyncio.create_task(gateway.chat(max_tokens=1_000, stream=True))
    await until(lambda: len(upstream.requests) == 1)
    second = await gateway.chat(max_tokens=1_000)
    assert second.status_code == 429
    assert "1200 tokens a minute" in second.json()["error"]["message"]
    assert int(second.headers["retry-after-ms"]) > 1_000
    held.set()
    await first


async def test_requests_at_a_time(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    gateway.put_account(concurrency_max=1)
    held = asyncio.Event()
    upstream.play(Wait(held), *whole(COMPLETION))
    first = asyncio.create_task(gateway.chat())
    await until(lambda: len(upstream.requests) == 1)
    second = await gateway.chat()
    assert (second.status_code, second.headers["retry-after"]) == (429, "1")
    held.set()
    assert (await first).status_code == 200
    assert (await gateway.chat()).status_code == 200


async def test_shadow_mode_refuses_nothing_and_counts(start_gateway: StartGateway) -> None:
    shadow = LimitSettings(shadow=True)
    async with start_gateway(limits=shadow) as gateway:
        gateway.put_account(nanos=0, requests_per_min=1)
        assert [(await gateway.chat()).status_code for _ in range(3)] == [200] * 3
        assert gateway.available() == -3 * 500


async def test_a_key_sees_its_own_limits_and_wallet(gateway: Gateway) -> None:
    gateway.put_account(nanos=12_300, requests_per_min=3)
    for prefix in ("/v1", "/api/v1"):
        answer = await gateway.client.get(f"{prefix}/key", headers=BEARER)
        seen = answer.json()
        assert seen["limits"]["requests_per_min"] == {"limit": 3, "remaining": 3, "reset_ms": 0}
        assert seen["limits"]["tokens_per_min"] is None
        assert seen["wallet"]["available"] == "0.0000123"
        assert (seen["tier"], seen["account_id"]) == ("internal", ACCOUNT)


async def test_every_answer_to_a_key_tells_what_is_left_of_its_limits(gateway: Gateway) -> None:
    gateway.put_account(requests_per_min=3, tokens_per_min=90)
    usage_key = {"authorization": f"Bearer {USAGE_SECRET}"}
    chat, key = "/v1/chat/completions", "/v1/key"
    asked = [
        ("GET", key, BEARER, 200),
        ("GET", key, usage_key, 200),
        ("POST", chat, usage_key, 403),
        ("POST", chat, BEARER, 415),
        ("GET", "/v1/models", BEARER, 200),
        ("GET", "/v1/models/none", BEARER, 404),
    ]
    for method, path, headers, status in asked:
        answer = await gateway.client.request(method, path, headers=headers)
        assert answer.status_code == status, path
        assert answer.headers["x-ratelimit-limit"] == "3", path
        assert answer.headers["x-ratelimit-remaining-tokens"] == "90", path
    assert (await gateway.client.get(key)).headers.get("x-ratelimit-limit") is None


@pytest.mark.parametrize(
    "header",
    ["Bearer ' OR 1=1 --", "Bearer pk_live_%0d%0aX: y", "Bearer pk_live_' UNION SELECT 1 --"],
)
async def test_a_crafted_key_is_no_key(gateway: Gateway, header: str) -> None:
    answer = await gateway.client.post(
        "/v1/chat/completions", json={}, headers={"authorization": header}
    )
    assert answer.status_code == 401
    assert "x" not in answer.headers
    assert gateway.segment.open_cells() == 0
