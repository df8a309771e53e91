"""Formats of the answer and tool calls, forced by real grammars in the embedded engine."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.embedded_engine import Engine, chat_body, demo_model, running_engine

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "maximum": 150},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
EXTRACT = "Extract the person's name and age from: John Smith is 35 years old."
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather for a location",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {"type": "string", "description": "City name"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["location"],
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "get_time"}}
IN_PARIS = "What's the weather in Paris?"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with running_engine(model=demo_model()) as engine:
        yield engine


def choice_of(engine: Engine, content: str, **fields: Any) -> dict[str, Any]:
    return dict(engine.chat(content, **fields)["choices"][0])


def content_of(engine: Engine, content: str, **fields: Any) -> str:
    return str(choice_of(engine, content, **fields)["message"]["content"])


def refused(engine: Engine, **fields: Any) -> dict[str, Any]:
    status, answer = engine.call("/v1/chat/completions", chat_body("Hello!", **fields))
    assert status == 400, answer
    return dict(answer["error"])


def json_schema(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "it", "strict": True, "schema": schema}}


def test_json_object_gives_an_object(engine: Engine) -> None:
    text = content_of(engine, EXTRACT, response_format={"type": "json_object"})
    assert isinstance(json.loads(text), dict)


def test_a_schema_is_kept_and_written_in_one_line(engine: Engine) -> None:
    for fields in (
        {"response_format": json_schema(PERSON)},
        {"structured_outputs": {"json": PERSON}},
        {"structured_outputs": {"json": json.dumps(PERSON)}},
    ):
        text = content_of(engine, EXTRACT, **fields)
        person = json.loads(text)
        assert list(person) == ["name", "age"]
        assert isinstance(person["age"], int)
        assert text == json.dumps(person, ensure_ascii=False)


def test_a_schema_is_kept_in_a_stream(engine: Engine) -> None:
    body = chat_body(EXTRACT, response_format=json_schema(PERSON))
    events = engine.events("/v1/chat/completions", body)[:-1]
    text = "".join(event["choices"][0]["delta"].get("content", "") for event in events)
    assert set(json.loads(text)) == {"name", "age"}


def test_a_regex_is_kept_with_its_leading_blanks(engine: Engine) -> None:
    assert content_of(engine, "Hello!", structured_outputs={"regex": "  [ab]{3}!"})[:2] == "  "


@pytest.mark.parametrize(
    "choices",
    [
        ["yes", "no"],
        ['quote " and \\ back', "line\nbreak"],
        ["Grüße 🦀", "<tool_call>"],
        [" blank in front"],
    ],
)
def test_a_choice_is_one_of_the_given(engine: Engine, choices: list[str]) -> None:
    assert content_of(engine, "Hello!", structured_outputs={"choice": choices}) in choices


def test_a_lark_grammar_is_kept(engine: Engine) -> None:
    grammar = 'start: "the sky is " COLOUR "."\nCOLOUR: "blue" | "grey"'
    text = content_of(engine, "Hello!", structured_outputs={"grammar": grammar})
    assert text in ("the sky is blue.", "the sky is grey.")


@pytest.mark.parametrize(
    "structured",
    [
        {"regex": "((("},
        {"grammar": 'start: "a" missing_rule'},
        {"grammar": 'start: start "a"'},  # leads nowhere
        {"regex": "(?=a)b"},  # looks ahead
        {"json": {"type": "nonsense"}},
        {"json": {"type": "array", "minItems": 5, "maxItems": 2}},
        {"json": {"not": {"type": "string"}}},  # cannot be kept
        {"json": {"$ref": "http://example.com/schema"}},
        {"json": {"$ref": "#/definitions/missing"}},
        {"json": "not json"},
        {"json": {"type": "object"}, "regex": "a"},  # one of them
        {},
        {"choice": []},
        {"grammar": 'root ::= "a"'},  # EBNF
        {"structural_tag": "{}"},
    ],
)
def test_a_grammar_that_cannot_be_kept_is_a_400_with_one_line(
    engine: Engine, structured: dict[str, Any]
) -> None:
    for stream in (False, True):
        error = refused(engine, structured_outputs=structured, stream=stream)
        assert "\n" not in error["message"]
    assert engine.call("/health")[0] == 200


def test_a_format_is_given_once(engine: Engine) -> None:
    error = refused(
        engine,
        response_format={"type": "json_object"},
        structured_outputs={"regex": "a"},
    )
    assert error["param"] == "structured_outputs"


def test_auto_calls_the_tool_that_is_needed(engine: Engine) -> None:
    choice = choice_of(engine, IN_PARIS, tools=[WEATHER])
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    (call,) = choice["message"]["tool_calls"]
    assert call["id"].startswith("call_")
    assert call["type"] == "function"
    assert call["function"]["name"] == "get_weather"
    assert json.loads(call["function"]["arguments"])["location"] == "Paris"


def test_auto_answers_when_no_tool_is_needed(engine: Engine) -> None:
    message = choice_of(engine, "Hello!", tools=[WEATHER], tool_choice="auto")["message"]
    assert message["content"]
    assert "tool_calls" not in message


def test_a_streamed_call_never_leaks_its_tags(engine: Engine) -> None:
    body = chat_body(IN_PARIS, tools=[WEATHER])
    events = engine.events("/v1/chat/completions", body)[:-1]
    deltas = [event["choices"][0]["delta"] for event in events]
    assert "".join(delta.get("content", "") for delta in deltas) == ""
    calls = [call for delta in deltas for call in delta.get("tool_calls", [])]
    assert [call["index"] for call in calls] == [0]
    assert calls[0]["function"]["name"] == "get_weather"
    assert json.loads(calls[0]["function"]["arguments"])["location"] == "Paris"
    assert events[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_none_never_calls_and_does_not_tell_of_the_tools(engine: Engine) -> None:
    with_tools = engine.chat(IN_PARIS, tools=[WEATHER], tool_choice="none")
    assert "tool_calls" not in with_tools["choices"][0]["message"]
    without = engine.chat(IN_PARIS)
    assert with_tools["usage"]["prompt_tokens"] == without["usage"]["prompt_tokens"]


def test_required_calls_even_when_no_tool_is_needed(engine: Engine) -> None:
    choice = choice_of(
        engine, "Hello!", tools=[WEATHER, CLOCK], tool_choice="required", max_tokens=200
    )
    assert choice["finish_reason"] == "tool_calls"
    names = {call["function"]["name"] for call in choice["message"]["tool_calls"]}
    assert names <= {"get_weather", "get_time"}


def test_parallel_tool_calls_false_makes_one_call(engine: Engine) -> None:
    choice = choice_of(
        engine,
        "Hello!",
        tools=[WEATHER],
        tool_choice="required",
        parallel_tool_calls=False,
        max_tokens=200,
    )
    assert len(choice["message"]["tool_calls"]) == 1


def test_a_named_tool_is_called_with_arguments_of_its_schema(engine: Engine) -> None:
    named = {"type": "function", "function": {"name": "get_time"}}
    choice = choice_of(engine, IN_PARIS, tools=[WEATHER, CLOCK], tool_choice=named)
    (call,) = choice["message"]["tool_calls"]
    assert call["function"] == {"name": "get_time", "arguments": "{}"}
    assert choice["finish_reason"] == "stop"


def test_tools_and_a_format_together_give_a_call_or_the_format(engine: Engine) -> None:
    wanted = {"tools": [WEATHER], "response_format": json_schema(PERSON)}
    assert choice_of(engine, IN_PARIS, **wanted)["message"]["tool_calls"]
    text = content_of(engine, EXTRACT, **wanted)
    assert set(json.loads(text)) == {"name", "age"}


def test_a_tools_result_is_used_in_the_answer(engine: Engine) -> None:
    result = {"location": "Paris", "temperature": 22, "unit": "celsius", "condition": "sunny"}
    message = choice_of(engine, IN_PARIS, tools=[WEATHER])["message"]
    messages = [
        {"role": "user", "content": IN_PARIS},
        message,
        {
            "role": "tool",
            "tool_call_id": message["tool_calls"][0]["id"],
            "content": json.dumps(result),
        },
    ]
    answer = content_of(engine, "", messages=messages)
    assert "sunny" in answer
    assert "22" in answer


def test_an_earlier_call_is_written_as_the_model_was_taught(engine: Engine) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    messages = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
    ]
    _, tokenized = engine.call("/tokenize", {"messages": messages, "tools": [CLOCK]})
    _, written = engine.call("/detokenize", {"tokens": tokenized["tokens"]})
    expected = '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'
    assert expected in written["prompt"]
    assert '{"type": "function", "function": {"name": "get_time"' in written["prompt"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tool_choice": "required"}, "tool_choice"),  # without tools
        ({"tools": [WEATHER, WEATHER]}, "tools"),  # two of one name
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        ({"tools": [{"type": "retrieval", "function": {"name": "a"}}]}, "tools[0].type"),
        (
            {
                "tools": [WEATHER],
                "tool_choice": {"type": "function", "function": {"name": "get_time"}},
            },
            "tool_choice",
        ),
        (
            {
                "tools": [WEATHER],
                "tool_choice": "required",
                "response_format": {"type": "json_object"},
            },
            "tool_choice",
        ),
    ],
)
def test_wrong_tools_are_a_400(engine: Engine, fields: dict[str, Any], param: str) -> None:
    assert refused(engine, **fields)["param"] == param
