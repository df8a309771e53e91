"""Prices of an account's own, at a worker."""

import asyncio

from tests.support.billed_cells import COMPLETION, cells
from tests.support.gateway import (
    ACCOUNT,
    OTHER_SECRET,
    Gateway,
)
from tests.support.scripted_upstream import (
    ScriptedUpstream,
    Wait,
    whole,
)
from tokenmill.models.own_prices import write_own_prices


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
