"""The texts under which a model may write an instance: its names in the order of the schema."""

import json
import re
from collections.abc import Iterator
from typing import Any

DEPTH_MAX = 60
IN_PLACE = ("allOf", "anyOf", "oneOf", "if", "then", "else")


def texts(value: Any, schema: Any) -> Iterator[bytes]:
    """The value as it is and in the schema's order, each compact and spaced."""
    for each in (value, _ordered(value, [schema], schema)):
        for separators in ((",", ":"), (", ", ": ")):
            text = json.dumps(each, ensure_ascii=False, separators=separators)
            yield text.encode(errors="surrogatepass")


def _ordered(value: Any, schemas: list[Any], root: Any, depth: int = 0) -> Any:
    """The value with the names that its schemas declare, in their order, before all others."""
    if depth > DEPTH_MAX:
        return value
    applied = list(_applied(schemas, root))
    if isinstance(value, dict):
        declared = [name for schema in applied for name in _mapping(schema, "properties")]
        declared += [name for schema in applied for name in _names(schema, "required")]
        return {
            name: _ordered(value[name], list(_of_property(name, applied)), root, depth + 1)
            for name in dict.fromkeys([*declared, *value])
            if name in value
        }
    if isinstance(value, list):
        inner = list(_of_items(applied))
        return [_ordered(item, inner, root, depth + 1) for item in value]
    return value


def _applied(schemas: list[Any], root: Any) -> Iterator[dict[str, Any]]:
    """Schemas and those that they apply to the same value, each before its branches."""
    left, known = list(reversed(schemas)), set()
    while left:
        schema = left.pop()
        if not isinstance(schema, dict) or id(schema) in known:
            continue
        known.add(id(schema))
        yield schema
        branches = [_target(schema.get("$ref"), root)]
        for keyword in IN_PLACE:
            said = schema.get(keyword)
            branches += said if isinstance(said, list) else [said]
        branches += _mapping(schema, "dependentSchemas").values()
        left += reversed(branches)


def _of_property(name: str, schemas: list[dict[str, Any]]) -> Iterator[Any]:
    """What the schemas of an object say about one of its properties."""
    for schema in schemas:
        declared = _mapping(schema, "properties")
        patterns = _mapping(schema, "patternProperties")
        matching = [inner for pattern, inner in patterns.items() if _is_found(pattern, name)]
        if name in declared:
            yield declared[name]
        yield from matching
        if name not in declared and not matching:
            yield schema.get("additionalProperties")
            yield schema.get("unevaluatedProperties")


def _of_items(schemas: list[dict[str, Any]]) -> Iterator[Any]:
    """What the schemas of an array say about some of its items."""
    for schema in schemas:
        for keyword in ("prefixItems", "items", "additionalItems", "contains", "unevaluatedItems"):
            said = schema.get(keyword)
            yield from said if isinstance(said, list) else [said]


def _target(reference: Any, root: Any) -> Any:
    """What a reference within the schema leads to; none where it leads elsewhere."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    place = root
    for step in reference[1:].split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(place, list) and key.isdigit() and int(key) < len(place):
            place = place[int(key)]
        elif isinstance(place, dict):
            place = place.get(key)
        else:
            return None
    return place


def _mapping(schema: dict[str, Any], keyword: str) -> dict[str, Any]:
    said = schema.get(keyword)
    return said if isinstance(said, dict) else {}


def _names(schema: dict[str, Any], keyword: str) -> list[str]:
    said = schema.get(keyword)
    return [name for name in said if isinstance(name, str)] if isinstance(said, list) else []


def _is_found(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None
    except re.error:  # the dialects differ
        return True
