"""Rules that types cannot say: fields that depend on each other, or on the settings."""

import json
from typing import Any

import pytest

from tokenmill.errors import InvalidRequest
from tokenmill.protocol.chat import ChatRequest
from tokenmill.protocol.checks import check_chat, check_completion, check_embedding
from tokenmill.protocol.completions import CompletionRequest
from tokenmill.protocol.decoding import BodyDecoder
from tokenmill.protocol.embeddings import EmbeddingRequest
from tokenmill.protocol.schemas import check_schemas, schemas_of
from tokenmill.settings import BodyBounds

BOUNDS = BodyBounds()
CHAT = BodyDecoder(ChatRequest)
COMPLETION = BodyDecoder(CompletionRequest)
EMBEDDING = BodyDecoder(EmbeddingRequest)


def chat(bounds: BodyBounds = BOUNDS, **fields: Any) -> None:
    data = {"messages": [{"role": "user", "content": "Hi"}], **fields}
    request = CHAT.decode(json.dumps(data).encode())
    check_chat(request, bounds)
    check_schemas(schemas_of(request), bounds)


def completion(**fields: Any) -> None:
    request = COMPLETION.decode(json.dumps({"prompt": "Hi", **fields}).encode())
    check_completion(request, BOUNDS)
    check_schemas(schemas_of(request), BOUNDS)


def embedding(bounds: BodyBounds = BOUNDS, **fields: Any) -> None:
    check_embedding(EMBEDDING.decode(json.dumps({"input": "Hi", **fields}).encode()), bounds)


def tool(name: str = "f", **function: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **function}}


def called(arguments: str) -> dict[str, Any]:
    function = {"name": "f", "arguments": arguments}
    call = {"id": "c", "type": "function", "function": function}
    return {"messages": [{"role": "assistant", "tool_calls": [call]}]}


def formatted(schema: Any, name: str = "n") -> dict[str, Any]:
    return {
        "response_format": {"type": "json_schema", "json_schema": {"name": name, "schema": schema}}
    }


ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [tool("f")]}}

GOOD_CHATS: list[dict[str, Any]] = [
    {"stream": True, "stream_options": {"include_usage": True}},
    {"logprobs": True, "top_logprobs": 5},
    {"top_logprobs": 0},
    {"max_tokens": 5, "max_completion_tokens": 5},
    {"tools": []},
    {"tool_choice": "none"},  # nothing is asked for
    {"tools": [tool("f"), tool("g")], "tool_choice": tool("g")},
    {"tools": [tool("f")], "tool_choice": ALLOWED},
    {"tools": [tool("f", parameters=None, strict=True, description="d")]},
    {"structured_outputs": {"regex": "a+"}},
    {"structured_outputs": {"json": {"type": "object"}, "choice": None}},
    called("{}"),
    called(""),
    formatted({"type": "object", "properties": {"pattern": {"type": "string"}}}),
]


@pytest.mark.parametrize("fields", GOOD_CHATS, ids=lambda each: repr(each)[:60])
def test_good_chats_pass(fields: dict[str, Any]) -> None:
    chat(**fields)


BAD_CHATS: list[tuple[dict[str, Any], str]] = [
    ({"stream_options": {"include_usage": True}}, "stream_options"),
    (
        {"stream": True, "stream_options": {"include_obfuscation": True}},
        "stream_options.include_obfuscation",
    ),
    ({"top_logprobs": 5}, "top_logprobs"),
    ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens"),
    ({"store": True}, "store"),
    ({"stop": ""}, "stop"),
    ({"stop": ["a", ""]}, "stop[1]"),
    ({"stop": ["a", "é" * 129]}, "stop[1]"),
    ({"bad_words": [""]}, "bad_words[0]"),
    ({"logit_bias": {"token": 1}}, "logit_bias"),
    ({"logit_bias": {str(token): 1 for token in range(1025)}}, "logit_bias"),
    ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
    ({"messages": [{"role": "assistant"}]}, "messages[0].content"),
    ({"messages": [{"role": "assistant", "content": None}]}, "messages[0].content"),
    (called("not json"), "messages[0].tool_calls[0].function.arguments"),
    (called("[1]"), "messages[0].tool_calls[0].function.arguments"),
    (called("[" * 100_000), "messages[0].tool_calls[0].function.arguments"),
    (called('{"a":' + "[" * 70 + "]" * 70 + "}"), "messages[0].tool_calls[0].function.arguments"),
    ({"messages": [{"role": "user", "content": "x"}] * 2049}, "messages"),
    ({"tools": [tool(f"f{index}") for index in range(129)]}, "tools"),
    ({"tools": [tool("get weather")]}, "tools[0].function.name"),
    ({"tools": [tool("f\n")]}, "tools[0].function.name"),
    ({"tools": [tool("f"), tool("f")]}, "tools[1].function.name"),
    ({"tools": [tool("f", parameters=[])]}, "tools[0].function.parameters"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tools": [], "tool_choice": tool("f")}, "tool_choice"),
    ({"tools": [tool("f")], "tool_choice": tool("g")}, "tool_choice.function.name"),
    (
        {"tools": [tool("g")], "tool_choice": ALLOWED},
        "tool_choice.allowed_tools.tools[0].function.name",
    ),
    (formatted({}, name="a b"), "response_format.json_schema.name"),
    (formatted("x"), "response_format.json_schema.schema"),
    (formatted(None), "response_format.json_schema.schema"),
    ({"structured_outputs": {}}, "structured_outputs"),
    ({"structured_outputs": {"regex": "a", "choice": ["b"]}}, "structured_outputs"),
    ({"structured_outputs": {"grammar": "x"}}, "structured_outputs.grammar"),
    ({"structured_outputs": {"grammar": "root ::= root"}}, "structured_outputs.grammar"),
    ({"structured_outputs": {"structural_tag": "x"}}, "structured_outputs.structural_tag"),
    ({"structured_outputs": {"regex": "a" * 513}}, "structured_outputs.regex"),
    ({"structured_outputs": {"choice": ["x"] * 1001}}, "structured_outputs.choice"),
    (
        {"structured_outputs": {"regex": "a"}, "response_format": {"type": "json_object"}},
        "structured_outputs",
    ),
]


@pytest.mark.parametrize(("fields", "param"), BAD_CHATS, ids=lambda each: repr(each)[:60])
def test_bad_chats_are_refused_by_path(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        chat(**fields)
    assert caught.value.param == param
    assert param in caught.value.message


def test_all_tools_together_are_bounded() -> None:
    padding = {"type": "object", "description": "x" * 60_000}
    with pytest.raises(InvalidRequest) as caught:
        chat(tools=[tool(f"f{index}", parameters=padding) for index in range(9)])
    assert caught.value.param == "tools"


def test_bounds_are_settings() -> None:
    with pytest.raises(InvalidRequest) as caught:
        chat(BodyBounds(choices_max=2), n=3)
    assert (caught.value.param, "between 1 and 2" in caught.value.message) == ("n", True)
    chat(BodyBounds(choices_max=2), n=2)


GOOD_COMPLETIONS: list[dict[str, Any]] = [
    {"prompt": ["a", "b"]},
    {"prompt": [1, 2, 3]},
    {"prompt": [[1], [2, 3]]},
    {"n": 2, "best_of": 2},
    {"best_of": 1},
    {"echo": True},
    {"logprobs": 0},
]


@pytest.mark.parametrize("fields", GOOD_COMPLETIONS, ids=repr)
def test_good_completions_pass(fields: dict[str, Any]) -> None:
    completion(**fields)


BAD_COMPLETIONS: list[tuple[dict[str, Any], str]] = [
    ({"prompt": ""}, "prompt"),
    ({"prompt": ["a", ""]}, "prompt[1]"),
    ({"prompt": [[1], []]}, "prompt[1]"),
    ({"prompt": ["a", 1]}, "prompt[1]"),
    ({"prompt": [1, True]}, "prompt[1]"),
    ({"prompt": [-1]}, "prompt[0]"),
    ({"prompt": ["a"] * 65, "n": 2}, "prompt"),
    ({"best_of": 3}, "best_of"),
    ({"echo": True, "logprobs": 0}, "echo"),
    ({"suffix": "x"}, "suffix"),
    ({"logprobs": 6}, "logprobs"),
]


@pytest.mark.parametrize(("fields", "param"), BAD_COMPLETIONS, ids=lambda each: repr(each)[:50])
def test_bad_completions_are_refused_by_path(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        completion(**fields)
    assert caught.value.param == param


@pytest.mark.parametrize("given", ["x", ["x", "y"], [1, 2], [[1], [2]]])
def test_good_inputs_pass(given: Any) -> None:
    embedding(input=given)


@pytest.mark.parametrize(
    ("given", "param", "code"),
    [
        ("", "input", "invalid_request"),
        ([], "input", "invalid_request"),
        (["x", ""], "input[1]", "invalid_request"),
        (["x", 1], "input[1]", "invalid_request"),
        (["x"] * 2049, "input", "invalid_request"),
        ([1] * 8193, "input", "context_length_exceeded"),
        ([[1], [1] * 8193], "input[1]", "context_length_exceeded"),
    ],
    ids=lambda each: repr(each)[:40],
)
def test_bad_inputs_are_refused_by_path(given: Any, param: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        embedding(input=given)
    assert (caught.value.param, caught.value.code) == (param, code)
