"""Which tools an answer may or must call, and who reads the calls out of it.

A call that is demanded is forced by our grammar and read here; where the model decides, the
engine's own parser reads, if it has one, else ours.
"""

from collections.abc import Sequence
from functools import lru_cache

import msgspec
from msgspec import Raw

from tokenmill.errors import InvalidRequest
from tokenmill.inference.call_grammar import CALLS_MAX, CallRule, calls_tag, calls_text
from tokenmill.inference.grammars import NoGrammar
from tokenmill.inference.lark import calls_lark
from tokenmill.inference.structure import ANY_OBJECT, Structurer, unsupported
from tokenmill.protocol.chat import ChatRequest
from tokenmill.protocol.messages import is_sent
from tokenmill.protocol.shaping import shape_tools
from tokenmill.protocol.structured import StructuredOutputs
from tokenmill.protocol.tools import NamedToolChoice, Tool

Calls = tuple[list[str], int]
"""Tools whose calls are read out of an answer's text, and how many of a choice are kept."""

_NO_ARGUMENTS = b'{"type":"object","properties":{},"additionalProperties":false}'
_TEXT_SHARE = 4
"""The grammar of all tools together may be this part of the largest one of a schema: it is put
together on the event loop."""

_calls_text = lru_cache(maxsize=64)(calls_text)
_calls_tag = lru_cache(maxsize=64)(calls_tag)
_calls_lark = lru_cache(maxsize=64)(calls_lark)


async def structure_chat(
    structurer: Structurer, request: ChatRequest, *, engine_parses: bool
) -> Calls | None:
    """Gives a chat its grammar; the calls that we are to read, if any.

    `engine_parses`: whether the engine reads calls itself where the model decides.
    Raises: InvalidRequest with code `unsupported_schema`, RateLimited, ServiceUnavailable.
    """
    shape_tools(request)
    if request.tool_choice == "none":
        # A model that is not told of tools calls none; engines differ in what they tell.
        request.tools = request.tool_choice = request.parallel_tool_calls = None
    if not request.tools or not structurer.takes_grammars:
        await structurer.enforce_content(request)
        return None
    calls_max = 1 if request.parallel_tool_calls is False else CALLS_MAX
    forced = _forced(request)
    if forced is not None:
        calls_max = 1 if isinstance(request.tool_choice, NamedToolChoice) else calls_max
        rules = await _rules(structurer, forced)
        structurer.set_grammar(request, _calls_text(rules, calls_max), "tools")
        return _read_here(request, [each.name for each in rules], calls_max)
    wanted = await structurer.content(request)
    if wanted is not None:
        rules = await _rules(structurer, request.tools)
        structurer.set_grammar(request, _calls_text(rules, calls_max, wanted), "tools")
        is_ours = True
    elif request.structured_outputs is not None:
        is_ours = False
    else:
        is_ours = await _keep_strict(structurer, request, engine_parses=engine_parses)
    if not is_ours:
        return None
    return _read_here(request, [each.function.name for each in request.tools], calls_max)


async def _keep_strict(
    structurer: Structurer, request: ChatRequest, *, engine_parses: bool
) -> bool:
    """Whether we read the calls of an answer in free text; those of strict tools are enforced."""
    tools = request.tools or []
    if structurer.kind == "embedded":  # whose models write the form that is enforced
        text = _calls_lark(await _rules(structurer, tools))
        request.structured_outputs = StructuredOutputs(grammar=text)
        return True
    if engine_parses:  # and enforces strict tools in the format that its model knows
        return False
    if any(each.function.strict for each in tools):
        tag = _calls_tag(await _rules(structurer, tools))
        request.structured_outputs = StructuredOutputs(structural_tag=tag)
    if request.skip_special_tokens is None:
        request.skip_special_tokens = False  # the marks of calls may be such tokens
    return True


def _read_here(request: ChatRequest, names: list[str], calls_max: int) -> Calls:
    """Keeps the engine from reading calls itself; its template still tells the tools."""
    request.tool_choice = "none"
    request.parallel_tool_calls = None
    return names, calls_max


def _forced(request: ChatRequest) -> list[Tool] | None:
    """The tools of which one must be called; None where the model decides."""
    choice, tools = request.tool_choice, request.tools or []
    if isinstance(choice, NamedToolChoice):
        return [each for each in tools if each.function.name == choice.function.name]
    return tools if choice == "required" else None


async def _rules(structurer: Structurer, tools: Sequence[Tool]) -> tuple[CallRule, ...]:
    """Each tool with the grammar of its arguments: exactly, or any object where it need not be."""
    rules = []
    for index, tool in enumerate(tools):
        function = tool.function
        path = f"tools[{index}].function.parameters"
        given = function.parameters
        schema = _object_schema(bytes(given), path) if is_sent(given) else _NO_ARGUMENTS
        # Strict or not: a function that is called with what it does not declare fails.
        closed = structurer.settings.strict_closes_objects
        made = await structurer.find(schema, closed=closed)
        if isinstance(made, NoGrammar):
            if function.strict:
                raise unsupported(made, path)
            structurer.tell(made)
            made = await structurer.find(ANY_OBJECT)
        if isinstance(made, NoGrammar):
            raise unsupported(made, path)
        rules.append(CallRule(function.name, made))
    if (
        sum(len(each.arguments) for each in rules) * _TEXT_SHARE
        > structurer.settings.text_bytes_max
    ):
        message = "`tools` make too large a grammar together; send fewer or simpler ones."
        raise InvalidRequest(message, param="tools", code="unsupported_schema")
    return tuple(rules)


def _object_schema(schema: bytes, path: str) -> bytes:
    """The schema of arguments, which are an object even where it does not say so."""
    members = msgspec.json.decode(schema, type=dict[str, Raw])
    kinds = msgspec.json.decode(members.get("type", Raw(b'"object"')), type=str | list[str])
    if kinds == "object" and "type" in members:
        return schema
    if "object" not in ([kinds] if isinstance(kinds, str) else kinds):
        message = f"`{path}.type` must be 'object': arguments are one."
        raise InvalidRequest(message, param=f"{path}.type", code="unsupported_schema")
    return msgspec.json.encode({**members, "type": Raw(b'"object"')})
