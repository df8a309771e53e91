"""The messages of a chat request: one Struct a role, told apart by `role`.

Parts of a content list are text (or, of an assistant, a refusal). Other kinds are refused by name:
see `refusals.py`.
"""

from typing import TypeGuard

from msgspec import UNSET, Raw, Struct, UnsetType

Unparsed = Raw | UnsetType
"""JSON whose bytes are kept; UNSET where it was not sent. `is_sent` knows about null."""


def is_sent(value: Unparsed) -> TypeGuard[Raw]:
    """Whether an unparsed field holds something other than null."""
    return isinstance(value, Raw) and bytes(value) != b"null"


class TextPart(Struct, tag_field="type", tag="text", forbid_unknown_fields=True):
    """A piece of text."""

    text: str


class RefusalPart(Struct, tag_field="type", tag="refusal", forbid_unknown_fields=True):
    """An assistant's earlier refusal; it reaches the engine as text."""

    refusal: str


class FunctionCall(Struct, forbid_unknown_fields=True):
    """A function and its arguments: a JSON object, written as a string."""

    name: str
    arguments: str


class ToolCall(
    Struct, tag_field="type", tag="function", forbid_unknown_fields=True, omit_defaults=True
):
    """A call that the assistant made earlier."""

    id: str
    function: FunctionCall
    index: int | None = None  # a streamed call that was sent back as it came; not passed on


class SystemMessage(
    Struct, tag_field="role", tag="system", forbid_unknown_fields=True, omit_defaults=True
):
    """Instructions for the whole conversation."""

    content: str | list[TextPart]
    name: str | None = None


class DeveloperMessage(
    Struct, tag_field="role", tag="developer", forbid_unknown_fields=True, omit_defaults=True
):
    """What newer clients send in place of a system message; the engine gets it as one."""

    content: str | list[TextPart]
    name: str | None = None


class UserMessage(
    Struct, tag_field="role", tag="user", forbid_unknown_fields=True, omit_defaults=True
):
    """What the user said."""

    content: str | list[TextPart]
    name: str | None = None


class AssistantMessage(
    Struct, tag_field="role", tag="assistant", forbid_unknown_fields=True, omit_defaults=True
):
    """What the model said earlier: `content`, or `tool_calls`, or both.

    The fields after `tool_calls` are those of an answer that was sent back whole; only `reasoning`
    reaches the engine.
    """

    content: str | list[TextPart | RefusalPart] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    annotations: Unparsed = UNSET
    audio: None = None
    function_call: None = None


class ToolMessage(
    Struct, tag_field="role", tag="tool", forbid_unknown_fields=True, omit_defaults=True
):
    """The result of a tool call."""

    content: str | list[TextPart]
    tool_call_id: str
    name: str | None = None


Message = SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage
