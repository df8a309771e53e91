"""Reads tool calls out of generated text as it comes. Pure.

A call is `<tool_call>{"name": …, "arguments": {…}}</tool_call>`. Text is passed on at once, except
what may be the beginning of a tag; a call is told when its closing tag has come, because only then
it is known to be one. What looks like a call and is none comes out as text. However the same text
is cut into pieces, the same text and calls come out.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

OPEN = "<tool_call>"
CLOSE = "</tool_call>"


class Call(Struct, frozen=True):
    """A finished call; `arguments` is the JSON text of an object."""

    name: str
    arguments: str


class _Body(Struct):
    name: str
    arguments: Raw = Raw(b"{}")


class ToolCallParser:
    """One answer's text in, text and calls out. Memory: the call that is being read."""

    def __init__(self) -> None:
        self._held = ""  # a possible opening tag, or blanks after a call
        self._call: list[str] | None = None  # the pieces of the call that is being read
        self._tail = ""  # its last characters: a closing tag may be cut by pieces
        self._is_after_call = False  # blanks between calls belong to neither

    def feed(self, text: str) -> list[str | Call]:
        """What `text` completes, in order."""
        found: list[str | Call] = []
        while text:
            text = self._read(text, found) if self._call is None else self._collect(text, found)
        return found

    def finish(self) -> list[str | Call]:
        """What is left at the end of the answer: held text, or a call without its closing tag."""
        found: list[str | Call] = []
        if self._call is None:
            self._tell(self._held, found)
        else:
            self._close_call("".join(self._call), "", found)
        self._held = ""
        return found

    def _read(self, text: str, found: list[str | Call]) -> str:
        """Passes text on up to a tag, and returns what follows that tag."""
        text = self._held + text
        self._held = ""
        before, tag, after = text.partition(OPEN)
        if tag:
            self._tell(before, found)
            self._call, self._tail = [], ""
            return after
        ready = text[: len(text) - _tag_beginning(text, OPEN)]
        if self._is_after_call and not ready.strip():
            ready = ""
        self._held = text[len(ready) :]
        self._tell(ready, found)
        return ""

    def _collect(self, text: str, found: list[str | Call]) -> str:
        """Collects a call up to its closing tag, and returns what follows that tag."""
        pieces = self._call or []
        pieces.append(text)
        window = self._tail + text
        if CLOSE not in window:
            self._call = pieces
            self._tail = window[1 - len(CLOSE) :]
            return ""
        body, _, after = "".join(pieces).partition(CLOSE)
        self._close_call(body, CLOSE, found)
        return after

    def _close_call(self, body: str, closing: str, found: list[str | Call]) -> None:
        self._call = None
        if call := parse_call(body):
            self._is_after_call = True
            found.append(call)
        else:
            self._tell(OPEN + body + closing, found)

    def _tell(self, text: str, found: list[str | Call]) -> None:
        if self._is_after_call and not text.strip():
            return
        self._is_after_call = False
        if text:
            found.append(text)


def parse_call(body: str) -> Call | None:
    """The call that `body` spells; None if it is no JSON object with a name and arguments."""
    try:
        parsed = msgspec.json.decode(body, type=_Body)
        arguments = _object_text(bytes(parsed.arguments).decode())
    except (msgspec.DecodeError, RecursionError):
        return None
    return Call(parsed.name, arguments) if parsed.name and arguments else None


def _object_text(text: str) -> str:
    """`text` if it is a JSON object; some models write that into a string. Empty if it is none."""
    value: Any = msgspec.json.decode(text)
    if isinstance(value, str):
        text, value = value, msgspec.json.decode(value)
    return text if isinstance(value, dict) else ""


def _tag_beginning(text: str, tag: str) -> int:
    """How many characters at the end of `text` may begin `tag`."""
    for size in range(min(len(text), len(tag) - 1), 0, -1):
        if tag.startswith(text[-size:]):
            return size
    return 0
