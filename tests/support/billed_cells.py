"""What a gateway under test has billed, and how a test waits for it."""

import asyncio
import struct
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from tests.support.gateway import (
    ACCOUNT,
    Gateway,
)
from tokenmill._native import CELL_FORMAT

FIELDS = """ticket reference account key model amount reserved price_prompt price_cached
price_completion began ended first_byte duration estimate prompt cached completion status engine
kind service_class endpoint flags request_id""".split()  # noqa: SIM905
COMPLETION = {
    "model": "engine-m",
    "choices": [{"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2},
}

StartGateway = Callable[..., AbstractAsyncContextManager[Gateway]]
"""Starts a gateway with more settings."""


async def until(look: Callable[[], bool]) -> None:
    """Returns once it is so. Fails after half a minute."""
    async with asyncio.timeout(30):
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
