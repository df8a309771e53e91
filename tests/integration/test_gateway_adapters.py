"""An adapter that has to be loaded first, as its client sees it: what is held while it waits, and
how it is told where it cannot be had. Control is a script."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from tests.support.gateway import BEARER, CHAT, HI, OTHER_ACCOUNT, Gateway, fleet_of, route
from tests.support.gateway import running_gateway as gateway_before
from tests.support.relays import until
from tests.support.scripted_upstream import ScriptedUpstream, Wait, good_stream, whole
from tokenmill.models.fleet import Fleet
from tokenmill.settings import ForwardSettings

COMMENT_MS = 60
LATE = ForwardSettings(comment_ms=60_000)
"""Where no comment may come."""
ADAPTER = route("bot", parent="engine-m", is_loadable=True, pool=1)
OTHERS = route("their-bot", parent="engine-m", is_loadable=True, account_id=OTHER_ACCOUNT, pool=1)
BROKEN = {
    "error": {
        "message": "No engine can load the adapter 'bot'.",
        "type": "server_error",
        "param": None,
        "code": "adapter_failed",
    }
}


def fleet(url: str, *, is_held: bool = False) -> Fleet:
    base = fleet_of(url, routes=(route("engine-m"), ADAPTER, OTHERS))
    return replace(base, pools=((0,), (0,) if is_held else ()))


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream(tmp_path / "control.sock") as server:
        server.always(*whole({"engine": "e0"}))
        yield server


@pytest.fixture
async def engine() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as server:
        server.always(*good_stream("Hi"))
        yield server


@pytest.fixture
async def gateway(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    engine: ScriptedUpstream,
    control: ScriptedUpstream,
) -> AsyncIterator[Gateway]:
    assert control.path
    forward = getattr(request, "param", ForwardSettings(comment_ms=COMMENT_MS))
    async with gateway_before(tmp_path, engine.url, forward=forward) as running:
        running.publish(fleet(engine.url))
        yield running


async def asked(gateway: Gateway, *, stream: bool = True) -> httpx.Response:
    return await gateway.chat(model="bot", stream=stream)


async def test_it_is_admitted_first_and_held_once_while_it_is_loaded(
    gateway: Gateway, engine: ScriptedUpstream, control: ScriptedUpstream
) -> None:
    go = asyncio.Event()
    control.play(Wait(go), *whole({"engine": "e0"}))
    opening = gateway.available()
    asking = asyncio.create_task(asked(gateway))
    await control.request_count(1)
    assert gateway.segment.open_cells() == 1
    assert gateway.available() < opening
    gateway.publish(fleet(engine.url, is_held=True))
    go.set()
    answer = await asking
    assert answer.status_code == 200
    assert answer.text.endswith("data: [DONE]\n\n")
    assert opening - gateway.available() == (3 + 1) * 100
    assert len(engine.requests) == len(control.requests) == 1


async def test_who_cannot_pay_is_told_before_anything_is_loaded(
    gateway: Gateway, engine: ScriptedUpstream, control: ScriptedUpstream
) -> None:
    gateway.put_account(nanos=0)
    engine.always(*whole({"count": 3}))
    answer = await asked(gateway, stream=False)
    assert answer.status_code == 402
    assert control.requests == []
    # Its base's engine has counted the prompt.
    (counted,) = engine.requests
    assert (counted.target, json.loads(counted.body)["model"]) == ("/tokenize", "engine-m")


@pytest.mark.parametrize("gateway", [LATE], indirect=True, ids=["late"])
@pytest.mark.parametrize("stream", [True, False])
async def test_what_cannot_be_loaded_is_a_status_while_no_comment_was_sent(
    gateway: Gateway, control: ScriptedUpstream, stream: bool
) -> None:
    control.play(*whole(BROKEN, 502))
    opening = gateway.available()
    answer = await asked(gateway, stream=stream)
    assert (answer.status_code, answer.json()) == (502, BROKEN)
    assert (gateway.segment.open_cells() in (0, 1), gateway.available()) == (True, opening)


async def test_after_ten_seconds_a_stream_has_comments_and_an_error_is_its_last_event(
    gateway: Gateway, control: ScriptedUpstream
) -> None:
    """Ten seconds by the settings; here they are short."""
    go = asyncio.Event()
    control.play(Wait(go), *whole(BROKEN, 502))
    opening = gateway.available()
    body = {"messages": HI, "model": "bot", "stream": True}
    async with gateway.client.stream("POST", CHAT, json=body, headers=BEARER) as answer:
        assert answer.status_code == 200
        lines = answer.aiter_lines()
        for _ in range(2):
            assert [await anext(lines), await anext(lines)] == [": keep-alive", ""]
        go.set()
        rest = [line async for line in lines if line and line != ": keep-alive"]
    (last,) = rest
    assert '"code":"adapter_failed"' in last
    assert gateway.available() == opening


async def test_comments_stop_where_the_answer_begins(
    gateway: Gateway, engine: ScriptedUpstream, control: ScriptedUpstream
) -> None:
    go = asyncio.Event()
    control.play(Wait(go), *whole({"engine": "e0"}))
    asking = asyncio.create_task(asked(gateway))
    await control.request_count(1)
    await asyncio.sleep(3 * COMMENT_MS / 1000)
    gateway.publish(fleet(engine.url, is_held=True))
    go.set()
    text = (await asking).text
    assert text.startswith(": keep-alive\n\n")
    assert text.endswith("data: [DONE]\n\n")
    assert text.count('"content":"Hi"') == 1


async def test_a_client_that_goes_holds_nothing_and_the_load_goes_on(
    gateway: Gateway, control: ScriptedUpstream
) -> None:
    go = asyncio.Event()
    control.play(Wait(go), *whole({"engine": "e0"}))
    opening = gateway.available()
    body = {"messages": HI, "model": "bot", "stream": True}
    async with gateway.client.stream("POST", CHAT, json=body, headers=BEARER) as answer:
        assert answer.status_code == 200
    await until(lambda: gateway.available() == opening)
    assert control.open_count == 1
    go.set()


async def test_anothers_adapter_is_not_there_and_is_not_loaded(
    gateway: Gateway, control: ScriptedUpstream
) -> None:
    for stream in (True, False):
        answer = await gateway.chat(model="their-bot", stream=stream)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    assert (await gateway.client.get("/v1/models/their-bot", headers=BEARER)).status_code == 404
    listed = (await gateway.client.get("/v1/models", headers=BEARER)).json()["data"]
    assert [each["id"] for each in listed] == ["engine-m", "bot"]
    assert control.requests == []
