"""What a worker tells control of new schemas: once, beside the request, and to no effect on it."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.gateway import ACCOUNT, Gateway, running_gateway
from tests.support.scripted_upstream import ScriptedUpstream, whole
from tokenmill.grammar.views import WarmUpWish
from tokenmill.settings import GrammarSettings

ANSWER = {
    "id": "x",
    "model": "engine-m",
    "choices": [{"index": 0, "message": {"content": "{}"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
TAKEN = whole({"engines": 1}, 202)


def schema(number: int) -> dict[str, Any]:
    named = {"name": "it", "strict": True, "schema": {"const": number}}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


async def ask(gateway: Gateway, **fields: Any) -> None:
    answer = await gateway.chat(**fields)
    assert answer.status_code == 200, answer.text


async def wishes(control: ScriptedUpstream, count: int) -> list[WarmUpWish]:
    """What control was told, once it was told so often."""
    async with asyncio.timeout(10):
        await control.request_count(count)
    assert {each.target for each in control.requests} == {"/control/grammars/warm"}
    return [msgspec.json.decode(each.body, type=WarmUpWish) for each in control.requests]


async def test_control_is_told_of_a_new_schema_once(tmp_path: Path) -> None:
    async with (
        ScriptedUpstream() as first,
        ScriptedUpstream() as second,
        running_gateway(tmp_path, first.url, second.url) as gateway,
        ScriptedUpstream(gateway.control) as control,
    ):
        for each in (first, second):
            each.always(*whole(ANSWER))
        control.always(*TAKEN)
        for fields in (schema(1), schema(1), {}, schema(2), schema(1)):
            await ask(gateway, **fields)
        told = await wishes(control, 2)
        asked = {
            slot: [msgspec.json.decode(each.body) for each in engine.requests]
            for slot, engine in enumerate((first, second))
        }
        assert len(told) == len(control.requests) == 2
        for number, wish in enumerate(told, 1):
            assert (wish.model, wish.route_account_id) == ("engine-m", 0)
            assert wish.account_id == ACCOUNT
            assert f'"{number}"' in wish.constraint.text
            # The engine that is said to have it was sent just that.
            extra = {wish.constraint.kind: wish.constraint.text}
            assert extra in [each.get("structured_outputs") for each in asked[wish.engine]]


async def test_tools_and_regexes_are_told_as_engines_get_them(tmp_path: Path) -> None:
    function = {"name": "f", "parameters": {"type": "object", "properties": {"a": {"const": 1}}}}
    asked: list[dict[str, Any]] = [
        {"structured_outputs": {"regex": "a{3}"}},
        {"tools": [{"type": "function", "function": function}], "tool_choice": "required"},
    ]
    async with (
        ScriptedUpstream() as upstream,
        running_gateway(tmp_path, upstream.url, upstream.url) as gateway,
        ScriptedUpstream(gateway.control) as control,
    ):
        upstream.always(*whole(ANSWER))
        control.always(*TAKEN)
        for fields in asked:
            await ask(gateway, **fields)
        told = await wishes(control, 2)
    sent = [msgspec.json.decode(each.body)["structured_outputs"] for each in upstream.requests]
    assert [{each.constraint.kind: each.constraint.text} for each in told] == sent
    assert [each.constraint.kind for each in told] == ["regex", "grammar"]


@pytest.mark.parametrize(("engines", "is_on"), [(1, True), (2, False)])
async def test_nothing_is_told_where_nobody_gains(
    tmp_path: Path, engines: int, *, is_on: bool
) -> None:
    settings = GrammarSettings(warm_up=is_on)
    async with (
        ScriptedUpstream() as upstream,
        running_gateway(tmp_path, *[upstream.url] * engines, grammar=settings) as gateway,
        ScriptedUpstream(gateway.control) as control,
    ):
        upstream.always(*whole(ANSWER))
        await ask(gateway, **schema(1))
        assert not gateway.app._serving.warm_ups._under_way
    assert control.requests == []


async def test_a_request_that_is_refused_warms_nothing(tmp_path: Path) -> None:
    async with (
        ScriptedUpstream() as upstream,
        running_gateway(tmp_path, upstream.url, upstream.url) as gateway,
        ScriptedUpstream(gateway.control) as control,
    ):
        upstream.always(*whole(ANSWER))
        gateway.put_account(nanos=0)
        assert (await gateway.chat(**schema(1))).status_code == 402
        assert not gateway.app._serving.warm_ups._under_way
    assert control.requests == []
    assert {each.target for each in upstream.requests} <= {"/tokenize"}


async def test_nobody_minds_that_control_is_away(tmp_path: Path) -> None:
    async with (
        ScriptedUpstream() as upstream,
        running_gateway(tmp_path, upstream.url, upstream.url) as gateway,
    ):
        upstream.always(*whole(ANSWER))
        for number in range(40):
            await ask(gateway, **schema(number))
        under_way = gateway.app._serving.warm_ups._under_way
        async with asyncio.timeout(10):
            await asyncio.gather(*under_way)
        await ask(gateway, **schema(0))
    assert len(upstream.requests) == 41
