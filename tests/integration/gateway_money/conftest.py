"""A gateway whose limits and wallets are in its hot segment, and one whose are in Redis."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.billed_cells import COMPLETION, StartGateway
from tests.support.gateway import (
    Gateway,
    running_gateway,
)
from tests.support.redis_server import RedisServer, TestPurses
from tests.support.scripted_upstream import (
    ScriptedUpstream,
    whole,
)


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as server:
        server.always(*whole(COMPLETION))
        yield server


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
