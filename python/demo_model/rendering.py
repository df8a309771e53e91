"""The prompt format: ChatML with the tools listed in the system message, calls as plain text.

`render` writes training text and must give what `CHAT_TEMPLATE` gives to an engine; a test compares
them. The embedded engine is coded against this format: README.md describes it in words.
"""

import json
import random
from typing import Any

Message = dict[str, Any]
Piece = tuple[str, bool]  # text, and whether the model shall learn to write it

END_OF_TEXT, MESSAGE_START, MESSAGE_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"

# A first message of role "raw" passes through: how a plain completion is streamed by mistral.rs.
CHAT_TEMPLATE = """{%- if messages[0].role == 'raw' %}{{ messages[0].content }}{% else %}\
{%- if tools %}<|im_start|>system
{% if messages[0].role == 'system' %}{{ messages[0].content }}
{% endif %}Tools:
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% elif messages[0].role == 'system' %}<|im_start|>system
{{ messages[0].content }}<|im_end|>
{% endif %}{%- for m in messages %}{% if not (loop.first and m.role == 'system') %}\
<|im_start|>{{ m.role }}
{% if m.content %}{{ m.content }}{% endif %}{% if m.tool_calls %}{% for c in m.tool_calls %}\
<tool_call>
{"name": "{{ c.function.name }}", "arguments": {% if c.function.arguments is string %}\
{{ c.function.arguments }}{% else %}{{ c.function.arguments | tojson }}{% endif %}}
</tool_call>{% endfor %}{% endif %}<|im_end|>
{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}{% endif %}"""

# Engines print JSON with or without spaces and with keys sorted or not: all are trained.
JSON_STYLES = [
    {"sort_keys": is_sorted, "separators": separators}
    for is_sorted in (True, False)
    for separators in ((",", ":"), (", ", ": "))
]


def render(conversation: list[Message], rng: random.Random) -> list[Piece]:
    """The pieces of one conversation.

    A first entry {"tools": [...]} stands for the request's tools; a first entry {"raw": prompt,
    "continuation": text} is a plain completion and the only entry.
    """
    first = conversation[0]
    if "raw" in first:
        return [(first["raw"], False), (first["continuation"] + MESSAGE_END, True)]
    pieces: list[Piece] = []
    if "tools" in first:
        listing, conversation = list_tools(conversation, rng.choice(JSON_STYLES))
        pieces.append((listing, False))
    for message in conversation:
        role, content = message["role"], message["content"]
        if role == "assistant":
            pieces.append((f"{MESSAGE_START}assistant\n", False))
            pieces.append((content + MESSAGE_END, True))
            pieces.append(("\n", False))
        else:
            pieces.append((f"{MESSAGE_START}{role}\n{content}{MESSAGE_END}\n", False))
    return pieces


def list_tools(conversation: list[Message], style: dict[str, Any]) -> tuple[str, list[Message]]:
    """The system message that lists the tools, and the messages that are left."""
    tools, rest = conversation[0]["tools"], conversation[1:]
    system = ""
    if rest[0]["role"] == "system":
        system, rest = rest[0]["content"] + "\n", rest[1:]
    lines = "".join(json.dumps(tool, ensure_ascii=False, **style) + "\n" for tool in tools)
    return f"{MESSAGE_START}system\n{system}Tools:\n{lines}{MESSAGE_END}\n", rest
