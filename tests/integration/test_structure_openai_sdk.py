"""Structured outputs and tools as OpenAI's own client and LangChain ask for them, on real engines.

The models are tiny and the temperature is 1: what holds, holds because it is enforced.
"""

import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import openai
import pytest
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI, pydantic_function_tool
from pydantic import BaseModel, Field

from tests.support.embedded_engine import demo_model, running_engine
from tests.support.gateway import SECRET, route, running_gateway
from tokenmill.models.fleet import Engine, Fleet

pytestmark = pytest.mark.timeout(300)

ASKED: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
LIMITS: Any = {"model": "m", "temperature": 1, "max_tokens": 400}


class Step(BaseModel):
    kind: Literal["walk", "rest"]
    minutes: int = Field(ge=0, le=90)


class Plan(BaseModel):
    title: str = Field(max_length=20)
    steps: list[Step] = Field(min_length=1, max_length=2)


class GetWeather(BaseModel):
    """The current weather for a location."""

    city: str = Field(max_length=12)
    unit: Literal["celsius", "fahrenheit"]


class Add(BaseModel):
    """The sum of two whole numbers."""

    a: int = Field(ge=0, le=9)
    b: int = Field(ge=0, le=9)


TOOLS: Any = [pydantic_function_tool(GetWeather), pydantic_function_tool(Add)]
MODELS: dict[str, type[BaseModel]] = {"GetWeather": GetWeather, "Add": Add}


@pytest.fixture(params=["embedded", pytest.param("vllm", id="real_vllm", marks=pytest.mark.vllm)])
async def client(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncOpenAI]:
    """OpenAI's client before a gateway with one engine."""
    if request.param == "vllm":
        engine = Engine(
            slot=0,
            name="e",
            url=request.getfixturevalue("chat_vllm"),
            kind="vllm",
            state="serving",
            parses_tools=False,  # so that ours is tried; the engine's own has tests elsewhere
        )
        async with serving(tmp_path, engine, "tiny-chat") as client:
            yield client
        return
    with running_engine(model=demo_model()) as running:
        model = running.call("/v1/models")[1]["data"][0]["id"]
        engine = Engine(slot=0, name="e", url=running.url, kind="embedded", state="serving")
        async with serving(tmp_path, engine, model) as client:
            yield client


@contextlib.asynccontextmanager
async def serving(folder: Path, engine: Engine, model: str) -> AsyncIterator[AsyncOpenAI]:
    async with running_gateway(folder, engine.url) as gateway:
        routes = (route("m", engine_model=model),)
        gateway.publish(Fleet(engines=(engine,), pools=((0,),), routes=routes))
        url = f"{gateway.url}/v1"
        async with AsyncOpenAI(base_url=url, api_key=SECRET, max_retries=0) as client:
            yield client


def check_calls(calls: Any, *, least: int = 1) -> None:
    assert len(calls) >= least
    assert len({call.id for call in calls}) == len(calls)
    for call in calls:
        MODELS[call.function.name].model_validate_json(call.function.arguments)


async def test_parse_gives_the_model(client: AsyncOpenAI) -> None:
    for _ in range(3):
        answer = await client.chat.completions.parse(messages=ASKED, response_format=Plan, **LIMITS)
        assert isinstance(answer.choices[0].message.parsed, Plan)


async def test_the_stream_helper_gives_the_model(client: AsyncOpenAI) -> None:
    async with client.chat.completions.stream(
        messages=ASKED, response_format=Plan, **LIMITS
    ) as stream:
        kinds = {event.type async for event in stream}
        answer = await stream.get_final_completion()
    assert {"content.delta", "content.done"} <= kinds
    assert isinstance(answer.choices[0].message.parsed, Plan)


async def test_required_tools_are_called_with_valid_arguments(client: AsyncOpenAI) -> None:
    for _ in range(3):
        answer = await client.chat.completions.parse(
            messages=ASKED, tools=TOOLS, tool_choice="required", **LIMITS
        )
        choice = answer.choices[0]
        assert choice.finish_reason == "tool_calls"
        assert choice.message.content is None
        check_calls(choice.message.tool_calls)


async def test_one_call_where_no_parallel_ones_are_wanted(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        messages=ASKED, tools=TOOLS, tool_choice="required", parallel_tool_calls=False, **LIMITS
    )
    calls = answer.choices[0].message.tool_calls
    assert calls is not None
    assert len(calls) == 1


async def test_a_named_tool_streams_as_a_call(client: AsyncOpenAI) -> None:
    named: Any = {"type": "function", "function": {"name": "Add"}}
    chunks = [
        chunk.choices[0]
        async for chunk in await client.chat.completions.create(
            messages=ASKED, tools=TOOLS, tool_choice=named, stream=True, **LIMITS
        )
    ]
    deltas = [call for chunk in chunks for call in chunk.delta.tool_calls or []]
    assert deltas[0].index == 0
    assert deltas[0].type == "function"
    assert (deltas[0].id or "").startswith("call_")
    assert deltas[0].function is not None
    assert (deltas[0].function.name, deltas[0].function.arguments) == ("Add", "")
    assert all(each.id is None and each.index == 0 for each in deltas[1:])
    fragments = [each.function.arguments or "" for each in deltas[1:] if each.function]
    Add.model_validate_json("".join(fragments))
    assert [each.finish_reason for each in chunks if each.finish_reason] == ["tool_calls"]
    assert not any(chunk.delta.content for chunk in chunks)


async def test_an_allowed_subset_is_kept_to(client: AsyncOpenAI) -> None:
    reference = {"type": "function", "function": {"name": "Add"}}
    choice: Any = {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "required", "tools": [reference]},
    }
    answer = await client.chat.completions.create(
        messages=ASKED, tools=TOOLS, tool_choice=choice, **LIMITS
    )
    calls = answer.choices[0].message.tool_calls or []
    assert {call.function.name for call in calls if call.type == "function"} == {"Add"}


async def test_strict_tools_are_valid_where_the_model_decides(client: AsyncOpenAI) -> None:
    for _ in range(3):
        async with client.chat.completions.stream(messages=ASKED, tools=TOOLS, **LIMITS) as stream:
            answer = await stream.get_final_completion()
        choice = answer.choices[0]
        check_calls(choice.message.tool_calls or [], least=0)
        assert (choice.finish_reason == "tool_calls") is bool(choice.message.tool_calls)


async def test_none_calls_nothing(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        messages=ASKED, tools=TOOLS, tool_choice="none", **LIMITS
    )
    assert not answer.choices[0].message.tool_calls


async def test_a_call_and_its_result_go_back_as_they_came(client: AsyncOpenAI) -> None:
    first = await client.chat.completions.create(
        messages=ASKED, tools=TOOLS, tool_choice="required", **LIMITS
    )
    message: Any = first.choices[0].message
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": json.dumps({"sky": "sunny"})}
        for call in message.tool_calls
    ]
    second = await client.chat.completions.create(
        messages=[*ASKED, message, *results], tools=TOOLS, tool_choice="none", **LIMITS
    )
    assert second.choices[0].message.content is not None
    results[0]["tool_call_id"] = "call_of_nobody"
    with pytest.raises(openai.BadRequestError) as refusal:
        await client.chat.completions.create(
            messages=[*ASKED, message, *results], tools=TOOLS, **LIMITS
        )
    assert refusal.value.param == "messages[2].tool_call_id"


async def test_a_schema_without_a_grammar_is_refused_by_place_in_a_stream_too(
    client: AsyncOpenAI,
) -> None:
    pattern = {"type": "string", "pattern": r"(x)\1"}
    schema = {"type": "object", "properties": {"a": {"properties": {"b": pattern}}}}
    named: Any = {"name": "it", "strict": True, "schema": schema}
    for is_stream in (False, True):
        with pytest.raises(openai.BadRequestError) as refusal:
            await client.chat.completions.create(
                messages=ASKED,
                response_format={"type": "json_schema", "json_schema": named},
                stream=is_stream,
                **LIMITS,
            )
        assert refusal.value.code == "unsupported_schema"
        assert refusal.value.param == "response_format.json_schema.schema"
        assert "'#/properties/a/properties/b', keyword `pattern`" in refusal.value.message


async def test_a_schema_that_is_not_strict_is_told_to_the_model(client: AsyncOpenAI) -> None:
    schema = {"type": "object", "properties": {"a": {"pattern": r"(x)\1"}}}
    named: Any = {"name": "it", "schema": schema}
    answer = await client.chat.completions.with_raw_response.create(
        messages=ASKED, response_format={"type": "json_schema", "json_schema": named}, **LIMITS
    )
    assert answer.headers["x-tokenmill-schema"].startswith("instructed; at '#/properties/a'")
    choice = answer.parse().choices[0]
    if choice.finish_reason == "stop":
        assert isinstance(json.loads(choice.message.content or ""), dict)


EBNF = """# an answer and how sure it is
root ::= answer (", " sure)* "."
answer ::= "yes"
  | "no"
sure ::= [0-9]{2,3} "%"
"""


async def test_a_clients_own_grammar_is_kept_to(client: AsyncOpenAI) -> None:
    wanted: Any = {"structured_outputs": {"grammar": EBNF}}
    for stream in (False, True):
        asked = LIMITS | {"messages": ASKED, "extra_body": wanted}
        if stream:
            streamed = await client.chat.completions.create(**asked, stream=True)
            chunks = [each async for each in streamed]
            parts = [each.choices[0] for each in chunks if each.choices]
            text = "".join(each.delta.content or "" for each in parts)
            is_whole = parts[-1].finish_reason == "stop"
        else:
            answer = await client.chat.completions.create(**asked)
            text = answer.choices[0].message.content or ""
            is_whole = answer.choices[0].finish_reason == "stop"
        kept = r"(yes|no)(, [0-9]{2,3}%)*\." if is_whole else r"(yes|no)(, [0-9]{2,3}%)*.*"
        assert re.fullmatch(kept, text), text


async def test_a_grammar_that_is_none_is_refused(client: AsyncOpenAI) -> None:
    for text in ('start: "a"', 'root ::= root "a"', 'root ::= "a" b'):
        extra: Any = {"structured_outputs": {"grammar": text}}
        with pytest.raises(openai.BadRequestError) as caught:
            await client.chat.completions.create(**LIMITS, messages=ASKED, extra_body=extra)
        assert caught.value.param == "structured_outputs.grammar"


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
async def test_langchain_gets_structured_outputs(client: AsyncOpenAI, method: Any) -> None:
    model = ChatOpenAI(
        base_url=str(client.base_url),
        api_key=lambda: SECRET,
        model="m",
        temperature=1,
        max_completion_tokens=400,
        max_retries=0,
    )
    asked = model.with_structured_output(Plan, method=method)
    assert isinstance(await asked.ainvoke("Plan a walk."), Plan)
