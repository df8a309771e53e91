"""POST /chat/completions: the request, and the shape of its answers.

Answers are made by the engines and pass through as bytes; their Structs are for the OpenAPI
document and for tests.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from tokenmill.protocol.generation import FinishReason, GenerationRequest, ShortText, Usage
from tokenmill.protocol.messages import Message, TextPart, ToolCall
from tokenmill.protocol.structured import ResponseFormat
from tokenmill.protocol.tools import Tool, ToolChoice


class Prediction(Struct, tag_field="type", tag="content", forbid_unknown_fields=True):
    """Text that the answer probably repeats. It changes the speed only, so it is dropped."""

    content: str | list[TextPart]


class ChatRequest(GenerationRequest, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A chat completion request."""

    messages: Annotated[list[Message], Meta(min_length=1)]
    max_completion_tokens: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    response_format: ResponseFormat | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = (
        None
    )
    # Accepted and not passed on: they say nothing to an engine.
    metadata: Annotated[dict[ShortText, ShortText], Meta(max_length=16)] | None = None
    store: bool | None = None
    service_tier: Literal["auto", "default"] | None = None
    safety_identifier: ShortText | None = None
    prompt_cache_key: ShortText | None = None
    prompt_cache_retention: ShortText | None = None
    prediction: Prediction | None = None
    modalities: list[Literal["text"]] | None = None
    verbosity: Literal["medium"] | None = None
    # Refused by name.
    audio: None = None
    web_search_options: None = None
    functions: None = None
    function_call: None = None
    chat_template: None = None
    chat_template_kwargs: None = None
    documents: None = None
    add_generation_prompt: None = None
    continue_final_message: None = None
    echo: None = None
    suffix: None = None


class AnswerMessage(Struct, omit_defaults=True, kw_only=True):
    """What the model says."""

    role: Literal["assistant"]
    content: str | None
    refusal: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCall] | None = None


class TopLogprob(Struct, kw_only=True):
    """A token that could have stood at this place."""

    token: str
    logprob: float
    bytes: list[int] | None


class TokenLogprob(Struct, kw_only=True):
    """A token of the answer, and the likeliest ones at its place."""

    token: str
    logprob: float
    bytes: list[int] | None
    top_logprobs: list[TopLogprob]


class ChoiceLogprobs(Struct, kw_only=True):
    """Log probabilities of a choice's tokens."""

    content: list[TokenLogprob] | None


class ChatChoice(Struct, omit_defaults=True, kw_only=True):
    """One of the `n` answers."""

    index: int
    message: AnswerMessage
    finish_reason: FinishReason
    logprobs: ChoiceLogprobs | None = None


class ChatCompletion(Struct, omit_defaults=True, kw_only=True):
    """The whole answer."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage


class FunctionCallDelta(Struct, omit_defaults=True, kw_only=True):
    """A fragment of a function call."""

    name: str | None = None
    arguments: str | None = None


class ToolCallDelta(Struct, omit_defaults=True, kw_only=True):
    """A fragment of a tool call; the first one carries id, type and name."""

    index: int
    id: str | None = None
    type: Literal["function"] | None = None
    function: FunctionCallDelta | None = None


class Delta(Struct, omit_defaults=True, kw_only=True):
    """What a chunk adds to a choice."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCallDelta] | None = None


class ChunkChoice(Struct, omit_defaults=True, kw_only=True):
    """A choice's share of a chunk."""

    index: int
    delta: Delta
    finish_reason: FinishReason | None
    logprobs: ChoiceLogprobs | None = None


class ChatCompletionChunk(Struct, omit_defaults=True, kw_only=True):
    """One `data:` event of a stream. `[DONE]` follows the last one, an error never does."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None
