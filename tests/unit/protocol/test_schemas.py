"""Schemas that could stall or crash a compiler are refused; others pass with their bytes."""

import json
from typing import Any

import pytest

from tokenmill.errors import InvalidRequest
from tokenmill.protocol.schemas import SentSchema, check_schemas
from tokenmill.settings import BodyBounds

BOUNDS = BodyBounds()
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "pattern": "^[A-Z]"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels - 1):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def refusal(data: bytes, bounds: BodyBounds = BOUNDS) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        check_schemas([SentSchema("here", data)], bounds)
    assert caught.value.param == "here"
    return caught.value


@pytest.mark.parametrize(
    "schema",
    [
        {},
        PERSON,
        nested(16),
        {"enum": list(range(1000))},
        {"properties": {f"p{index}": {} for index in range(4000)}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}},
        {"properties": {"enum": {"type": "string"}, "$ref": {"type": "string"}}},
        {"minimum": -(2**63), "maximum": 2**63 - 1},
    ],
    ids=lambda each: repr(each)[:40],
)
def test_ordinary_schemas_pass(schema: dict[str, Any]) -> None:
    check_schemas([SentSchema("here", json.dumps(schema).encode())], BOUNDS)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (nested(18), "levels deep"),
        (nested(300), "levels deep"),
        ({"enum": list(range(1001))}, "enum"),
        ({"items": {"enum": ["x"] * 1001}}, "enum"),
        ({"pattern": "a" * 513}, "pattern"),
        ({"patternProperties": {"a" * 513: {}}}, "pattern"),
        ({"properties": {f"p{index}": {} for index in range(5001)}}, "parts"),
        ({"description": "x" * 70_000}, "bytes"),
        ({"maximum": 2**63}, "64 bits"),
        ({"enum": [10**30]}, "64 bits"),
        ({"$ref": "http://127.0.0.1/x"}, "$ref"),
        ({"$ref": "file:///etc/passwd"}, "$ref"),
    ],
    ids=lambda each: repr(each)[:40],
)
def test_costly_schemas_are_refused(schema: dict[str, Any], words: str) -> None:
    error = refusal(json.dumps(schema).encode())
    assert error.code == "unsupported_schema"
    assert words in error.message


@pytest.mark.parametrize(
    "data",
    [
        b'{"maximum":1e999}',
        b'{"maximum":NaN}',
        b'{"title":"\\ud800"}',
        b'{"title":"\xff"}',
        b'{"type":"string","type":"object"}',
        b'{"properties":{"a":{"type":"string","type":"object"}}}',
        b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b'"x"',
        b"null",
        b"true",
    ],
    ids=lambda each: repr(each)[:40],
)
def test_odd_json_is_refused(data: bytes) -> None:
    assert refusal(data).status == 400


def test_a_repeated_key_is_named() -> None:
    assert "'type' twice" in refusal(b'{"type":"string","type":"object"}').message


def test_bounds_are_settings() -> None:
    tight = BodyBounds(schema_depth_max=2, enum_values_max=2)
    assert "2 levels" in refusal(json.dumps(nested(4)).encode(), tight).message
    assert "2 values" in refusal(b'{"enum":[1,2,3]}', tight).message
