"""Tools that a model may call, and which of them it must.

`parameters` is a JSON schema and stays unparsed. `allowed_tools` is OpenAI's way to offer a subset;
engines do not know it, so the endpoint keeps only the tools it names.
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct

from tokenmill.protocol.messages import Unparsed

FunctionName = Annotated[str, Meta(min_length=1, max_length=64)]


class FunctionDefinition(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A function: its name ([a-zA-Z0-9_-]), what it is for, and the schema of its arguments."""

    name: FunctionName
    description: str | None = None
    parameters: Unparsed = UNSET
    strict: bool | None = None


class Tool(Struct, tag_field="type", tag="function", forbid_unknown_fields=True):
    """A tool; functions are the only kind."""

    function: FunctionDefinition


class FunctionReference(Struct, forbid_unknown_fields=True):
    """A function of `tools` by its name."""

    name: FunctionName


class NamedToolChoice(Struct, tag_field="type", tag="function", forbid_unknown_fields=True):
    """The one function that must be called."""

    function: FunctionReference


class AllowedTools(Struct, forbid_unknown_fields=True):
    """A subset of `tools`: the model may (`auto`) or must (`required`) call one of them."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedToolChoice], Meta(min_length=1)]


class AllowedToolsChoice(Struct, tag_field="type", tag="allowed_tools", forbid_unknown_fields=True):
    """OpenAI's `allowed_tools`."""

    allowed_tools: AllowedTools


ToolChoice = Literal["none", "auto", "required"] | NamedToolChoice | AllowedToolsChoice
