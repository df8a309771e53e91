"""From a client's request to the engine's: defaults of the route, fields dropped or translated.

Pure. What is not dropped here is encoded as it was decoded. Defaults by kind of route are the
published ones: a factory route gives 1 to 4,096 tokens (1,024 unless asked otherwise) at
temperature 0.7, a dedicated one the model's maximum at 1.0.
"""

import msgspec
from msgspec import UNSET, Struct

from tokenmill.errors import InvalidRequest
from tokenmill.protocol.chat import ChatRequest
from tokenmill.protocol.completions import CompletionRequest
from tokenmill.protocol.embeddings import EmbeddingRequest
from tokenmill.protocol.generation import ENGINE_STREAM_OPTIONS, GenerationRequest
from tokenmill.protocol.messages import (
    AssistantMessage,
    DeveloperMessage,
    Message,
    RefusalPart,
    SystemMessage,
    TextPart,
    is_sent,
)
from tokenmill.protocol.structured import TextFormat
from tokenmill.protocol.tools import AllowedToolsChoice

_ENCODE = msgspec.json.Encoder().encode

FACTORY_TOKENS_MAX = 4_096
FACTORY_TOKENS_DEFAULT = 1_024
_TOP_P_MIN = 1e-6
"""In place of 0, which is a published value that engines refuse: the likeliest token alone."""


class RouteTerms(Struct, frozen=True, kw_only=True):
    """What a route says about the requests it takes."""

    engine_model: str
    is_factory: bool
    context_tokens_max: int = 0  # 0: unknown

    @property
    def temperature(self) -> float:
        """The temperature of a request that names none."""
        return 0.7 if self.is_factory else 1.0


def shape_chat(request: ChatRequest, terms: RouteTerms) -> bytes:
    """The engine's chat request. `request` is used up.

    Raises: InvalidRequest for `max_tokens` out of the route's range.
    """
    newer = request.max_completion_tokens
    if newer is not None:
        request.max_tokens = newer
    _apply_limit(request, terms, "max_tokens" if newer is None else "max_completion_tokens")
    _apply_defaults(request, terms)
    _drop_unsent(request)
    request.messages = [_engine_message(each) for each in request.messages]
    if isinstance(request.response_format, TextFormat):
        request.response_format = None
    if not request.logprobs:
        request.top_logprobs = None
    shape_tools(request)
    return _ENCODE(request)


def _drop_unsent(request: ChatRequest) -> None:
    """Takes out what says nothing to an engine. Written out: it runs for every request."""
    request.max_completion_tokens = request.user = request.metadata = request.store = None
    request.service_tier = request.safety_identifier = None
    request.prompt_cache_key = request.prompt_cache_retention = None
    request.prediction = request.modalities = request.verbosity = None


def shape_completion(request: CompletionRequest, terms: RouteTerms) -> bytes:
    """The engine's text completion request. `request` is used up.

    Raises: InvalidRequest for `max_tokens` out of the route's range.
    """
    _apply_limit(request, terms, "max_tokens")
    if request.max_tokens is None and terms.context_tokens_max:
        # Unlike for chats, an engine's own default is 16 here; it cuts this down to what fits.
        request.max_tokens = terms.context_tokens_max
    _apply_defaults(request, terms)
    request.user = request.metadata = request.best_of = None
    return _ENCODE(request)


def shape_embedding(request: EmbeddingRequest, terms: RouteTerms) -> bytes:
    """The engine's embeddings request. `request` is used up."""
    request.model = terms.engine_model
    request.user = None
    return _ENCODE(request)


def _apply_limit(request: GenerationRequest, terms: RouteTerms, param: str) -> None:
    asked, context = request.max_tokens, terms.context_tokens_max
    limit = FACTORY_TOKENS_MAX if terms.is_factory else context
    if asked is not None and limit and asked > limit:
        message = f"`{param}` is {asked}. It must be an integer between 1 and {limit}."
        raise InvalidRequest(message, param=param)
    if terms.is_factory:
        asked = FACTORY_TOKENS_DEFAULT if asked is None else asked
        # The published range holds whatever the model: a smaller context just ends the answer.
        request.max_tokens = min(asked, context) if context else asked
    if request.min_tokens and request.max_tokens and request.min_tokens > request.max_tokens:
        message = f"`min_tokens` may be at most `max_tokens`, which is {request.max_tokens}."
        raise InvalidRequest(message, param="min_tokens")


def _apply_defaults(request: GenerationRequest, terms: RouteTerms) -> None:
    request.model = terms.engine_model
    if request.temperature is None:
        request.temperature = terms.temperature
    request.top_p = 1.0 if request.top_p is None else max(request.top_p, _TOP_P_MIN)
    request.stream_options = ENGINE_STREAM_OPTIONS if request.stream else None
    if not request.stop:
        request.stop = None
    wanted = request.structured_outputs
    if wanted is not None and not is_sent(wanted.json):
        wanted.json = UNSET


def _engine_message(message: Message) -> Message:
    if isinstance(message, DeveloperMessage):
        return SystemMessage(content=message.content, name=message.name)
    if isinstance(message, AssistantMessage):
        _shape_assistant(message)
    return message


def _shape_assistant(message: AssistantMessage) -> None:
    """Leaves what an engine's template reads: text, calls, reasoning."""
    if isinstance(message.content, list):
        message.content = [
            TextPart(each.refusal) if isinstance(each, RefusalPart) else each
            for each in message.content
        ]
    if message.content in (None, []) and message.refusal is not None:
        message.content = message.refusal
    message.refusal = None
    message.annotations = UNSET
    if message.reasoning is None:
        message.reasoning = message.reasoning_content
    message.reasoning_content = None
    if not message.tool_calls:
        message.tool_calls = None
    for call in message.tool_calls or ():
        call.index = None
        call.function.arguments = call.function.arguments or "{}"


def shape_tools(request: ChatRequest) -> None:
    """Drops what is empty, and turns `allowed_tools` into the subset that it names."""
    if not request.tools:
        request.tools = request.tool_choice = request.parallel_tool_calls = None
        return
    for tool in request.tools:
        if not is_sent(tool.function.parameters):
            tool.function.parameters = UNSET
    choice = request.tool_choice
    if isinstance(choice, AllowedToolsChoice):
        names = {each.function.name for each in choice.allowed_tools.tools}
        request.tools = [each for each in request.tools if each.function.name in names]
        request.tool_choice = choice.allowed_tools.mode
    elif choice is None:
        request.tool_choice = "auto"
