"""The bodies that the engine takes, as msgspec Structs: what vLLM takes, as far as this one can.

Every field is honoured or refused: unknown ones by the decoder, impossible values in `sampling.py`,
`chat.py` and `completions.py`. Explicit null is absent. Fields that only label a request (`user`,
`metadata`, …) change no answer anywhere and are taken.
"""

from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct

from tokenmill.engines.embedded.errors import BadRequest, from_validation

Unit: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Penalty: TypeAlias = Annotated[float, Meta(ge=-2, le=2)]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=512)]
AdapterName: TypeAlias = Annotated[str, Meta(max_length=512)]
TokenId: TypeAlias = Annotated[int, Meta(ge=0, lt=2**32)]
# A text, texts, token ids, or lists of token ids; `as_texts_or_tokens` refuses mixtures.
TextOrTokens: TypeAlias = str | Annotated[list[str | TokenId | list[TokenId]], Meta(min_length=1)]
FunctionName: TypeAlias = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_.-]{1,64}$")]

STOPS_MAX = 16
TOOLS_MAX = 128
CHOICES_MAX = 128
PROMPTS_MAX = 256

T = TypeVar("T")


class StreamOptions(Struct, forbid_unknown_fields=True):
    """What a stream tells beside the text."""

    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


class JsonSchemaFormat(Struct, forbid_unknown_fields=True):
    """`response_format.json_schema`."""

    schema: dict[str, Any] | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(Struct, forbid_unknown_fields=True):
    """`response_format`."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = None


class StructuredOutputs(Struct, forbid_unknown_fields=True):
    """vLLM's `structured_outputs`: one of the kinds."""

    json: str | dict[str, Any] | None = None
    regex: Annotated[str, Meta(min_length=1, max_length=4_096)] | None = None
    choice: Annotated[list[Name], Meta(min_length=1, max_length=1_000)] | None = None
    json_object: bool | None = None
    grammar: Annotated[str, Meta(min_length=1, max_length=524_288)] | None = None
    structural_tag: str | None = None


class Labels(Struct, forbid_unknown_fields=True, kw_only=True):
    """What says who asks and changes no answer."""

    user: str | None = None
    metadata: dict[str, str] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    service_tier: Literal["auto", "default"] | None = None
    store: Literal[False] | None = None


class SamplingRequest(Labels, forbid_unknown_fields=True, kw_only=True):
    """What chats and completions have in common."""

    model: Name | None = None
    n: Annotated[int, Meta(ge=1, le=CHOICES_MAX)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=-1, le=2**31)] | None = None
    min_p: Unit | None = None
    repetition_penalty: Annotated[float, Meta(gt=0, le=2)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, Annotated[float, Meta(ge=-100, le=100)]] | None = None
    stop: Name | Annotated[list[Name], Meta(max_length=STOPS_MAX)] | None = None
    seed: int | None = None
    ignore_eos: bool | None = None
    min_tokens: Annotated[int, Meta(ge=0)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    structured_outputs: StructuredOutputs | None = None
    response_format: ResponseFormat | None = None

    @property
    def choices(self) -> int:
        """How many answers are asked for."""
        return self.n or 1


class ContentPart(Struct):
    """One part of a message; only text is read."""

    type: str
    text: str = ""
    refusal: str = ""


class CalledFunction(Struct, forbid_unknown_fields=True):
    """The function of an earlier call; `arguments` is JSON in a string."""

    name: str
    arguments: str = "{}"


class EarlierCall(Struct, forbid_unknown_fields=True, kw_only=True):
    """A call that the assistant made in an earlier turn."""

    function: CalledFunction
    id: str | None = None
    type: Literal["function"] = "function"
    index: int | None = None


class ChatMessage(Struct, forbid_unknown_fields=True, kw_only=True):
    """A message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[ContentPart] | None = None
    name: str | None = None
    tool_calls: list[EarlierCall] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    annotations: list[Any] | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    audio: None = None
    function_call: None = None


class Function(Struct, forbid_unknown_fields=True):
    """A function that the model may call."""

    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Struct, forbid_unknown_fields=True):
    """A tool; there are only functions."""

    function: Function
    type: Literal["function"] = "function"


class NamedFunction(Struct, forbid_unknown_fields=True):
    """The name inside a named `tool_choice`."""

    name: str


class NamedChoice(Struct, forbid_unknown_fields=True):
    """`tool_choice` that names a function."""

    function: NamedFunction
    type: Literal["function"] = "function"


class ChatRequest(SamplingRequest, forbid_unknown_fields=True, kw_only=True):
    """POST /v1/chat/completions."""

    messages: Annotated[list[ChatMessage], Meta(min_length=1)]
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: Annotated[list[Tool], Meta(max_length=TOOLS_MAX)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedChoice | None = None
    parallel_tool_calls: bool | None = None


class CompletionRequest(SamplingRequest, forbid_unknown_fields=True, kw_only=True):
    """POST /v1/completions."""

    prompt: TextOrTokens
    max_tokens: Annotated[int, Meta(ge=0)] | None = None
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    echo: bool | None = None
    best_of: int | None = None
    suffix: str | None = None


class EmbeddingRequest(Labels, forbid_unknown_fields=True, kw_only=True):
    """POST /v1/embeddings."""

    input: TextOrTokens
    model: Name | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None


class TokenizeRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """POST /tokenize: a prompt, or a conversation as the model would read it."""

    model: Name | None = None
    prompt: str | None = None
    messages: list[ChatMessage] | None = None
    tools: list[Tool] | None = None
    add_special_tokens: bool | None = None
    add_generation_prompt: bool | None = None


class DetokenizeRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """POST /detokenize."""

    tokens: list[TokenId]
    model: Name | None = None


class LoadAdapter(Struct, kw_only=True):
    """POST /v1/load_lora_adapter."""

    lora_name: AdapterName = ""
    lora_path: Annotated[str, Meta(max_length=4_096)] = ""
    load_inplace: bool = False


class UnloadAdapter(Struct, kw_only=True):
    """POST /v1/unload_lora_adapter."""

    lora_name: AdapterName = ""
    lora_int_id: int | None = None


def decode(body: bytes, wanted: type[T]) -> T:
    """`body` as a `wanted`. Raises: BadRequest, whose `param` is the path of the wrong field."""
    try:
        return msgspec.json.decode(body, type=wanted)
    except msgspec.DecodeError as error:
        raise from_validation(error) from None
    except UnicodeDecodeError:
        raise BadRequest("the body is not valid UTF-8") from None
    except RecursionError:
        raise BadRequest("the body is nested too deeply") from None


def as_texts_or_tokens(given: TextOrTokens, param: str) -> list[str] | list[list[int]]:
    """`given` as a list of one kind. Raises: BadRequest for a mixture or an empty item."""
    items = [given] if isinstance(given, str) else given
    texts = [item for item in items if isinstance(item, str)]
    if len(texts) == len(items):
        return texts
    numbers = [item for item in items if isinstance(item, int)]
    if len(numbers) == len(items):
        return [numbers]
    lists = [item for item in items if isinstance(item, list) and item]
    if len(lists) == len(items):
        return lists
    raise BadRequest(f"`{param}` is a text, texts, token ids, or lists of token ids", param=param)
