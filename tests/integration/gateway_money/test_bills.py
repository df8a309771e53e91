"""Money at a worker: what is admitted, held and billed, and what clients are told.

One contract for both places where limits and wallets can be: the house's own hot segment, and the
purses that houses share in Redis.
"""

import asyncio
import json
import os
from dataclasses import dataclass

import pytest

from tests.support.billed_cells import (
    COMPLETION,
    StartGateway,
    cells,
    control_tells,
    in_flight,
    settled,
    until,
)
from tests.support.gateway import (
    ACCOUNT,
    BEARER,
    OPENING_NANOS,
    OTHER_ACCOUNT,
    OTHER_SECRET,
    Gateway,
)
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
from tokenmill.models.numbers import model_number
from tokenmill.settings import PriceSettings

PRICE = 100
PARALLEL = int(os.environ.get("TOKENMILL_TEST_BALANCE_PARALLEL", "60"))
ROUNDS = int(os.environ.get("TOKENMILL_TEST_BALANCE_ROUNDS", "3"))
"""How many requests ask at once for a balance that covers a few of them, and how often."""


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
