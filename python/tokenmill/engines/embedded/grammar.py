"""What an answer must look like, as a grammar for llguidance inside mistral.rs. Pure.

JSON is written in one line with ", " and ": ", the spelling that models are trained on: left free,
small models wander in whitespace until max_tokens. Schemas keep their key order.
"""

import json
from typing import Any, Literal

import msgspec
from msgspec import Struct

from tokenmill.engines.embedded.errors import BadRequest, unsupported
from tokenmill.engines.embedded.requests import ResponseFormat, SamplingRequest, StructuredOutputs

SPELLING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
ANY_OBJECT: dict[str, Any] = {"type": "object"}
START = "start: "
KINDS = ("json", "regex", "choice", "grammar", "json_object")
NO_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}


class Grammar(Struct, frozen=True):
    """A grammar in one of the languages of llguidance."""

    type: Literal["json_schema", "regex", "lark"]
    text: str

    def fields(self) -> dict[str, str]:
        """Keyword arguments for mistral.rs."""
        return {"grammar_type": self.type, "grammar": self.text}


def json_grammar(schema: dict[str, Any]) -> str:
    """The text of `schema` with our spelling of JSON."""
    return json.dumps(schema | {"x-guidance": SPELLING}, ensure_ascii=False)


def literal(text: str) -> str:
    """`text` as a string of the Lark dialect, which writes them like JSON."""
    return json.dumps(text, ensure_ascii=False)


def requested_grammar(request: SamplingRequest) -> Grammar | None:
    """The grammar that the request asks for, if any. Raises: BadRequest."""
    formatted = _of_response_format(request.response_format) if request.response_format else None
    structured = request.structured_outputs
    if structured is None:
        return formatted
    if formatted is not None:
        raise BadRequest(
            "`structured_outputs` and `response_format` cannot be given together",
            param="structured_outputs",
        )
    return _of_structured_outputs(structured)


def _of_response_format(wanted: ResponseFormat) -> Grammar | None:
    if wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return Grammar("json_schema", json_grammar(ANY_OBJECT))
    if wanted.json_schema is None or wanted.json_schema.schema is None:
        raise BadRequest(
            "`response_format.json_schema.schema` is missing", param="response_format.json_schema"
        )
    return Grammar("json_schema", json_grammar(wanted.json_schema.schema))


def _of_structured_outputs(wanted: StructuredOutputs) -> Grammar:
    if wanted.structural_tag is not None:
        raise unsupported("structured_outputs.structural_tag")
    given = [name for name in KINDS if getattr(wanted, name)]
    if len(given) != 1:
        raise BadRequest(
            f"`structured_outputs` takes exactly one of {', '.join(KINDS)}",
            param="structured_outputs",
        )
    if wanted.grammar:
        return _of_grammar_text(wanted.grammar)
    if wanted.regex:
        return Grammar("regex", wanted.regex)
    if wanted.choice:
        return Grammar("lark", START + " | ".join(literal(text) for text in wanted.choice))
    return Grammar("json_schema", json_grammar(_schema(wanted)))


def _of_grammar_text(text: str) -> Grammar:
    """vLLM takes a text without `::=` for Lark and any other for EBNF."""
    if "::=" in text:
        raise unsupported("structured_outputs.grammar", "EBNF is not; send Lark or a JSON schema.")
    return Grammar("lark", text)


def _schema(wanted: StructuredOutputs) -> dict[str, Any]:
    if not isinstance(wanted.json, str):
        return wanted.json or ANY_OBJECT
    try:
        return msgspec.json.decode(wanted.json, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        raise BadRequest(
            "`structured_outputs.json` is not a JSON object", param="structured_outputs.json"
        ) from None
