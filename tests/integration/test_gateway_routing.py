"""What the settings of `routing` do to real requests: sessions, policies by model, and the salt
that keeps accounts apart in an engine's prefix cache."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.support.gateway import (
    BEARER,
    CHAT,
    HI,
    OTHER_SECRET,
    Gateway,
    fleet_of,
    route,
    running_gateway,
)
from tests.support.scripted_upstream import ScriptedUpstream, whole
from tokenmill.models.fleet import Fleet
from tokenmill.settings import RoutingSettings

ANSWER = {
    "choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
ENGINES, TIMES = 4, 6
NAMES = ("anna", "bert", "carl", "dora", "emil", "fritz", "gina", "hans")


@pytest.fixture
async def engines() -> AsyncIterator[list[ScriptedUpstream]]:
    """Engines that answer a word."""
    async with AsyncExitStack() as stack:
        made = [await stack.enter_async_context(ScriptedUpstream()) for _ in range(ENGINES)]
        for engine in made:
            engine.always(*whole(ANSWER))
        yield made


def two_models(engines: list[ScriptedUpstream]) -> Fleet:
    """The same engines serve both."""
    fleet = fleet_of(*(each.url for each in engines))
    routes = (route("by-session"), route("by-load", pool=1))
    return replace(fleet, pools=fleet.pools * 2, routes=routes, aliases={})


async def homes(
    gateway: Gateway, engines: list[ScriptedUpstream], headers: dict[str, str], **fields: Any
) -> set[int]:
    """The engines that were asked when the same was asked again and again."""
    for engine in engines:
        engine.requests.clear()
    for _ in range(TIMES):
        body = {"messages": HI, "model": "by-session", **fields}
        answer = await gateway.client.post(CHAT, json=body, headers=BEARER | headers)
        assert answer.status_code == 200, answer.text
    return {at for at, engine in enumerate(engines) if engine.requests}


@pytest.mark.parametrize("header", ["x-session-id", "x-chat"])
async def test_a_sessions_requests_go_to_one_engine_where_the_model_says_so(
    tmp_path: Path, engines: list[ScriptedUpstream], header: str
) -> None:
    models: dict[str, Any] = {"by-session": "session", "by-load": "power_of_two"}
    routing = RoutingSettings(session_header=header, models=models)
    urls = [each.url for each in engines]
    async with running_gateway(tmp_path, *urls, routing=routing) as gateway:
        gateway.publish(two_models(engines))
        by_header = {name: await homes(gateway, engines, {header: name}) for name in NAMES}
        assert all(len(found) == 1 for found in by_header.values())
        assert len(set.union(*by_header.values())) > 1, "they are spread"
        assert await homes(gateway, engines, {}, user="anna") == by_header["anna"]
        for name in NAMES:
            assert await homes(gateway, engines, {header: name}, user="anna") == by_header[name]
        asked = set[int]()
        for _ in range(4):
            asked |= await homes(gateway, engines, {header: "anna"}, model="by-load")
        assert len(asked) > 1, "another model's sessions are no sessions"


def salt_of(engine: ScriptedUpstream) -> str | None:
    salt: str | None = json.loads(engine.requests[-1].body).get("cache_salt")
    return salt


async def test_each_account_has_its_part_of_an_engines_prefix_cache(
    tmp_path: Path, engines: list[ScriptedUpstream]
) -> None:
    engine = engines[0]
    routing = RoutingSettings(cache_salt=True)
    async with running_gateway(tmp_path, engine.url, routing=routing) as gateway:
        salts = []
        for headers in (BEARER, BEARER, {"authorization": f"Bearer {OTHER_SECRET}"}):
            for path, prompt in ((CHAT, {"messages": HI}), ("/v1/completions", {"prompt": "Hi"})):
                body = {"model": "engine-m", **prompt}
                answer = await gateway.client.post(path, json=body, headers=headers)
                assert answer.status_code == 200, answer.text
                salts.append(salt_of(engine))
        mine, again, others = salts[:2], salts[2:4], salts[4:]
        assert mine == again == [mine[0]] * 2
        assert others == [others[0]] * 2
        assert mine[0] and others[0] and mine[0] != others[0]
        refused = await gateway.chat(cache_salt=others[0])
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "cache_salt")
        # The embedded engine has no such thing.
        fleet = fleet_of(engine.url)
        embedded = tuple(replace(each, kind="embedded") for each in fleet.engines)
        gateway.publish(replace(fleet, engines=embedded))
        assert (await gateway.chat()).status_code == 200
        assert salt_of(engine) is None


async def test_without_the_setting_no_salt_is_sent(
    tmp_path: Path, engines: list[ScriptedUpstream]
) -> None:
    async with running_gateway(tmp_path, engines[0].url) as gateway:
        assert (await gateway.chat()).status_code == 200
        assert salt_of(engines[0]) is None
