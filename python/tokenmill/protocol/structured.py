"""What an answer must look like: `response_format`, and the engines' `structured_outputs`.

Schemas are `Raw`: their bytes and the order of their keys reach the engine as they came, after
`schemas.py` has looked them over.
"""

from typing import Annotated

from msgspec import UNSET, Meta, Raw, Struct

from tokenmill.protocol.messages import Unparsed


class TextFormat(Struct, tag_field="type", tag="text", forbid_unknown_fields=True):
    """Plain text; the default."""


class JsonObjectFormat(Struct, tag_field="type", tag="json_object", forbid_unknown_fields=True):
    """Any JSON object."""


class JsonSchema(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A named JSON schema; `schema` is an object."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    description: str | None = None
    schema: Raw
    strict: bool | None = None


class JsonSchemaFormat(Struct, tag_field="type", tag="json_schema", forbid_unknown_fields=True):
    """JSON that validates against a schema."""

    json_schema: JsonSchema


ResponseFormat = TextFormat | JsonObjectFormat | JsonSchemaFormat


class StructuredOutputs(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """vLLM's constraint on an answer: exactly one of `json`, `regex`, `choice`, `grammar`,
    `json_object`."""

    json: Unparsed = UNSET
    regex: Annotated[str, Meta(min_length=1)] | None = None
    choice: Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(min_length=1)] | None = None
    json_object: bool | None = None
    disable_any_whitespace: bool | None = None
    grammar: str | None = None  # EBNF; written anew before an engine gets it
    structural_tag: str | None = None  # xgrammar's; refused from clients
