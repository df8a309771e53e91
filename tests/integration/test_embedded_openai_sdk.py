"""OpenAI's own client against the embedded engine.

The client is `Any` here: its types want its own TypedDicts where users pass plain dicts.
"""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.support.embedded_engine import Engine, demo_model, running_engine

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather for a location",
        "parameters": {
            "type": "object",
            "properties": {"location": {"type": "string", "description": "City name"}},
            "required": ["location"],
        },
    },
}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with running_engine(model=demo_model()) as engine:
        yield engine


@pytest.fixture
def client(engine: Engine) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{engine.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def model(client: Any) -> str:
    return str(client.models.list().data[0].id)


def test_a_chat_and_its_stream_say_the_same(client: Any, model: str) -> None:
    messages = [{"role": "user", "content": "Count to 10"}]
    whole = client.chat.completions.create(model=model, messages=messages, temperature=0)
    stream = client.chat.completions.create(
        model=model,
        messages=messages,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    text, usage = "", None
    for chunk in stream:
        usage = chunk.usage or usage
        if chunk.choices:
            text += chunk.choices[0].delta.content or ""
    assert text == whole.choices[0].message.content
    assert usage == whole.usage


def test_a_tool_is_called_and_its_result_used(client: Any, model: str) -> None:
    messages = [{"role": "user", "content": "What's the weather in Paris?"}]
    first = client.chat.completions.create(
        model=model, messages=messages, tools=[WEATHER], temperature=0
    )
    message = first.choices[0].message
    (call,) = message.tool_calls
    assert json.loads(call.function.arguments) == {"location": "Paris"}
    result = {"location": "Paris", "temperature": 22, "unit": "celsius", "condition": "sunny"}
    answer = {"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)}
    second = client.chat.completions.create(
        model=model, messages=[*messages, message, answer], temperature=0
    )
    assert "22" in second.choices[0].message.content


def test_completions_and_embeddings_are_parsed(client: Any, model: str) -> None:
    completion = client.completions.create(model=model, prompt="The capital of", max_tokens=4)
    assert completion.choices[0].finish_reason in ("length", "stop")
    vectors = client.embeddings.create(model="all-MiniLM-L6-v2", input=["a", "b"])
    assert [len(item.embedding) for item in vectors.data] == [384, 384]


def test_refusals_are_the_exceptions_of_the_sdk(client: Any, model: str) -> None:
    messages = [{"role": "user", "content": "x"}]
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="nope", messages=messages)
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=model, messages=messages, temperature=3)
    assert caught.value.param == "temperature"
