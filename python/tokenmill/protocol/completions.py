"""POST /completions: the request, and the shape of its answers (for the OpenAPI document)."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from tokenmill.protocol.generation import (
    FinishReason,
    GenerationRequest,
    ShortText,
    TokenId,
    Usage,
)


class CompletionRequest(
    GenerationRequest, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A text completion request. `prompt`: a text, texts, token ids, or lists of token ids."""

    prompt: str | Annotated[list[str | TokenId | list[TokenId]], Meta(min_length=1)]
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    echo: bool | None = None
    best_of: Annotated[int, Meta(ge=1, le=128)] | None = None  # must equal `n`; not passed on
    metadata: Annotated[dict[ShortText, ShortText], Meta(max_length=16)] | None = None
    suffix: None = None


class CompletionLogprobs(Struct, kw_only=True):
    """Log probabilities, one entry a token."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None] | None
    text_offset: list[int]


class CompletionChoice(Struct, omit_defaults=True, kw_only=True):
    """One completion, or in a stream a piece of it."""

    index: int
    text: str
    finish_reason: FinishReason | None
    logprobs: CompletionLogprobs | None = None
    stop_reason: Any = None


class Completion(Struct, omit_defaults=True, kw_only=True):
    """The whole answer; in a stream each event has the same shape."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage | None = None
