"""OpenAI's Python client: its helpers `parse` and `stream`, its raw answers, its errors."""

import json
from typing import Any

import openai
import pytest
from pydantic import BaseModel
from served import (
    EMBEDDINGS,
    MODEL,
    PERSON,
    PERSON_QUESTION,
    WEATHER_ARGUMENTS,
    WEATHER_QUESTION,
    WEATHER_TOOL,
)

CLIENT = openai.OpenAI()
STRICT_TOOL: Any = {
    "type": "function",
    "function": WEATHER_TOOL["function"] | {"strict": True},
}


class Person(BaseModel):
    """A person."""

    name: str
    age: int


def asking(question: str, **fields: Any) -> dict[str, Any]:
    return {
        "model": MODEL,
        "temperature": 0,
        "messages": [{"role": "user", "content": question}],
        **fields,
    }


def test_parse_gives_a_value() -> None:
    answer = CLIENT.chat.completions.parse(**asking(PERSON_QUESTION, response_format=Person))
    assert answer.choices[0].message.parsed == Person(**PERSON)


def test_parse_gives_the_arguments_of_a_tool_call() -> None:
    answer = CLIENT.chat.completions.parse(**asking(WEATHER_QUESTION, tools=[STRICT_TOOL]))
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.function.parsed_arguments == WEATHER_ARGUMENTS
    assert json.loads(call.function.arguments) == WEATHER_ARGUMENTS


def test_parse_of_a_cut_answer_raises() -> None:
    with pytest.raises(openai.LengthFinishReasonError):
        CLIENT.chat.completions.parse(
            **asking(PERSON_QUESTION, response_format=Person, max_tokens=2)
        )


def test_the_stream_helper_gathers_a_value_and_usage() -> None:
    options = {"include_usage": True}
    asked = asking(PERSON_QUESTION, response_format=Person, stream_options=options)
    with CLIENT.chat.completions.stream(**asked) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert final.choices[0].message.parsed == Person(**PERSON)
    assert final.usage
    assert final.usage.completion_tokens > 0


def test_the_stream_helper_gathers_a_tool_call() -> None:
    with CLIENT.chat.completions.stream(**asking(WEATHER_QUESTION, tools=[STRICT_TOOL])) as stream:
        done = [e for e in stream if e.type == "tool_calls.function.arguments.done"]
    assert [each.parsed_arguments for each in done] == [WEATHER_ARGUMENTS]


@pytest.mark.parametrize("choice", ["required", "named"])
def test_a_tool_that_must_be_called_is(choice: str) -> None:
    named = {"type": "function", "function": {"name": "get_weather"}}
    answer = CLIENT.chat.completions.create(
        **asking(
            WEATHER_QUESTION,
            tools=[WEATHER_TOOL],
            tool_choice="required" if choice == "required" else named,
        )
    )
    (call,) = answer.choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == WEATHER_ARGUMENTS


def test_raw_answers_carry_the_request_id_and_the_timing() -> None:
    raw = CLIENT.chat.completions.with_raw_response.create(**asking("Say hello."))
    assert raw.headers["x-request-id"] == raw.parse()._request_id
    assert "upstream;dur=" in raw.headers["server-timing"]


def test_a_stream_can_be_left_early() -> None:
    stream = CLIENT.chat.completions.create(**asking("Count to 10", stream=True))
    next(iter(stream))
    stream.close()
    assert CLIENT.models.list().data


async def test_the_asynchronous_client_lists_embeds_and_completes() -> None:
    async with openai.AsyncOpenAI() as client:
        assert MODEL in [each.id async for each in client.models.list()]
        assert (await client.models.retrieve(MODEL)).id == MODEL
        text = await client.completions.create(model=MODEL, prompt="The capital", max_tokens=4)
        assert text.usage
        vectors = await client.embeddings.create(model=EMBEDDINGS, input=["a", "b"])
        assert [len(each.embedding) for each in vectors.data] == [384, 384]


@pytest.mark.parametrize(
    ("fields", "refusal", "param"),
    [
        ({"model": "nope"}, openai.NotFoundError, "model"),
        ({"temperature": 3}, openai.BadRequestError, "temperature"),
        ({"extra_body": {"surprise": 1}}, openai.BadRequestError, "surprise"),
        ({"extra_headers": {"authorization": "Bearer x"}}, openai.AuthenticationError, None),
    ],
)
def test_a_refusal_is_an_exception_with_the_name_of_the_field(
    fields: dict[str, Any], refusal: type[openai.APIStatusError], param: str | None
) -> None:
    with pytest.raises(refusal) as caught:
        CLIENT.chat.completions.create(**asking("Say hello.", **fields))
    assert caught.value.param == param
    assert caught.value.request_id
