"""Bounds of client-written JSON whose bytes are kept: schemas, and arguments of earlier tool calls.

Engines compile a schema on shared threads, and size, depth and huge enums are how that is made to
hang or crash. One linear pass, which is native, says whether a schema is small enough to hand on;
whether a grammar can express it is another question.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from tokenmill._native import SchemaRefusal, check_schema
from tokenmill.errors import InvalidRequest
from tokenmill.protocol.chat import ChatRequest
from tokenmill.protocol.generation import GenerationRequest
from tokenmill.protocol.messages import is_sent
from tokenmill.protocol.structured import JsonSchemaFormat
from tokenmill.settings import BodyBounds


class SentSchema(NamedTuple):
    """A schema of a request, and where it stands there."""

    param: str
    data: bytes  # syntactically JSON


def schemas_of(request: GenerationRequest) -> list[SentSchema]:
    """The schemas of a request, in the order in which they are judged."""
    found = []
    extra = request.structured_outputs
    if extra is not None and is_sent(extra.json):
        found.append(SentSchema("structured_outputs.json", bytes(extra.json)))
    if not isinstance(request, ChatRequest):
        return found
    wanted = request.response_format
    if isinstance(wanted, JsonSchemaFormat):
        data = bytes(wanted.json_schema.schema)
        found.append(SentSchema("response_format.json_schema.schema", data))
    for index, tool in enumerate(request.tools or ()):
        parameters = tool.function.parameters
        if is_sent(parameters):
            found.append(SentSchema(f"tools[{index}].function.parameters", bytes(parameters)))
    return found


def check_schemas(sent: Sequence[SentSchema], bounds: BodyBounds) -> None:
    """Whether all schemas are within bounds. Leaves Python.

    Cost: linear; 64 KiB take about a millisecond.
    Raises: InvalidRequest with code `unsupported_schema` for what is too large.
    """
    limits = (
        bounds.schema_bytes_max,
        bounds.schema_depth_max,
        bounds.schema_nodes_max,
        bounds.enum_values_max,
        bounds.regex_bytes_max,
    )
    for param, data in sent:
        refusal = check_schema(data, limits)
        if refusal is not None:
            raise _refused(refusal, param)


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


def _refused(refusal: SchemaRefusal, param: str) -> InvalidRequest:
    if refusal.kind == "invalid":
        return InvalidRequest(f"`{param}` {refusal.reason}.", param=param)
    message = f"The schema in `{param}` is refused: {refusal.reason}."
    return InvalidRequest(message, param=param, code="unsupported_schema")


def _not_arguments(param: str) -> InvalidRequest:
    return InvalidRequest(f"`{param}` must be a JSON object, written as a string.", param=param)
