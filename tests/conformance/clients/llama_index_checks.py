"""LlamaIndex's `OpenAILike`: completions, chats, streams, a tool, a structured answer."""

import os

import pytest
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel, create_model
from served import (
    MODEL,
    PERSON,
    PERSON_QUESTION,
    WEATHER_ARGUMENT,
    WEATHER_ARGUMENTS,
    WEATHER_QUESTION,
)

WHERE = {"api_base": os.environ["OPENAI_BASE_URL"], "api_key": os.environ["OPENAI_API_KEY"]}
CAPITAL = "What is the capital of France?"


class Person(BaseModel):
    """A person."""

    name: str
    age: int


def llm(**options: object) -> OpenAILike:
    return OpenAILike(model=MODEL, temperature=0, max_retries=0, **WHERE, **options)


@pytest.mark.parametrize("is_chat_model", [False, True])
def test_a_completion_goes_to_either_route(is_chat_model: bool) -> None:
    answer = llm(is_chat_model=is_chat_model, max_tokens=16).complete(CAPITAL)
    assert answer.text
    if is_chat_model:
        assert "Paris" in answer.text


@pytest.mark.parametrize("is_chat_model", [False, True])
def test_a_stream_says_what_the_answer_says(is_chat_model: bool) -> None:
    model = llm(is_chat_model=is_chat_model, max_tokens=16)
    pieces = list(model.stream_complete(CAPITAL))
    assert pieces[-1].text == model.complete(CAPITAL).text


async def test_a_chat_is_answered_asynchronously() -> None:
    messages = [ChatMessage(role="user", content=CAPITAL)]
    answer = await llm(is_chat_model=True).achat(messages)
    assert "Paris" in str(answer.message.content)


def test_a_tool_is_called() -> None:
    arguments = create_model("Arguments", **{WEATHER_ARGUMENT: (str, ...)})
    tool = FunctionTool.from_defaults(
        lambda **_: "sunny", name="get_weather", description="Get the weather", fn_schema=arguments
    )
    model = llm(is_chat_model=True, is_function_calling_model=True)
    answer = model.chat_with_tools([tool], user_msg=WEATHER_QUESTION)
    (call,) = model.get_tool_calls_from_response(answer)
    assert (call.tool_name, call.tool_kwargs) == ("get_weather", WEATHER_ARGUMENTS)


def test_a_structured_answer_has_the_facts() -> None:
    structured = llm(is_chat_model=True, should_use_structured_outputs=True)
    answer = structured.as_structured_llm(Person).complete(PERSON_QUESTION)
    assert answer.raw == Person(**PERSON)
