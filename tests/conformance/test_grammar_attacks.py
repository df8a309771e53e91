"""Texts that spell an invalid document in a way that a grammar may overlook."""

import json
from typing import Any

import pytest

from tests.support.grammar_matcher import GrammarMatcher
from tokenmill import grammar

OPEN = {"type": "object", "properties": {"a": {"type": "integer"}}}
STRING = {"type": "string"}

# schema, text that must be refused, why
ATTACKS: list[tuple[Any, bytes, str]] = [
    (OPEN, b'{"\\u0061":"x"}', "a declared name spelt with an escape"),
    (OPEN, b'{"a":1,"\\u0061":"x"}', "the same beside the plain name"),
    (OPEN, b'{"a":1,"a":"x"}', "a declared name twice"),
    (OPEN, b'{"b":1,"a":"x"}', "a declared name after open ones"),
    (STRING, b'"\x01"', "a raw control character"),
    (STRING, b'"\t"', "a raw tab"),
    (STRING, b'"\\ud800"', "a lone surrogate as an escape"),
    (STRING, b'"\xed\xa0\x80"', "a surrogate in bytes"),
    (STRING, b'"\xc0\x80"', "an overlong form"),
    (STRING, b'"\xff"', "no UTF-8 at all"),
    (STRING, b'"\\x41"', "an unknown escape"),
    ({"enum": ["a"]}, b'"\\u0062"', "another letter as an escape"),
    ({"type": "integer", "maximum": 9}, b"1e1", "a larger number as a power"),
    ({"type": "integer", "maximum": 9}, b"10.0", "a larger number with a fraction"),
    ({"type": "integer", "multipleOf": 2}, b"3.0", "an odd number with a fraction"),
    ({"type": "number"}, b"1e999", "a number beyond all floats"),
    ({"type": "number"}, b"01", "a leading zero"),
    ({"type": "number"}, b"-", "a lone sign"),
    ({"type": "number"}, b"NaN", "no number"),
    ({"format": "date"}, b'"2023-02-29"', "no leap year"),
    ({"format": "date-time"}, b'"2024-01-01T12:00:60Z"', "a leap second at noon"),
    ({"not": {"format": "uri"}}, b'"http://a/b"', "a format under not"),
    ({"minProperties": 2}, b'{"a":1,"a":2}', "one name counted twice"),
    ({"maxLength": 2}, '"äöü"'.encode(), "characters, not bytes"),
    ({"minLength": 2}, '"\U0001f600"'.encode(), "characters, not UTF-16 units"),
    ({"uniqueItems": True, "items": {"enum": [1, 1.0, 2]}}, b"[1,1]", "equal constants"),
    (
        {"oneOf": [{"format": "hostname"}, {"const": "a" * 80}]},
        json.dumps("a" * 80).encode(),
        "a constant that may also be of the format",
    ),
]


@pytest.mark.parametrize(("schema", "text", "why"), ATTACKS)
def test_no_spelling_of_an_invalid_document_is_accepted(schema: Any, text: bytes, why: str) -> None:
    made = grammar.compile(schema)
    if isinstance(made, grammar.SchemaRefusal):
        pytest.fail(f"refused: {made}")
    assert not GrammarMatcher(made.text).accepts(text), why


# schema, pointer and keyword that the refusal must name
REFUSED: list[tuple[Any, str, str, str]] = [
    ({"$ref": "#"}, "", "$ref", "unsupported"),
    ({"properties": {"a/b": {"pattern": "(a)\\1"}}}, "/properties/a~1b", "pattern", "unsupported"),
    ({"items": {"type": "text"}}, "/items", "type", "invalid"),
    ({"allOf": [{"type": "string"}, {"type": "null"}]}, "", "", "unsatisfiable"),
    ({"$ref": "http://example.com/schema"}, "", "$ref", "unsupported"),
    ({"not": {"uniqueItems": True}}, "", "uniqueItems", "unsupported"),
    ({"minimum": "1"}, "", "minimum", "invalid"),
]


@pytest.mark.parametrize(("schema", "pointer", "keyword", "kind"), REFUSED)
def test_refusals_name_the_place(schema: Any, pointer: str, keyword: str, kind: str) -> None:
    refusal = grammar.compile(schema)
    assert isinstance(refusal, grammar.SchemaRefusal)
    assert (refusal.kind, refusal.pointer, refusal.keyword) == (kind, pointer, keyword)
