"""What chat and text completions have in common: sampling, stopping, streaming, usage.

Every field is optional and null is absent. Fields after `stop_token_ids` are engine extras: not
OpenAI's, passed on because they are harmless and clients of vLLM know them.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from tokenmill.protocol.refusals import RefusedFields
from tokenmill.protocol.structured import StructuredOutputs

Penalty = Annotated[float, Meta(ge=-2, le=2)]
Probability = Annotated[float, Meta(ge=0, le=1)]
TokenId = Annotated[int, Meta(ge=0, le=2**31 - 1)]
ShortText = Annotated[str, Meta(max_length=512)]


class StreamOptions(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What a stream says beside its text; allowed only where `stream` is true."""

    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None
    include_obfuscation: bool | None = None


ENGINE_STREAM_OPTIONS = StreamOptions(include_usage=True, continuous_usage_stats=True)
"""What the engine is always asked for: a stream is metered whatever its client wants to see."""


class GenerationRequest(
    RefusedFields, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The fields that `/chat/completions` and `/completions` share."""

    model: Annotated[str, Meta(max_length=512)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Probability | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    max_tokens: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    stop: str | Annotated[list[str], Meta(max_length=4)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, Annotated[float, Meta(ge=-100, le=100)]] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    user: ShortText | None = None  # accepted; not passed on
    stop_token_ids: Annotated[list[TokenId], Meta(max_length=128)] | None = None
    top_k: Annotated[int, Meta(ge=-1, le=2**31 - 1)] | None = None
    min_p: Probability | None = None
    repetition_penalty: Annotated[float, Meta(ge=0.01, le=2)] | None = None  # 0 overflows
    min_tokens: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    ignore_eos: bool | None = None
    bad_words: Annotated[list[str], Meta(max_length=64)] | None = None
    skip_special_tokens: bool | None = None
    spaces_between_special_tokens: bool | None = None
    include_stop_str_in_output: bool | None = None
    structured_outputs: StructuredOutputs | None = None


class PromptTokensDetails(Struct, omit_defaults=True, kw_only=True):
    """Where the prompt's tokens came from."""

    cached_tokens: int | None = None


class Usage(Struct, omit_defaults=True, kw_only=True):
    """Tokens of a request, as the engine counted them."""

    prompt_tokens: int
    total_tokens: int
    completion_tokens: int = 0
    prompt_tokens_details: PromptTokensDetails | None = None


FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
