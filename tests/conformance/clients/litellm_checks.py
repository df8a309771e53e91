"""LiteLLM as a client, by both of its names for a server such as ours."""

import json
import os

import litellm
import pytest
from served import (
    EMBEDDINGS,
    MODEL,
    PERSON,
    PERSON_QUESTION,
    WEATHER_ARGUMENTS,
    WEATHER_QUESTION,
    WEATHER_TOOL,
)

WHERE = {"api_base": os.environ["OPENAI_BASE_URL"], "api_key": os.environ["OPENAI_API_KEY"]}
CAPITAL = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture(params=["openai", "hosted_vllm"])
def model(request: pytest.FixtureRequest) -> str:
    return f"{request.param}/{MODEL}"


def test_an_answer_and_its_stream_say_the_same(model: str) -> None:
    asked = {"model": model, "messages": CAPITAL, "temperature": 0, **WHERE}
    whole = litellm.completion(**asked)
    options = {"include_usage": True}
    chunks = list(litellm.completion(**asked, stream=True, stream_options=options))
    rebuilt = litellm.stream_chunk_builder(chunks, messages=CAPITAL)
    assert "Paris" in whole.choices[0].message.content
    assert rebuilt.choices[0].message.content == whole.choices[0].message.content
    assert rebuilt.usage.completion_tokens == whole.usage.completion_tokens


def test_a_tool_is_called(model: str) -> None:
    messages = [{"role": "user", "content": WEATHER_QUESTION}]
    answer = litellm.completion(
        model=model, messages=messages, tools=[WEATHER_TOOL], temperature=0, **WHERE
    )
    (call,) = answer.choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == WEATHER_ARGUMENTS


def test_a_schema_is_kept_to(model: str) -> None:
    properties = {"name": {"type": "string"}, "age": {"type": "integer"}}
    schema = {
        "type": "object",
        "properties": properties,
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    wanted = {
        "type": "json_schema",
        "json_schema": {"name": "person", "schema": schema, "strict": True},
    }
    messages = [{"role": "user", "content": PERSON_QUESTION}]
    answer = litellm.completion(
        model=model, messages=messages, response_format=wanted, temperature=0, **WHERE
    )
    assert json.loads(answer.choices[0].message.content) == PERSON


async def test_embeddings_and_refusals(model: str) -> None:
    kind, _, _ = model.partition("/")
    vectors = await litellm.aembedding(model=f"{kind}/{EMBEDDINGS}", input=["a", "b"], **WHERE)
    assert [len(each["embedding"]) for each in vectors.data] == [384, 384]
    with pytest.raises(litellm.exceptions.NotFoundError):
        await litellm.acompletion(model=f"{kind}/nope", messages=CAPITAL, **WHERE)
