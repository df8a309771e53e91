"""Rules of a request that types cannot say: fields that depend on each other or on the settings.

Pure: each function raises InvalidRequest or returns. The endpoints call `check_chat`,
`check_completion` or `check_embedding` once, after decoding; what is inside of schemas is looked at
by `schemas.py`, away from the event loop.
"""

import re

from tokenmill._native import client_grammar, is_costly_pattern
from tokenmill.errors import InvalidRequest
from tokenmill.protocol.chat import ChatRequest
from tokenmill.protocol.completions import CompletionRequest
from tokenmill.protocol.embeddings import EmbeddingRequest
from tokenmill.protocol.generation import GenerationRequest
from tokenmill.protocol.messages import (
    AssistantMessage,
    ToolCall,
    ToolMessage,
    is_sent,
)
from tokenmill.protocol.schemas import check_arguments
from tokenmill.protocol.structured import JsonSchemaFormat, StructuredOutputs
from tokenmill.protocol.tools import AllowedToolsChoice, NamedToolChoice
from tokenmill.settings import BodyBounds

_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_TOKEN_KEY = re.compile(r"[0-9]{1,10}")
_TOOLS_BYTES_FACTOR = 8
"""All tools of a request together may hold this many times `schema_bytes_max`."""


def wrong(param: str, message: str) -> InvalidRequest:
    """The 400 that names `param`."""
    return InvalidRequest(f"`{param}` {message}", param=param)


def check_chat(request: ChatRequest, bounds: BodyBounds) -> None:
    """Raises: InvalidRequest for the first rule that `request` breaks."""
    _check_generation(request, bounds)
    if len(request.messages) > bounds.messages_max:
        raise wrong("messages", f"may hold at most {bounds.messages_max} messages.")
    call_ids: set[str] = set()
    for index, message in enumerate(request.messages):
        if message.__class__ is AssistantMessage or isinstance(message, AssistantMessage):
            _check_assistant(message, f"messages[{index}]", bounds)
            if message.tool_calls:
                call_ids = _ids_of(message.tool_calls, f"messages[{index}]")
        elif message.content == []:
            raise wrong(f"messages[{index}].content", "must not be an empty array.")
        elif isinstance(message, ToolMessage) and message.tool_call_id not in call_ids:
            path = f"messages[{index}].tool_call_id"
            raise wrong(path, "is not the id of one of the latest `tool_calls` before it.")
    if request.top_logprobs and not request.logprobs:
        raise wrong("top_logprobs", "needs `logprobs` to be true.")
    limit, newer = request.max_tokens, request.max_completion_tokens
    if limit is not None and newer is not None and limit != newer:
        raise wrong("max_tokens", "contradicts `max_completion_tokens`; send one of them.")
    if request.store:
        raise wrong("store", "is not supported: answers are not kept. Send false, or leave it out.")
    if request.response_format is not None:
        _check_response_format(request)
    if request.tools is not None or request.tool_choice is not None:
        _check_tools(request, bounds)


def check_completion(request: CompletionRequest, bounds: BodyBounds) -> None:
    """Raises: InvalidRequest for the first rule that `request` breaks."""
    _check_generation(request, bounds)
    prompt_count = check_texts(request.prompt, "prompt")
    choices = request.n or 1
    if prompt_count * choices > bounds.choices_max:
        raise wrong("prompt", f"times `n` may ask for at most {bounds.choices_max} completions.")
    if request.best_of is not None and request.best_of != choices:
        raise wrong("best_of", "must equal `n`: every completion that is made is returned.")
    if request.echo and request.logprobs is not None:
        raise wrong("echo", "cannot be combined with `logprobs`: that can crash a shared engine.")


def check_embedding(request: EmbeddingRequest, bounds: BodyBounds) -> None:
    """Raises: InvalidRequest for the first rule that `request` breaks."""
    count = check_texts(request.input, "input")
    if count > bounds.embedding_inputs_max:
        raise wrong("input", f"may hold at most {bounds.embedding_inputs_max} inputs.")
    tokens_max = bounds.embedding_tokens_max
    if not isinstance(request.input, list):
        return
    if isinstance(request.input[0], int) and len(request.input) > tokens_max:
        raise _too_many_tokens("input", len(request.input), tokens_max)
    for index, each in enumerate(request.input):
        if isinstance(each, list) and len(each) > tokens_max:
            raise _too_many_tokens(f"input[{index}]", len(each), tokens_max)


def check_texts(value: str | list[str | int | list[int]], param: str) -> int:
    """How many texts `value` holds: one text, texts, token ids, or lists of token ids.

    Raises: InvalidRequest, for an empty text and for a list of more than one kind.
    """
    if isinstance(value, str):
        if not value:
            raise wrong(param, "must not be empty.")
        return 1
    kind = type(value[0])
    for index, each in enumerate(value):
        if type(each) is not kind:
            raise wrong(f"{param}[{index}]", "is of another kind than the items before it.")
        if kind is not int and not each:
            raise wrong(f"{param}[{index}]", "must not be empty.")
    return 1 if kind is int else len(value)


def _too_many_tokens(param: str, count: int, tokens_max: int) -> InvalidRequest:
    message = f"`{param}` has {count} tokens; at most {tokens_max} are allowed."
    return InvalidRequest(message, param=param, code="context_length_exceeded")


def _check_generation(request: GenerationRequest, bounds: BodyBounds) -> None:
    if request.n is not None and request.n > bounds.choices_max:
        raise wrong(
            "n", f"is {request.n}. It must be an integer between 1 and {bounds.choices_max}."
        )
    if request.stop is not None:
        _check_words(request.stop, "stop", bounds)
    if request.bad_words is not None:
        _check_words(request.bad_words, "bad_words", bounds)
    if request.logit_bias is not None:
        _check_logit_bias(request.logit_bias, bounds)
    options = request.stream_options
    if options is not None:
        if not request.stream:
            raise wrong("stream_options", "is allowed only where `stream` is true.")
        if options.include_obfuscation:
            raise wrong("stream_options.include_obfuscation", "is not supported; leave it out.")
    if request.structured_outputs is not None:
        _check_structured_outputs(request.structured_outputs, bounds)


def _check_words(words: str | list[str], param: str, bounds: BodyBounds) -> None:
    many = [words] if isinstance(words, str) else words
    for index, word in enumerate(many):
        path = param if isinstance(words, str) else f"{param}[{index}]"
        if not word:
            raise wrong(path, "must not be empty.")
        if len(word.encode()) > bounds.stop_bytes_max:
            raise wrong(path, f"may hold at most {bounds.stop_bytes_max} bytes.")


def _check_logit_bias(bias: dict[str, float], bounds: BodyBounds) -> None:
    if len(bias) > bounds.logit_bias_max:
        raise wrong("logit_bias", f"may hold at most {bounds.logit_bias_max} tokens.")
    for key in bias:
        if not _TOKEN_KEY.fullmatch(key):
            raise wrong("logit_bias", "must have token ids as its keys, as decimal strings.")


def _check_assistant(message: AssistantMessage, path: str, bounds: BodyBounds) -> None:
    calls = message.tool_calls
    if not calls and message.content in (None, []) and message.refusal is None:
        raise wrong(f"{path}.content", "is required unless there are `tool_calls`.")
    for index, call in enumerate(calls or ()):
        _check_call(call, f"{path}.tool_calls[{index}].function", bounds)


def _ids_of(calls: list[ToolCall], path: str) -> set[str]:
    ids = {call.id for call in calls}
    if len(ids) != len(calls):
        raise wrong(f"{path}.tool_calls", "must have different ids.")
    return ids


def _check_call(call: ToolCall, path: str, bounds: BodyBounds) -> None:
    if not call.function.name:
        raise wrong(f"{path}.name", "must not be empty.")
    check_arguments(call.function.arguments, f"{path}.arguments", bounds)


def _check_response_format(request: ChatRequest) -> None:
    wanted = request.response_format
    if request.structured_outputs is not None:
        raise wrong("structured_outputs", "cannot be combined with `response_format`.")
    if isinstance(wanted, JsonSchemaFormat):
        _check_name(wanted.json_schema.name, "response_format.json_schema.name")


def _check_structured_outputs(wanted: StructuredOutputs, bounds: BodyBounds) -> None:
    if wanted.structural_tag is not None:
        raise wrong("structured_outputs.structural_tag", "is not supported. Send a schema.")
    kinds = [wanted.regex is not None, wanted.choice is not None, wanted.grammar is not None]
    if sum(kinds) + bool(wanted.json_object) + is_sent(wanted.json) != 1:
        raise wrong(
            "structured_outputs",
            "must hold exactly one of `json`, `regex`, `choice`, `grammar`, `json_object`.",
        )
    if wanted.regex is not None and len(wanted.regex.encode()) > bounds.regex_bytes_max:
        raise wrong("structured_outputs.regex", f"may hold at most {bounds.regex_bytes_max} bytes.")
    if wanted.regex is not None and is_costly_pattern(wanted.regex):
        raise wrong("structured_outputs.regex", "has too many repetitions.")
    if wanted.choice is not None:
        _check_choices(wanted.choice, bounds)
    if wanted.grammar is not None:
        made = client_grammar(wanted.grammar)
        if not isinstance(made, str):
            raise wrong("structured_outputs.grammar", f"is not given to an engine: {made.reason}.")
        wanted.grammar = made  # what was read, not what was sent


def _check_choices(choices: list[str], bounds: BodyBounds) -> None:
    path = "structured_outputs.choice"
    if len(choices) > bounds.enum_values_max:
        raise wrong(path, f"may hold at most {bounds.enum_values_max} choices.")
    if sum(len(each.encode()) for each in choices) > bounds.schema_bytes_max:
        raise wrong(path, f"may hold at most {bounds.schema_bytes_max} bytes together.")


def _check_name(name: str, path: str) -> None:
    if not _NAME.fullmatch(name):
        raise wrong(path, "may hold letters, digits, `_` and `-` only.")


def _check_tools(request: ChatRequest, bounds: BodyBounds) -> None:
    tools = request.tools or []
    if len(tools) > bounds.tools_max:
        raise wrong("tools", f"may hold at most {bounds.tools_max} tools.")
    schemas = (each.function.parameters for each in tools)
    schemas_bytes = sum(len(each) for each in schemas if is_sent(each))
    if schemas_bytes > bounds.schema_bytes_max * _TOOLS_BYTES_FACTOR:
        raise wrong("tools", "hold too much together; send fewer or smaller ones.")
    names = set()
    for index, tool in enumerate(tools):
        _check_name(tool.function.name, f"tools[{index}].function.name")
        if tool.function.name in names:
            raise wrong(f"tools[{index}].function.name", "is the name of an earlier tool.")
        names.add(tool.function.name)
    _check_tool_choice(request, names)


def _check_tool_choice(request: ChatRequest, names: set[str]) -> None:
    choice = request.tool_choice
    if choice is None or choice in ("none", "auto"):
        return
    if not names:
        raise wrong("tool_choice", "needs `tools` to choose from.")
    if isinstance(choice, NamedToolChoice) and choice.function.name not in names:
        raise wrong("tool_choice.function.name", "is not the name of one of `tools`.")
    if isinstance(choice, AllowedToolsChoice):
        for index, each in enumerate(choice.allowed_tools.tools):
            if each.function.name not in names:
                path = f"tool_choice.allowed_tools.tools[{index}].function.name"
                raise wrong(path, "is not the name of one of `tools`.")
