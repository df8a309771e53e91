"""Over a vocabulary of long tokens no mask is ever empty, and what ends validates, whichever value
of a repeated name a reader keeps.

Grammars have rules beside the exact ones that derive nothing and only offer tokens. A token that no
exact rule takes would lead nowhere. The tokens are cut out of documents, or, where
TOKENMILL_TEST_TEKKEN names a tekken file, those of a real model.
"""

import base64
import json
import os
import random
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from tests.support.grammar_matcher import TokenWalks
from tokenmill import grammar

WORDS = [
    *("the", "name", "of", "a", "thing", "is", "id", "type", "value", "items", "names", "nam"),
    *("labels", "abc", "color", "colour", "example.com", "T12:00", "null", "true", "false"),
    *("\u00fcber", "\u4e2d\u6587", "\u0440\u0443\u0441", "\U0001f600", "e\u0301"),
    *("-1", "0.5", "1e3", "12", "2024", "-01", "000", "ffff", "1f", "@", "//", ".."),
    *('"},{"', '","', '":"', '":{"', '":', '"', '"}]', '"},', "[]", "{}", '{"', '["', '],"', 'Z"'),
    *("\\n", '\\"', "\\\\", "\\u00"),
]

SCHEMAS: list[Any] = [
    {"type": "string"},  # free strings
    {},  # any JSON
    {"type": "object", "properties": {"name": {"type": "string"}, "names": {"enum": ["a"]}}},
    {"type": "object", "properties": {"": {"type": "null"}, 'a"\n\\': {}, "\u4e2d": False}},
    {"additionalProperties": {"type": "integer"}, "properties": {"id": {}}, "minProperties": 2},
    {"propertyNames": {"pattern": "^[a-z\u00fc]{2,12}$"}},
    {"patternProperties": {"^x-": {"type": "string"}}, "additionalProperties": False},
    {"type": "string", "minLength": 3},  # counted strings
    {"type": "string", "maxLength": 5},
    {"type": "string", "minLength": 20, "maxLength": 60},
    {"type": "string", "minLength": 40, "maxLength": 400},
    {"type": "string", "pattern": "^[^\\s]{1,40}$"},  # states that are offered
    {"type": "string", "pattern": "^(?:\\S+\\s+){0,9}\\S+$"},
    {"type": "string", "pattern": "b.*c"},
    {"type": "string", "pattern": "^.+$"},  # states from which no text, or no short one, is dead
    {"type": "string", "pattern": "^a.{2,30}$"},
    {"type": "string", "pattern": "^.{3,6}$"},
    {"type": "string", "not": {"pattern": "^[a-z]+$"}},
    {"patternProperties": {"a": {"type": "null"}, "^[a-y]+$": {}, "1": {"maxLength": 4}}},
    {"type": "string", "pattern": "^[a-z ]+$", "maxLength": 200},  # bounded runs
    {"type": "string", "pattern": "^(?:\\S+\\s+){0,40}\\S+$", "maxLength": 900},
    {"type": "string", "pattern": '^[a-z]+([ \\n]+[a-z"]+){0,11}$', "maxLength": 200},
    {"type": "string", "not": {"pattern": "the"}},
    {"type": "string", "not": {"enum": ["the", "then", "\u4e2d\u6587", '"']}},
    {"type": "string", "format": "email"},
    {"type": "string", "format": "date-time"},
    {"type": "string", "format": "uri"},
    {"type": "array", "items": {"type": "string"}, "uniqueItems": True, "minItems": 2},
    {"type": "array", "items": {"minLength": 1, "maxLength": 30}, "uniqueItems": True},
    {"items": {"maxLength": 3, "type": ["string", "integer"]}, "contains": {"minimum": 9}},
    {"type": "number", "minimum": -1.5, "exclusiveMaximum": 1000},
    {"type": "integer", "multipleOf": 12},
    {"anyOf": [{"type": "string", "maxLength": 9}, {"type": "string", "pattern": "^the "}]},
]


@cache
def walks() -> TokenWalks:
    path = os.environ.get("TOKENMILL_TEST_TEKKEN")
    if path is not None:
        read = json.loads(Path(path).read_bytes())
        return TokenWalks([base64.b64decode(each["token_bytes"]) for each in read["vocab"]])
    chance = random.Random(7)
    tokens = {bytes([byte]) for byte in range(256)}
    for _ in range(4_000):
        text = chance.choice(["", " "]).join(chance.choices(WORDS, k=4)).encode()
        start, length = chance.randrange(len(text)), chance.choice([2, 3, 4, 6, 9, 17, 24])
        tokens.add(text[start : start + length])
    return TokenWalks(sorted(tokens))


@pytest.mark.parametrize("schema", SCHEMAS, ids=json.dumps)
def test_what_is_offered_leads_on_to_a_valid_document(schema: Any) -> None:
    made = grammar.compile(schema)
    if isinstance(made, grammar.SchemaRefusal):
        pytest.fail(f"refused: {made}")
    validator = jsonschema_rs.validator_for(schema, validate_formats=True)
    ended = walks().walks(made.text, random.Random(11), count=12)
    assert ended
    for text in ended:
        assert validator.is_valid(json.loads(text)), text
        first = json.loads(text, object_pairs_hook=lambda pairs: dict(reversed(pairs)))
        assert validator.is_valid(first), text


def test_no_step_is_offered_to_where_there_is_no_room() -> None:
    """The longer the words of a bounded pattern, the fewer of them have room."""
    pattern = "^([a-z]+ ){6,11}([a-z]+|[0-9]+x)$"
    made = grammar.compile({"type": "string", "pattern": pattern, "maxLength": 200})
    if isinstance(made, grammar.SchemaRefusal):
        pytest.fail(f"refused: {made}")
    tokens = [b'"', b"a", b"aaaa", b" ", b" a", b" aaa", b"1", b"1x", b" 1", b"x"]
    assert TokenWalks(tokens).walks(made.text, random.Random(11), count=200)
