"""Tools in prompts and grammars."""

import json
from typing import Any

import pytest

from tokenmill.engines.embedded.errors import BadRequest
from tokenmill.engines.embedded.grammar import Grammar, requested_grammar
from tokenmill.engines.embedded.prompts import PromptTemplate
from tokenmill.engines.embedded.requests import ChatRequest, decode
from tokenmill.engines.embedded.tools import answer_grammar, offered_tools, render_chat

PLAIN = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
KNOWING = "{% for t in tools or [] %}{{ t | tojson }}{% endfor %}" + PLAIN
ADD = {
    "type": "function",
    "function": {"name": "add", "description": "Adds", "parameters": {"type": "object"}},
}
NOW = {"type": "function", "function": {"name": "now", "strict": True}}


def request(messages: list[dict[str, Any]] | None = None, **fields: Any) -> ChatRequest:
    body = {"messages": messages or [{"role": "user", "content": "x"}], **fields}
    return decode(json.dumps(body).encode(), ChatRequest)


def prompt(source: str, asked: ChatRequest) -> str:
    return render_chat(PromptTemplate(source), asked.messages, offered_tools(asked))


def grammar(asked: ChatRequest) -> Grammar | None:
    return answer_grammar(asked, offered_tools(asked), requested_grammar(asked))


def test_a_template_that_knows_tools_renders_them_without_strict() -> None:
    text = prompt(KNOWING, request(tools=[NOW]))
    listed = json.loads(text.removesuffix("[user]x"))
    assert listed["function"] == {
        "name": "now",
        "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
    }


def test_other_templates_get_them_in_the_system_message() -> None:
    text = prompt(PLAIN, request(tools=[ADD]))
    assert text.startswith("[system]You may call one or more functions")
    assert json.dumps(ADD) in text
    text = prompt(PLAIN, request([{"role": "system", "content": "Be kind."}], tools=[ADD]))
    assert text.startswith("[system]Be kind.\n\nYou may call")
    assert text.count("[system]") == 1


def test_tool_choice_none_tells_nothing() -> None:
    assert prompt(KNOWING, request(tools=[ADD], tool_choice="none")) == "[user]x"


def test_earlier_calls_are_written_where_the_template_does_not() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
    messages: list[dict[str, Any]] = [
        {"role": "assistant", "content": "Hm. ", "tool_calls": [call, call]},
        {"role": "tool", "tool_call_id": "c", "content": "2"},
    ]
    written = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'
    assert prompt(PLAIN, request(messages)) == f"[assistant]Hm. {written}\n{written}[tool]2"


def test_earlier_arguments_that_are_no_json_are_refused() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "add", "arguments": "{"}}
    messages = [{"role": "assistant", "tool_calls": [call]}]
    with pytest.raises(BadRequest) as caught:
        prompt(PLAIN, request(messages))
    assert caught.value.param == "messages[0].tool_calls"


def test_the_developer_is_the_system_where_the_template_knows_none() -> None:
    messages = [{"role": "developer", "content": "Be kind."}]
    assert prompt(PLAIN, request(messages)) == "[system]Be kind."
    assert prompt(PLAIN + "{# developer #}", request(messages)) == "[developer]Be kind."


def test_auto_forces_nothing() -> None:
    assert grammar(request(tools=[ADD])) is None
    assert grammar(request(tools=[ADD], tool_choice="auto")) is None


def test_required_forces_calls_of_any_tool() -> None:
    found = grammar(request(tools=[ADD, NOW], tool_choice="required"))
    assert found is not None
    lines = found.text.split("\n")
    assert lines[:3] == ["start: calls", 'calls: call ("\\n" call){0,7}', "call: call_0 | call_1"]
    assert lines[3].startswith('call_0: "<tool_call>\\n{\\"name\\": \\"add\\", \\"arguments\\": "')


def test_one_call_is_forced_where_several_are_not_wanted() -> None:
    for fields in (
        {"tool_choice": "required", "parallel_tool_calls": False},
        {"tool_choice": {"type": "function", "function": {"name": "now"}}},
    ):
        found = grammar(request(tools=[ADD, NOW], **fields))
        assert found is not None
        assert "calls: call\n" in found.text


def test_a_named_tool_is_the_only_one_in_its_grammar() -> None:
    named = {"type": "function", "function": {"name": "now"}}
    found = grammar(request(tools=[ADD, NOW], tool_choice=named))
    assert found is not None
    assert "now" in found.text
    assert '"add"' not in found.text.replace("\\", "")


def test_a_format_stands_beside_calls_when_the_model_may_choose() -> None:
    json_object = {"type": "json_object"}
    found = grammar(request(tools=[ADD], response_format=json_object))
    assert found is not None
    assert found.text.startswith("start: calls | answer\nanswer: %json {")
    found = grammar(request(tools=[ADD], structured_outputs={"choice": ["a"]}))
    assert found is not None
    assert 'answer: "a"\n' in found.text
    with pytest.raises(BadRequest):
        grammar(request(tools=[ADD], structured_outputs={"regex": "a"}))
