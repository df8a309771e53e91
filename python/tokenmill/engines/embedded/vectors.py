"""POST /v1/embeddings: texts or token ids to vectors, off the event loop, in a bounded queue."""

import base64
import struct
from collections.abc import Sequence

from msgspec import Struct

from tokenmill.engines.embedded.answers import ENCODER
from tokenmill.engines.embedded.embedder import INPUT_TOKENS_MAX, input_too_long
from tokenmill.engines.embedded.errors import BadRequest, NotFound, unsupported
from tokenmill.engines.embedded.minilm import DIMENSIONS, VOCABULARY_SIZE
from tokenmill.engines.embedded.requests import EmbeddingRequest, as_texts_or_tokens, decode
from tokenmill.engines.embedded.service import Answer, Service
from tokenmill.ids import base62

INPUTS_MAX = 2_048
# WordPiece takes any word of more than 100 characters for one unknown token, so this is generous.
CHARACTERS_MAX = INPUT_TOKENS_MAX * 100


class Vector(Struct, kw_only=True):
    """One vector: a list of numbers, or their bytes in base64."""

    index: int
    object: str = "embedding"
    embedding: list[float] | str


class VectorUsage(Struct):
    """Embedding has no completion."""

    prompt_tokens: int
    total_tokens: int


class VectorList(Struct, kw_only=True):
    """The answer of /v1/embeddings."""

    id: str
    object: str = "list"
    model: str
    data: list[Vector]
    usage: VectorUsage


async def create_embeddings(service: Service, body: bytes, _: str) -> Answer:
    """The answer. Raises: EngineError for everything that is refused."""
    request = decode(body, EmbeddingRequest)
    embedder = service.embedder
    if embedder is None or request.model not in (None, embedder.id):
        if request.model is not None and service.generates(request.model):
            raise BadRequest(f"`{request.model}` does not make embeddings", param="model")
        raise NotFound(f"The model `{request.model}` does not exist.", param="model")
    if request.dimensions not in (None, DIMENSIONS):
        raise unsupported("dimensions", f"{embedder.id} makes vectors of {DIMENSIONS}.")
    inputs = as_texts_or_tokens(request.input, "input")
    check_inputs(inputs)
    vectors, tokens = await embedder.embed(inputs)
    answer = VectorList(
        id=f"embd-{base62(24)}",
        model=embedder.id,
        data=[
            Vector(index=index, embedding=_encoded(vector, request.encoding_format))
            for index, vector in enumerate(vectors)
        ],
        usage=VectorUsage(tokens, tokens),
    )
    return Answer(ENCODER.encode(answer))


def check_inputs(inputs: Sequence[str | list[int]]) -> None:
    """Raises: BadRequest for what can be refused without the tokenizer."""
    if len(inputs) > INPUTS_MAX:
        raise BadRequest(f"at most {INPUTS_MAX} inputs in one request", param="input")
    for index, each in enumerate(inputs):
        if not each:
            raise BadRequest(f"`input[{index}]` is empty", param="input")
        if isinstance(each, str):
            if len(each) > CHARACTERS_MAX:
                raise input_too_long(index, INPUT_TOKENS_MAX + 1)
        elif max(each, default=0) >= VOCABULARY_SIZE:
            raise BadRequest(
                f"token ids of this model are below {VOCABULARY_SIZE}; send text, or what its own "
                "/tokenize gives",
                param="input",
            )


def _encoded(vector: bytes, encoding_format: str | None) -> list[float] | str:
    if encoding_format == "base64":
        return base64.b64encode(vector).decode()
    return list(struct.unpack(f"<{DIMENSIONS}f", vector))
