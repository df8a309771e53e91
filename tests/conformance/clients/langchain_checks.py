"""LangChain: its own standard suites for chat models and embeddings, against a house."""

import types
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from langchain_tests.integration_tests import ChatModelIntegrationTests, EmbeddingsIntegrationTests
from openai import LengthFinishReasonError
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

CHAT: dict[str, Any] = {
    "model": MODEL,
    "temperature": 0,
    "max_retries": 0,
    "max_tokens": 200,
    "stream_usage": True,  # the client's default for OpenAI's own address only
}

NO_TOOL = "a small model does not choose a tool that it has not learnt"
NO_END = "a small model does not end a text that a schema lets go on for ever"
NO_JOKE = "a small model does not put what it is asked for into the fields that it is told"
NEEDS_WIT = {
    "test_tool_calling": NO_TOOL,
    "test_tool_calling_async": NO_TOOL,
    "test_tool_calling_with_no_arguments": NO_TOOL,
    "test_unicode_tool_call_integration": NO_END,
    "test_structured_output": NO_END,
    "test_structured_output_async": NO_END,
    "test_structured_output_optional_param": NO_END,
    "test_structured_few_shot_examples": NO_END,
    "test_structured_output_pydantic_2_v1": NO_END,
    "test_json_mode": NO_JOKE,
}
"""Tests whose assertions may fail; a refusal or an error of the house is no excuse in them."""

LACKS_WIT = (AssertionError, LengthFinishReasonError, OutputParserException)


class Person(BaseModel):
    """A person."""

    name: str
    age: int


class TestChat(ChatModelIntegrationTests):
    """The standard suite."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return CHAT

    @property
    def has_tool_choice(self) -> bool:
        return True

    @property
    def supports_json_mode(self) -> bool:
        return True


for _name, _reason in NEEDS_WIT.items():
    _test = getattr(ChatModelIntegrationTests, _name)
    _own = types.FunctionType(_test.__code__, _test.__globals__, _name, _test.__defaults__)
    _own.__kwdefaults__ = _test.__kwdefaults__
    _own.__dict__.update(_test.__dict__)
    _own.pytestmark = list(getattr(_test, "pytestmark", []))
    setattr(TestChat, _name, pytest.mark.xfail(reason=_reason, raises=LACKS_WIT)(_own))


class TestEmbeddings(EmbeddingsIntegrationTests):
    """The standard suite. Without `check_embedding_ctx_length` the client sends texts; with it, it
    would fetch OpenAI's tokenizer and send ids that mean nothing to another model."""

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return OpenAIEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": EMBEDDINGS, "check_embedding_ctx_length": False}


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output_has_the_facts(method: str) -> None:
    structured = ChatOpenAI(**CHAT).with_structured_output(Person, method=method)
    assert structured.invoke(PERSON_QUESTION) == Person(**PERSON)


def test_a_bound_tool_is_called() -> None:
    answer = ChatOpenAI(**CHAT).bind_tools([WEATHER_TOOL]).invoke(WEATHER_QUESTION)
    (call,) = answer.tool_calls
    assert (call["name"], call["args"]) == ("get_weather", WEATHER_ARGUMENTS)
