"""Bounds of client-written JSON whose bytes are kept: schemas, and arguments of earlier tool calls.

Engines compile a schema on shared threads, and size, depth and huge enums are how that is made to
hang or crash (CVE-2025-58446, CVE-2026-25048 and their kin). One linear pass says whether a value
is small enough to hand on; whether a grammar can express it is another question.
"""

import json
from typing import Any

import msgspec

from tokenmill.errors import InvalidRequest
from tokenmill.protocol.patterns import is_costly
from tokenmill.settings import BodyBounds

_INTEGER_END = 2**63
_JSON_LEVELS_PER_SCHEMA_LEVEL = 2  # `properties` and the property itself


class _DuplicateKey(ValueError):
    """An object names a key twice."""


def check_schema(data: bytes, param: str, bounds: BodyBounds) -> None:
    """Whether the JSON schema in `data` is within bounds; `data` is syntactically JSON already.

    Cost: O(len(data)), and that is bounded by `schema_bytes_max`.
    Raises: InvalidRequest with code `unsupported_schema`.
    """
    if len(data) > bounds.schema_bytes_max:
        raise _too_large(param, f"it is larger than {bounds.schema_bytes_max} bytes")
    value = _decode_strictly(data, param)
    if not isinstance(value, dict):
        raise InvalidRequest(f"`{param}` must be an object: a JSON schema.", param=param)
    _walk_schema(value, param, bounds)


def check_arguments(text: str, param: str, bounds: BodyBounds) -> None:
    """Whether `text` is a JSON object, as the arguments of a function call are; "" is none.

    Raises: InvalidRequest.
    """
    if not text:
        return
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _not_arguments(param) from error
    if not isinstance(value, dict):
        raise _not_arguments(param)
    stack: list[tuple[Any, int]] = [(value, 1)]
    while stack:
        node, depth = stack.pop()
        if depth > bounds.depth_max:
            raise InvalidRequest(f"`{param}` is nested too deeply.", param=param)
        children = node.values() if isinstance(node, dict) else node
        stack.extend((child, depth + 1) for child in children if isinstance(child, dict | list))


def _decode_strictly(data: bytes, param: str) -> Any:
    """The value in `data`, with NaN, overflow, lone surrogates and repeated keys refused."""
    try:
        msgspec.json.decode(data)
        return json.loads(data, object_pairs_hook=_without_duplicates)
    except _DuplicateKey as error:
        message = f"`{param}` names the key '{error}' twice in one object."
        raise InvalidRequest(message, param=param) from error
    except RecursionError as error:
        raise _too_large(param, "it is nested too deeply") from error
    except ValueError as error:
        detail = str(error).removeprefix("JSON is malformed: ").rstrip(".")
        raise InvalidRequest(f"`{param}` is not valid JSON: {detail}.", param=param) from error


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _DuplicateKey(key[:64])
            seen.add(key)
    return value


def _walk_schema(root: dict[str, Any], param: str, bounds: BodyBounds) -> None:
    """Counts containers and levels, and looks at the keywords that are costly to compile."""
    depth_max = bounds.schema_depth_max * _JSON_LEVELS_PER_SCHEMA_LEVEL
    node_count = 0
    stack: list[tuple[Any, int]] = [(root, 1)]
    while stack:
        node, depth = stack.pop()
        node_count += 1
        if depth > depth_max:
            raise _too_large(param, f"it is nested more than {bounds.schema_depth_max} levels deep")
        if node_count > bounds.schema_nodes_max:
            raise _too_large(param, f"it is made of more than {bounds.schema_nodes_max} parts")
        if isinstance(node, dict):
            _check_keywords(node, param, bounds)
            children = list(node.values())
        else:
            children = node
        for child in children:
            if isinstance(child, dict | list):
                stack.append((child, depth + 1))
            elif isinstance(child, int) and not -_INTEGER_END <= child < _INTEGER_END:
                raise _too_large(param, "it uses an integer of more than 64 bits")


def _check_keywords(node: dict[str, Any], param: str, bounds: BodyBounds) -> None:
    values = node.get("enum")
    if isinstance(values, list) and len(values) > bounds.enum_values_max:
        raise _too_large(param, f"it uses an enum of more than {bounds.enum_values_max} values")
    pattern = node.get("pattern")
    patterns = [pattern] if isinstance(pattern, str) else []
    by_pattern = node.get("patternProperties")
    if isinstance(by_pattern, dict):
        patterns.extend(by_pattern)
    if any(len(each.encode()) > bounds.regex_bytes_max for each in patterns):
        raise _too_large(param, f"it uses a pattern of more than {bounds.regex_bytes_max} bytes")
    if any(is_costly(each) for each in patterns):
        raise _too_large(param, "it uses a pattern with too many repetitions")
    reference = node.get("$ref")
    if isinstance(reference, str) and not reference.startswith("#"):
        raise _too_large(param, "it uses a `$ref` that leads out of the schema")


def _too_large(param: str, why: str) -> InvalidRequest:
    message = f"The schema in `{param}` is refused: {why}."
    return InvalidRequest(message, param=param, code="unsupported_schema")


def _not_arguments(param: str) -> InvalidRequest:
    return InvalidRequest(f"`{param}` must be a JSON object, written as a string.", param=param)
