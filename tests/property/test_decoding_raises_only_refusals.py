"""Whatever bytes a client sends, decoding and checking give a request or a 400, nothing else."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.errors import InvalidRequest
from tokenmill.protocol.chat import ChatRequest
from tokenmill.protocol.checks import check_chat, check_completion, check_embedding
from tokenmill.protocol.completions import CompletionRequest
from tokenmill.protocol.decoding import BodyDecoder
from tokenmill.protocol.embeddings import EmbeddingRequest
from tokenmill.protocol.errors import envelope
from tokenmill.protocol.schemas import check_schemas, schemas_of
from tokenmill.protocol.shaping import RouteTerms, shape_chat, shape_completion
from tokenmill.settings import BodyBounds

BOUNDS = BodyBounds()
TERMS = RouteTerms(engine_model="m", is_factory=True)
FIELDS = [
    *("model", "messages", "prompt", "input", "temperature", "n", "stop", "stream", "tools"),
    *("tool_choice", "response_format", "stream_options", "logit_bias", "structured_outputs"),
    *("max_tokens", "metadata", "role", "content", "type", "text", "function", "name", "json"),
    *("json_schema", "schema", "parameters", "tool_calls", "arguments", "id", "regex", "choice"),
]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["user", "assistant", "text", "function", "auto", "json_schema", "", "x"])
    | st.text(max_size=8)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=5)


def try_chat(decoder: BodyDecoder[ChatRequest], data: bytes) -> None:
    request = decoder.decode(data)
    check_chat(request, BOUNDS)
    check_schemas(schemas_of(request), BOUNDS)
    json.loads(shape_chat(request, TERMS))


def try_completion(decoder: BodyDecoder[CompletionRequest], data: bytes) -> None:
    request = decoder.decode(data)
    check_completion(request, BOUNDS)
    check_schemas(schemas_of(request), BOUNDS)
    json.loads(shape_completion(request, TERMS))


def try_embedding(decoder: BodyDecoder[EmbeddingRequest], data: bytes) -> None:
    check_embedding(decoder.decode(data), BOUNDS)


TRIALS: list[Any] = [
    (try_chat, ChatRequest),
    (try_completion, CompletionRequest),
    (try_embedding, EmbeddingRequest),
]


def holds(trial: Any, model: Any, data: bytes) -> None:
    for ignore_unknown in (False, True):
        try:
            trial(BodyDecoder(model, ignore_unknown=ignore_unknown), data)
        except InvalidRequest as error:
            assert error.status == 400
            assert error.message
            json.loads(envelope(error))


@pytest.mark.parametrize(("trial", "model"), TRIALS)
@settings(max_examples=150, deadline=None)
@given(value=OBJECTS)
def test_any_object(trial: Any, model: Any, value: Any) -> None:
    holds(trial, model, json.dumps(value).encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize(("trial", "model"), TRIALS)
@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=64))
def test_any_bytes(trial: Any, model: Any, data: bytes) -> None:
    holds(trial, model, data)


@settings(max_examples=200, deadline=None)
@given(value=OBJECTS, at=st.integers(0, 400), byte=st.integers(0, 255))
def test_a_good_body_with_one_byte_changed(value: Any, at: int, byte: int) -> None:
    data = bytearray(
        json.dumps({"messages": [{"role": "user", "content": "Hi"}], **value}).encode()
    )
    data[at % len(data)] = byte
    holds(try_chat, ChatRequest, bytes(data))
