"""OpenAI's own client against a real gateway: each understands what the other sends."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from tests.support.gateway import SECRET, Gateway, running_gateway
from tests.support.scripted_upstream import (
    DONE,
    Close,
    ScriptedUpstream,
    chunk,
    good_stream,
    head,
    piece,
    stream,
    whole,
)

CALL = {
    "id": "call-1",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"location": "Paris"}'},
}
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"location": {"type": "string"}}},
    },
}
HI: Any = [{"role": "user", "content": "Hi"}]


def completion(message: dict[str, Any], finish: str = "stop") -> dict[str, Any]:
    """A chat completion as vLLM writes it, with fields that OpenAI does not have."""
    filled = {"refusal": None, "annotations": None, "audio": None, "function_call": None}
    choice = {
        "index": 0,
        "message": {"role": "assistant", **filled, "tool_calls": [], "reasoning": None} | message,
        "logprobs": None,
        "finish_reason": finish,
        "stop_reason": None,
        "token_ids": None,
    }
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "engine-m",
        "choices": [choice],
        "usage": usage,
        "kv_transfer_params": None,
    }


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as server:
        server.always(*whole(completion({"content": "Hello"})))
        yield server


@pytest.fixture
async def gateway(tmp_path: Path, upstream: ScriptedUpstream) -> AsyncIterator[Gateway]:
    async with running_gateway(tmp_path, upstream.url) as running:
        yield running


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(api_key=SECRET, base_url=f"{gateway.url}/api/v1", max_retries=0) as made:
        yield made


async def test_a_chat(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="auto", messages=HI, max_tokens=5)
    assert answer.choices[0].message.content == "Hello"
    assert answer._request_id


async def test_a_stream_with_usage(client: AsyncOpenAI, upstream: ScriptedUpstream) -> None:
    upstream.play(*good_stream("Hel", "lo"))
    chunks = await client.chat.completions.create(
        model="auto", messages=HI, stream=True, stream_options={"include_usage": True}
    )
    text, usage = "", None
    async for each in chunks:
        text += (each.choices[0].delta.content or "") if each.choices else ""
        usage = each.usage or usage
    assert text == "Hello"
    assert usage is not None
    assert usage.completion_tokens == 2


async def test_a_tool_call_and_its_result_make_the_round(
    client: AsyncOpenAI, upstream: ScriptedUpstream
) -> None:
    called = completion({"content": None, "tool_calls": [CALL]}, "tool_calls")
    upstream.play(*whole(called))
    first = await client.chat.completions.create(
        model="auto", messages=HI, tools=[TOOL], tool_choice="auto"
    )
    message = first.choices[0].message
    assert message.tool_calls
    result: Any = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "22"}
    conversation: Any = [*HI, message, result]
    last = await client.chat.completions.create(model="auto", messages=conversation)
    assert last.choices[0].message.content == "Hello"


async def test_embeddings_come_as_base64_and_are_read(
    client: AsyncOpenAI, upstream: ScriptedUpstream
) -> None:
    data = [{"object": "embedding", "index": 0, "embedding": "AAAAPwAAgD8="}]
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    upstream.play(*whole({"object": "list", "data": data, "model": "m", "usage": usage}))
    answer = await client.embeddings.create(model="text-embedding-ada-002", input="Hi")
    assert answer.data[0].embedding == [0.5, 1.0]
    assert b'"encoding_format":"base64"' in upstream.requests[-1].body


async def test_models(client: AsyncOpenAI) -> None:
    assert [each.id async for each in client.models.list()] == ["engine-m", "org/vectors"]
    assert (await client.models.retrieve("org/vectors")).id == "org/vectors"


async def test_errors_are_the_clients_own(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as bad:
        await client.chat.completions.create(model="auto", messages=HI, temperature=3)
    assert (bad.value.param, bad.value.code) == ("temperature", "invalid_request")
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.create(model="nope", messages=HI)
    with pytest.raises(openai.AuthenticationError) as unknown:
        await client.with_options(api_key="pk_live_x").models.list()
    assert "Invalid API key provided" in unknown.value.message


@pytest.mark.parametrize("done", [True, False])
async def test_a_stream_that_breaks_raises(
    client: AsyncOpenAI, upstream: ScriptedUpstream, done: bool
) -> None:
    if done:
        upstream.play(*stream(piece("a"), piece("", "abort"), DONE))
    else:
        upstream.play(head(), chunk(piece("a")), Close())
    chunks = await client.chat.completions.create(model="auto", messages=HI, stream=True)
    with pytest.raises(openai.APIError):
        async for _ in chunks:
            pass


async def test_a_503_is_tried_again(client: AsyncOpenAI, upstream: ScriptedUpstream) -> None:
    upstream.play(*whole({"error": {"message": "full"}}, 503))
    retrying = client.with_options(max_retries=1)
    answer = await retrying.chat.completions.create(model="auto", messages=HI)
    assert answer.choices[0].message.content == "Hello"
    assert len(upstream.requests) == 2
