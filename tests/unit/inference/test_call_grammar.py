"""The grammar of calls: put together, it accepts the calls and nothing else."""

import json

import pytest

from tests.support.grammar_matcher import GrammarMatcher
from tokenmill import grammar
from tokenmill.grammar import CompiledSchema
from tokenmill.inference.call_grammar import CallRule, calls_tag, calls_text


def arguments(schema: object) -> str:
    made = grammar.compile(json.dumps(schema))
    assert isinstance(made, CompiledSchema)
    return made.text


def call(name: str, text: str) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {text}}}\n</tool_call>'


CITY = {"type": "object", "properties": {"city": {"enum": ["root r1 [", "Paris"]}}}
SUM = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
RULES = (CallRule("get_weather", arguments(CITY)), CallRule("add", arguments(SUM)))
PARIS = call("get_weather", '{"city": "Paris"}')
ONE = call("add", '{"a": 1}')


@pytest.mark.parametrize(
    ("text", "is_taken"),
    [
        (PARIS, True),
        (ONE, True),
        (f"{ONE}\n{PARIS}", True),
        (f"{ONE}\n{ONE}\n{ONE}", False),  # one more than may be
        (call("get_weather", '{"city": "root r1 ["}'), True),  # names inside literals stay
        (call("add", '{"a": "1"}'), False),
        (call("add", "{}"), False),
        (call("other", '{"a": 1}'), False),
        ("", False),
        ('{"a": 1}', False),
        (ONE + "\n", False),
    ],
)
def test_one_to_so_many_calls_are_accepted(text: str, is_taken: bool) -> None:
    assert GrammarMatcher(calls_text(RULES, 2)).accepts(text.encode()) is is_taken


def test_a_format_or_calls() -> None:
    both = GrammarMatcher(calls_text(RULES, 1, arguments({"const": 7})))
    assert both.accepts(b"7")
    assert both.accepts(ONE.encode())
    assert not both.accepts(f"{ONE}7".encode())


def test_the_same_tools_give_the_same_bytes() -> None:
    assert calls_text(RULES, 8) == calls_text(tuple(RULES), 8)


def test_a_tag_holds_the_grammar_of_each_tool() -> None:
    tag = json.loads(calls_tag(RULES))
    assert tag["type"] == "structural_tag"
    tags = tag["format"]["tags"]
    assert [each["content"]["grammar"] for each in tags] == [each.arguments for each in RULES]
    assert tags[1]["begin"] == '<tool_call>\n{"name": "add", "arguments": '
