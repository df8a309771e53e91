"""POST /embeddings: the request, and the shape of its answer (for the OpenAPI document)."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from tokenmill.protocol.generation import ShortText, TokenId


class EmbeddingRequest(Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """An embeddings request. `input`: a text, texts, token ids, or lists of token ids."""

    model: Annotated[str, Meta(max_length=512)] | None = None
    input: str | Annotated[list[str | TokenId | list[TokenId]], Meta(min_length=1)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1, le=65_536)] | None = None
    user: ShortText | None = None  # accepted; not passed on
    prompt_embeds: None = None
    truncate_prompt_tokens: None = None
    add_special_tokens: None = None
    mm_processor_kwargs: None = None
    media_io_kwargs: None = None
    priority: None = None
    request_id: None = None
    cache_salt: None = None


class EmbeddingUsage(Struct, kw_only=True):
    """Tokens of all inputs together."""

    prompt_tokens: int
    total_tokens: int


class Embedding(Struct, kw_only=True):
    """A vector: numbers, or with `base64` their little-endian float32 bytes."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingList(Struct, kw_only=True):
    """The whole answer, in the order of the inputs."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage
