"""The grammar of an answer that calls tools, out of the grammars of their arguments. Pure.

Calls are written as Hermes and Qwen write them, `<tool_call>` around a JSON object; the native side
reads them back out of the text. All text here is EBNF as the compiler writes it.
"""

import json
from collections.abc import Sequence

from msgspec import Struct

from tokenmill._native import rename_rules

CALLS_MAX = 8
"""Calls of one answer that must call: without an end a model at a high temperature goes on."""

OPEN_MARK = "<tool_call>"
_OPEN = OPEN_MARK + '\n{"name": "%s", "arguments": '
_CLOSE = "}\n</tool_call>"


class CallRule(Struct, frozen=True):
    """A tool and the grammar of its arguments."""

    name: str
    arguments: str


def calls_text(tools: Sequence[CallRule], calls_max: int, content: str | None = None) -> str:
    """The grammar of one to `calls_max` calls, or of `content` instead, where that is given."""
    rules = [f"root ::= calls1{'' if content is None else ' | content_root'}"]
    chain = [f'calls{at} ::= call | call "\\n" calls{at + 1}' for at in range(1, calls_max)]
    some_call = " | ".join(f"call{index}" for index in range(len(tools)))
    rules += [*chain, f"calls{calls_max} ::= call", f"call ::= {some_call}"]
    for index, tool in enumerate(tools):
        opening, closing = map(_literal, call_parts(tool.name))
        rules.append(f"call{index} ::= {opening} t{index}_root {closing}")
    parts = ["\n".join(rules) + "\n"]
    parts += [rename_rules(tool.arguments, f"t{index}_") for index, tool in enumerate(tools)]
    if content is not None:
        parts.append(rename_rules(content, "content_"))
    return "".join(parts)


def calls_tag(tools: Sequence[CallRule]) -> str:
    """xgrammar's structural tag for an answer in free text in which each call's arguments keep to
    their grammar."""
    tags = [
        {
            "type": "tag",
            "begin": call_parts(tool.name)[0],
            "content": {"type": "grammar", "grammar": tool.arguments},
            "end": _CLOSE,
        }
        for tool in tools
    ]
    tag = {"type": "triggered_tags", "triggers": [OPEN_MARK], "tags": tags}
    return json.dumps({"type": "structural_tag", "format": tag}, separators=(",", ":"))


def call_parts(name: str) -> tuple[str, str]:
    """What stands before and after the arguments of a call."""
    return _OPEN % name, _CLOSE


def _literal(text: str) -> str:
    return '"' + text.replace('"', '\\"').replace("\n", "\\n") + '"'
