"""Formats of the answer as grammars."""

import json
from typing import Any

import pytest

from tokenmill.engines.embedded.errors import BadRequest
from tokenmill.engines.embedded.grammar import Grammar, requested_grammar
from tokenmill.engines.embedded.requests import ChatRequest, decode


def grammar(**fields: Any) -> Grammar | None:
    body = {"messages": [{"role": "user", "content": "x"}], **fields}
    return requested_grammar(decode(json.dumps(body).encode(), ChatRequest))


@pytest.mark.parametrize("fields", [{}, {"response_format": {"type": "text"}}])
def test_text_needs_no_grammar(fields: dict[str, Any]) -> None:
    assert grammar(**fields) is None


def test_a_schema_keeps_its_keys_in_order_and_gets_our_spelling() -> None:
    schema = {"type": "object", "properties": {"b": {}, "a": {}}, "x-guidance": {"mine": 1}}
    found = grammar(
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    )
    assert found is not None
    assert found.type == "json_schema"
    written = json.loads(found.text)
    assert list(written["properties"]) == ["b", "a"]
    assert written["x-guidance"]["whitespace_flexible"] is False


def test_choices_are_quoted_alternatives() -> None:
    found = grammar(structured_outputs={"choice": ['a"b', "c\n"]})
    assert found == Grammar("lark", 'start: "a\\"b" | "c\\n"')


def test_a_text_without_ebnfs_sign_is_lark_as_in_vllm() -> None:
    assert grammar(structured_outputs={"grammar": 'start: "a"'}) == Grammar("lark", 'start: "a"')


@pytest.mark.parametrize(
    ("structured", "param"),
    [
        ({"grammar": 'root ::= "a"'}, "structured_outputs.grammar"),
        ({"structural_tag": "{}"}, "structured_outputs.structural_tag"),
        ({"json": "[]"}, "structured_outputs.json"),
        ({"json": "{" * 5_000}, "structured_outputs.json"),
        ({}, "structured_outputs"),
        ({"regex": "a", "json_object": True}, "structured_outputs"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(structured: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        grammar(structured_outputs=structured)
    assert caught.value.param == param
