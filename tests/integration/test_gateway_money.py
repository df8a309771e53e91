"""Money and limits at a worker: what is admitted, held, billed, and what clients are told.

One contract for both places where limits and wallets can be: the house's own hot segment, and the
purses that houses share in Redis.
"""

import asyncio
import json
import os
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import (
    ACCOUNT,
    BEARER,
    OPENING_NANOS,
    OTHER_ACCOUNT,
    OTHER_SECRET,
    USAGE_SECRET,
    Gateway,
    running_gateway,
)
from tests.support.redis_server import RedisServer, TestPurses
from tests.support.scripted_upstream import (
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
    whole,
)
from tokenmill._native import CELL_FORMAT
from tokenmill.models.numbers import model_number
from tokenmill.models.own_prices import write_own_prices
from tokenmill.settings import LimitSettings, PriceSettings

PRICE = 100
PARALLEL = int(os.environ.get("TOKENMILL_TEST_BALANCE_PARALLEL", "60"))
ROUNDS = int(os.environ.get("TOKENMILL_TEST_BALANCE_ROUNDS", "3"))
"""How many requests ask at once for a balance that covers a few of them, and how often."""
FIELDS = """ticket reference account key model amount reserved price_prompt price_cached
price_completion began ended first_byte duration estimate prompt cached completion status engine
kind service_class endpoint flags request_id""".split()  # noqa: SIM905
COMPLETION = {
    "model": "engine-m",
    "choices": [{"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2},
}


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as server:
        server.always(*whole(COMPLETION))
        yield server


StartGateway = Callable[..., AbstractAsyncContextManager[Gateway]]


@pytest.fixture(params=["segment", "purses"])
def start_gateway(
    request: pytest.FixtureRequest, tmp_path: Path, upstream: ScriptedUpstream
) -> StartGateway:
    """Starts a gateway with more settings, on each place of limits and wallets."""
    purses = None
    if request.param == "purses":
        server: RedisServer = request.getfixturevalue("redis")
        purses = TestPurses(server, server.fresh_settings())
    return partial(running_gateway, tmp_path, upstream.url, purses=purses)


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> AsyncIterator[Gateway]:
    async with start_gateway() as running:
        yield running


async def until(look: Callable[[], bool]) -> None:
    """Returns once it is so. Fails after ten seconds."""
    async with asyncio.timeout(10):
        while not look():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def cells(gateway: Gateway) -> list[dict[str, Any]]:
    """The settled cells, oldest first; they stay."""
    packed = gateway.segment.settled_cells(10_000)
    records = [
        dict(zip(FIELDS, each, strict=True)) for each in struct.iter_unpack(CELL_FORMAT, packed)
    ]
    return sorted(records, key=lambda each: each["began"])


def in_flight(gateway: Gateway) -> int:
    view = gateway.segment.account(ACCOUNT)
    assert view is not None
    return view.in_flight


def control_tells(gateway: Gateway) -> None:
    """What control does about a request whose client has left: the purse learns of it."""
    if gateway.purses is None:
        return
    for cell in cells(gateway):
        used = cell["prompt"] + cell["completion"]
        wish = (cell["request_id"].hex(), -cell["amount"], used, 0, 0)
        gateway.purses.run(cell["account"], "settle", *wish)


async def settled(gateway: Gateway, count: int) -> list[dict[str, Any]]:
    await until(lambda: len(cells(gateway)) == count)
    return cells(gateway)


async def test_a_call_is_billed_on_the_engines_usage(gateway: Gateway) -> None:
    answer = await gateway.chat(max_tokens=5)
    assert answer.headers["x-tokenmill-cost-nanos"] == "500"
    [cell] = cells(gateway)
    assert (cell["account"], cell["key"], cell["model"]) == (ACCOUNT, 1, model_number("engine-m"))
    assert (cell["prompt"], cell["cached"], cell["completion"]) == (3, 0, 2)
    assert (cell["amount"], cell["status"], cell["kind"], cell["flags"]) == (-500, 200, 1, 2)
    assert cell["began"] <= cell["ended"]
    assert 0 <= cell["first_byte"] <= cell["duration"]
    assert gateway.available() == OPENING_NANOS - 500
    assert gateway.segment.audit(ACCOUNT) == (OPENING_NANOS - 500, 0, -500)


async def test_a_stream_is_billed_and_tells_its_cost_when_asked(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.always(*good_stream("Hel", "lo"))
    answer = await gateway.chat(stream=True, stream_options={"include_usage": True})
    events = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    usage = json.loads(events[-2])["usage"]
    [cell] = cells(gateway)
    assert -cell["amount"] == PRICE * (cell["prompt"] + cell["completion"]) > 0
    assert float(usage["cost"]) * 1e9 == pytest.approx(-cell["amount"])
    assert isinstance(usage["cost"], str)
    assert cell["flags"] == 3
    plain = await gateway.chat(stream=True)
    assert "cost" not in plain.text


@dataclass(frozen=True)
class Fault:
    """What an engine does, and what the books say of it then."""

    name: str
    script: list[Step]
    is_stream: bool
    tokens: int  # billed
    status: int


FAULTS = (
    Fault("refused with an error", whole({"error": {"message": "no"}}, 400), False, 0, 400),
    Fault("failed", whole({"error": {"message": "no"}}, 500), False, 0, 500),
    Fault("reset before it said anything", [Reset()], False, 0, 502),
    Fault("no JSON", [head(200, "application/json"), chunk(b"<html>"), Close()], False, 0, 502),
    Fault("cut in mid-stream", [head(), chunk(piece("a", made=7)), Reset()], True, 10, 502),
    Fault("no [DONE]", [head(), chunk(piece("a", "stop", made=4)), Close()], True, 7, 502),
    Fault("aborted", [head(), chunk(piece("a", "abort", made=6)), Close()], True, 9, 502),
    Fault(
        "an error inside",
        [head(), chunk(piece("a", made=2)), chunk(event({"error": {"message": "x"}}))],
        True,
        5,
        502,
    ),
)


@pytest.mark.parametrize("fault", FAULTS, ids=[each.name for each in FAULTS])
async def test_faults_of_engines_are_billed_on_what_was_received(
    gateway: Gateway, upstream: ScriptedUpstream, fault: Fault
) -> None:
    upstream.always(*fault.script)
    await gateway.chat(stream=fault.is_stream)
    [cell] = await settled(gateway, 1)
    assert (-cell["amount"], cell["status"]) == (fault.tokens * PRICE, fault.status)
    assert gateway.available() == OPENING_NANOS - fault.tokens * PRICE


async def test_a_client_that_leaves_at_any_chunk_pays_for_what_had_come(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    for leaves_after in range(1, 6):
        held = asyncio.Event()
        pieces = [chunk(piece("x", made=made)) for made in range(1, leaves_after + 1)]
        upstream.play(head(), *pieces, Wait(held))
        before = gateway.available()
        async with gateway.client.stream(
            "POST",
            "/v1/chat/completions",
            json={"messages": [{"role": "user", "content": "Hi"}], "stream": True},
            headers=BEARER,
        ) as answer:
            seen = ""
            async for text in answer.aiter_text():
                seen += text
                if seen.count("data: ") == leaves_after:
                    break
        await until(lambda: in_flight(gateway) == 0)
        held.set()
        control_tells(gateway)
        assert before - gateway.available() == PRICE * (3 + leaves_after)
        assert cells(gateway)[-1]["status"] == 499


async def test_an_abandoned_call_is_billed_its_prompt(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.always(Hang())
    request = gateway.raw_chat(max_tokens=5)
    body_bytes = len(request.partition(b"\r\n\r\n")[2])
    async with gateway.connect() as (_, writer):
        writer.write(request)
        await until(lambda: len(upstream.requests) == 1)
    [cell] = await settled(gateway, 1)
    assert (cell["prompt"], cell["completion"], cell["status"]) == (body_bytes // 4, 0, 499)
    assert cell["flags"] & 4
    control_tells(gateway)
    assert gateway.available() == OPENING_NANOS - PRICE * (body_bytes // 4)


@pytest.mark.timeout(60 + 20 * ROUNDS)
async def test_a_balance_for_k_requests_admits_exactly_k(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    prices = PriceSettings(prompt_nanos=0, cached_nanos=0, completion_nanos=1_000)
    made = {**COMPLETION, "usage": {"prompt_tokens": 3, "completion_tokens": 5}}
    upstream.always(*whole(made))
    async with start_gateway(prices=prices) as gateway:
        # A connection of its own each, by hand: the usual client is slow with hundreds of them.
        request = gateway.raw_chat(max_tokens=5).replace(
            b"host: x", b"host: x\r\nconnection: close"
        )

        async def ask() -> int:
            answer = await gateway.exchange(request, timeout_s=120)
            assert gateway.available() >= 0
            return int(answer.split(b" ", 2)[1])

        for number in range(ROUNDS):
            wanted = 1 + number * 7 % 37
            gateway.segment.free_cells(gateway.segment.settled_cells(1_000))
            gateway.put_account(nanos=wanted * 5_000)
            answers = await asyncio.gather(*(ask() for _ in range(PARALLEL)))
            assert sorted(answers) == [200] * wanted + [402] * (PARALLEL - wanted)
            assert gateway.available() == 0


async def test_out_of_money_names_what_is_missing(gateway: Gateway) -> None:
    gateway.put_account(nanos=1)
    answer = await gateway.chat()
    assert answer.status_code == 402
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("insufficient_balance", "insufficient_balance")
    assert "$0.000" in error["message"]
    assert "Billing" in error["message"]
    assert "retry-after" not in answer.headers
    assert gateway.segment.open_cells() == 0


async def test_a_dedicated_route_without_money_is_a_403(start_gateway: StartGateway) -> None:
    prices = PriceSettings(models={"private": "1/1"})
    async with start_gateway(prices=prices) as gateway:
        gateway.put_account(OTHER_ACCOUNT, nanos=0)
        answer = await gateway.client.post(
            "/v1/chat/completions",
            json={"model": "private", "messages": [{"role": "user", "content": "Hi"}]},
            headers={"authorization": f"Bearer {OTHER_SECRET}"},
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "insufficient_quota")


async def test_a_prompt_that_the_wallet_barely_covers_is_counted_by_the_engine(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    gateway.put_account(nanos=PRICE * (3 + 5))
    upstream.play(*whole({"count": 3, "max_model_len": 9, "tokens": [1, 2, 3]}))
    answer = await gateway.chat(max_tokens=5)
    assert answer.status_code == 200
    assert [each.target for each in upstream.requests] == ["/tokenize", "/v1/chat/completions"]
    assert gateway.available() == PRICE * 3


async def test_requests_a_minute_are_refused_with_the_exact_time(gateway: Gateway) -> None:
    gateway.put_account(requests_per_min=2)
    answers = [await gateway.chat() for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    last = answers[2]
    error = last.json()["error"]
    assert error["type"] == error["code"] == "rate_limit_exceeded"
    assert "2 requests a minute" in error["message"]
    assert 25_000 < int(last.headers["retry-after-ms"]) <= 30_000
    assert last.headers["retry-after"] == "30"
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
    ]
    if gateway.purses is None:
        asked += [("GET", "/v1/models", BEARER, 200), ("GET", "/v1/models/none", BEARER, 404)]
    for method, path, headers, status in asked:
        answer = await gateway.client.request(method, path, headers=headers)
        assert answer.status_code == status, path
        if gateway.purses is None or path == key:
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


def set_prices(gateway: Gateway, **prices: str) -> None:
    """The account's own prices, as control writes them."""
    write_own_prices(gateway.settings.state, {ACCOUNT: prices})
    gateway.segment.publish_prices()


async def test_an_account_pays_its_own_prices_from_its_next_request_on(gateway: Gateway) -> None:
    costs = []
    for prices in ({}, {"engine-m": "7/11"}, {"*": "1/2"}, {"engine-m": "3/4", "*": "1/2"}, {}):
        set_prices(gateway, **prices)
        answer = await gateway.chat(max_tokens=5)
        costs.append(int(answer.headers["x-tokenmill-cost-nanos"]))
    assert costs == [500, 3 * 7 + 2 * 11, 3 + 2 * 2, 3 * 3 + 2 * 4, 500]
    set_prices(gateway, **{"engine-m": "7/11"})
    headers = {"authorization": f"Bearer {OTHER_SECRET}"}
    answer = await gateway.client.post(
        "/v1/chat/completions",
        json={"model": "engine-m", "messages": [{"role": "user", "content": "Hi"}]},
        headers=headers,
    )
    assert answer.headers["x-tokenmill-cost-nanos"] == "500", "others pay what they paid"


async def test_a_request_keeps_the_price_that_it_was_admitted_at(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    gate = asyncio.Event()
    upstream.play(Wait(gate), *whole(COMPLETION))
    set_prices(gateway, **{"engine-m": "7/11"})
    asked = asyncio.create_task(gateway.chat(max_tokens=5))
    await upstream.request_count(1)
    set_prices(gateway, **{"engine-m": "1000/1000"})
    gate.set()
    assert (await asked).headers["x-tokenmill-cost-nanos"] == str(3 * 7 + 2 * 11)
    [cell] = cells(gateway)
    assert (cell["price_prompt"], cell["price_completion"]) == (7, 11)
    assert (await gateway.chat(max_tokens=5)).headers["x-tokenmill-cost-nanos"] == "5000"


async def test_a_file_of_prices_that_cannot_be_read_leaves_the_old_ones(gateway: Gateway) -> None:
    set_prices(gateway, **{"engine-m": "7/11"})
    await gateway.chat(max_tokens=5)
    (gateway.settings.state / "account_prices.json").write_text("{")
    gateway.segment.publish_prices()
    answer = await gateway.chat(max_tokens=5)
    assert answer.headers["x-tokenmill-cost-nanos"] == str(3 * 7 + 2 * 11)
