"""The bodies that the engine sends: vLLM's shapes of chats, completions and their chunks.

Fields that vLLM always sends as null and no client reads are left out. `UNSET` fields are absent:
`usage` stands in a chunk only when the client asked for it.
"""

from typing import Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

ENCODER = msgspec.json.Encoder()
DONE = b"data: [DONE]\n\n"


class Usage(Struct):
    """Token counts; in a chunk those of its choice."""

    prompt_tokens: int
    total_tokens: int
    completion_tokens: int


def usage_of(prompt_tokens: int, completion_tokens: int) -> Usage:
    """The counts with their sum."""
    return Usage(prompt_tokens, prompt_tokens + completion_tokens, completion_tokens)


class LikelyToken(Struct):
    """A token with the logarithm of its probability."""

    token: str
    logprob: float
    bytes: list[int]


class ChosenToken(LikelyToken):
    """A generated token, and the most likely ones in its place."""

    top_logprobs: list[LikelyToken]


class ChatLogprobs(Struct):
    """Of a chat choice."""

    content: list[ChosenToken]


class CompletionLogprobs(Struct):
    """Of a completion choice: parallel lists."""

    text_offset: list[int]
    token_logprobs: list[float]
    tokens: list[str]
    top_logprobs: list[dict[str, float]]


class FunctionText(Struct):
    """The function of a call."""

    name: str
    arguments: str


class ToolCall(Struct, kw_only=True):
    """A call; `index` only in chunks."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionText
    index: int | UnsetType = UNSET


class Message(Struct):
    """The answer of a chat choice."""

    role: Literal["assistant"]
    content: str | None
    refusal: None = None
    tool_calls: list[ToolCall] | UnsetType = UNSET


class ChatChoice(Struct):
    """One answer."""

    index: int
    message: Message
    logprobs: ChatLogprobs | None
    finish_reason: str
    stop_reason: str | None


class ChatAnswer(Struct, kw_only=True):
    """A chat that was not streamed."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    system_fingerprint: str
    usage: Usage


class Delta(Struct, omit_defaults=True):
    """What a chunk adds."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType = UNSET
    tool_calls: list[ToolCall] | UnsetType = UNSET


class ChunkChoice(Struct):
    """The choice of a chunk."""

    index: int
    delta: Delta
    logprobs: ChatLogprobs | None = None
    finish_reason: str | None = None
    stop_reason: str | UnsetType | None = UNSET


class ChatChunk(Struct, kw_only=True):
    """One event of a streamed chat."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    system_fingerprint: str
    usage: Usage | UnsetType = UNSET


class CompletionChoice(Struct):
    """One completed text, or a piece of it in a chunk."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None = None
    finish_reason: str | None = None
    stop_reason: str | None = None


class CompletionAnswer(Struct, kw_only=True):
    """A completion, or one event of a streamed one."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    system_fingerprint: str
    usage: Usage | UnsetType = UNSET


def event(body: Struct) -> bytes:
    """One server-sent event."""
    return b"data: " + ENCODER.encode(body) + b"\n\n"
