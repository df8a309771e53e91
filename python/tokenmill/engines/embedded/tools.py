"""Tools: told to the model, forced by a grammar, and written back as it was taught. Pure.

mistral.rs is not told of tools: in a stream it leaks their tags as text, and it cannot force a
call. A template that knows tools renders them itself; for the others they stand in the system
message in the widespread `<tools>` form. Calls are `<tool_call>` JSON, see `tool_parser.py`.
"""

import json
from typing import Any

from tokenmill.engines.embedded.errors import BadRequest, unsupported
from tokenmill.engines.embedded.grammar import NO_ARGUMENTS, START, Grammar, json_grammar, literal
from tokenmill.engines.embedded.prompts import PromptTemplate
from tokenmill.engines.embedded.requests import (
    ChatMessage,
    ChatRequest,
    ContentPart,
    EarlierCall,
    NamedChoice,
    Tool,
)
from tokenmill.engines.embedded.tool_parser import CLOSE, OPEN

CALLS_MAX = 8  # calls in one answer that is forced to call
INSTRUCTIONS = """You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{listing}
</tools>

For each function call, return a json object with function name and arguments within \
<tool_call></tool_call> XML tags:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call>"""


def offered_tools(request: ChatRequest) -> list[Tool]:
    """The tools that the model is told of. Raises: BadRequest.

    With `tool_choice: "none"` it is told of none, unless a grammar speaks: that may be one of calls
    which whoever asks reads out of the text.
    """
    choice = request.tool_choice
    if not request.tools:
        if choice not in (None, "none", "auto"):
            raise BadRequest("`tool_choice` needs `tools`", param="tool_choice")
        return []
    names = [tool.function.name for tool in request.tools]
    if len(set(names)) != len(names):
        raise BadRequest("two tools have the same name", param="tools")
    if isinstance(choice, NamedChoice) and choice.function.name not in names:
        raise BadRequest(
            f"`tool_choice` names `{choice.function.name}`, which is not among the tools",
            param="tool_choice",
        )
    has_grammar = request.structured_outputs is not None and request.structured_outputs.grammar
    return [] if choice == "none" and not has_grammar else request.tools


def answer_grammar(
    request: ChatRequest, tools: list[Tool], wanted: Grammar | None
) -> Grammar | None:
    """The grammar of the whole answer: forced calls, the `wanted` format, or either of them.

    Raises: BadRequest for a forced call together with a format.
    """
    choice = request.tool_choice
    if not tools or choice == "none":
        return wanted
    if choice in (None, "auto"):
        return None if wanted is None else _calls_or(tools, wanted)
    if wanted is not None:
        raise BadRequest(
            "`tool_choice` forces a call, so the answer cannot have a format as well",
            param="tool_choice",
        )
    if isinstance(choice, NamedChoice):
        tools = [tool for tool in tools if tool.function.name == choice.function.name]
        return Grammar("lark", f"start: calls\n{_calls(tools, 1)}")
    calls_max = 1 if request.parallel_tool_calls is False else CALLS_MAX
    return Grammar("lark", f"start: calls\n{_calls(tools, calls_max)}")


def _calls_or(tools: list[Tool], wanted: Grammar) -> Grammar:
    """Calls, or an answer as `wanted`: what `auto` means when the answer has a format."""
    if wanted.type == "regex":
        raise unsupported("structured_outputs.regex", 'with tools it needs `tool_choice: "none"`.')
    answer = (
        f"%json {wanted.text}" if wanted.type == "json_schema" else wanted.text.removeprefix(START)
    )
    return Grammar("lark", f"{START}calls | answer\nanswer: {answer}\n{_calls(tools, CALLS_MAX)}")


def _calls(tools: list[Tool], calls_max: int) -> str:
    """The rule `calls` and those below it."""
    more = f' ("\\n" call){{0,{calls_max - 1}}}' if calls_max > 1 else ""
    lines = [f"calls: call{more}"]
    lines.append("call: " + " | ".join(f"call_{index}" for index in range(len(tools))))
    for index, tool in enumerate(tools):
        name = json.dumps(tool.function.name)
        opening = literal(f'{OPEN}\n{{"name": {name}, "arguments": ')
        closing = literal(f"}}\n{CLOSE}")
        schema = json_grammar(tool.function.parameters or NO_ARGUMENTS)
        lines.append(f"call_{index}: {opening} arguments_{index} {closing}")
        lines.append(f"arguments_{index}: %json {schema}")
    return "\n".join(lines)


def render_chat(
    template: PromptTemplate,
    messages: list[ChatMessage],
    tools: list[Tool],
    *,
    add_generation_prompt: bool = True,
) -> str:
    """The prompt of a conversation. Raises: BadRequest, for content that is not text too."""
    plain = [_plain(message, index, template) for index, message in enumerate(messages)]
    listing = [_signature(tool) for tool in tools] or None
    if listing and not template.knows_tools:
        plain = _with_instructions(plain, listing)
        listing = None
    return template.render(plain, tools=listing, add_generation_prompt=add_generation_prompt)


def _plain(message: ChatMessage, index: int, template: PromptTemplate) -> dict[str, Any]:
    """A message as templates read it."""
    role: str = message.role
    if role == "developer" and not template.knows_developer:
        role = "system"
    plain: dict[str, Any] = {"role": role, "content": _text(message, index)}
    if message.name:
        plain["name"] = message.name
    if message.tool_call_id:
        plain["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        calls = [_earlier(call, index) for call in message.tool_calls]
        if template.knows_calls:
            plain["tool_calls"] = calls
        else:
            plain["content"] += "\n".join(_written(call["function"]) for call in calls)
    return plain


def _text(message: ChatMessage, index: int) -> str:
    if message.content is None:
        return message.refusal or ""
    if isinstance(message.content, str):
        return message.content
    return "\n".join(
        _part_text(part, f"messages[{index}].content[{at}].type")
        for at, part in enumerate(message.content)
    )


def _part_text(part: ContentPart, param: str) -> str:
    if part.type in ("text", "input_text", "output_text"):
        return part.text
    if part.type == "refusal":
        return part.refusal
    raise BadRequest(f"`{param}`: this model reads only text, not `{part.type}`", param=param)


def _earlier(call: EarlierCall, index: int) -> dict[str, Any]:
    try:
        arguments = json.loads(call.function.arguments or "{}")
    except (ValueError, RecursionError):
        raise BadRequest(
            "the arguments of an earlier tool call are not JSON",
            param=f"messages[{index}].tool_calls",
        ) from None
    function = {"name": call.function.name, "arguments": arguments}
    return {"id": call.id, "type": "function", "function": function}


def _written(function: dict[str, Any]) -> str:
    return f"{OPEN}\n{json.dumps(function, ensure_ascii=False)}\n{CLOSE}"


def _signature(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.function.name}
    if tool.function.description is not None:
        function["description"] = tool.function.description
    function["parameters"] = tool.function.parameters or NO_ARGUMENTS
    return {"type": "function", "function": function}


def _with_instructions(
    messages: list[dict[str, Any]], listing: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    text = INSTRUCTIONS.format(listing="\n".join(json.dumps(tool) for tool in listing))
    if messages and messages[0]["role"] == "system":
        first = messages[0] | {"content": f"{messages[0]['content']}\n\n{text}"}
        return [first, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]
