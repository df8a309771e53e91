"""Where unknown fields are ignored, all else stays as strict."""

import json
from typing import Any

import pytest

from tokenmill.errors import InvalidRequest
from tokenmill.protocol.chat import ChatRequest
from tokenmill.protocol.decoding import BodyDecoder
from tokenmill.protocol.embeddings import EmbeddingRequest
from tokenmill.protocol.lenient import lenient
from tokenmill.protocol.messages import UserMessage

CHAT = BodyDecoder(ChatRequest, ignore_unknown=True)


def decode(**fields: Any) -> ChatRequest:
    return CHAT.decode(json.dumps(fields).encode())


def test_unknown_fields_are_ignored_at_every_depth() -> None:
    part = {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}
    request = decode(messages=[{"role": "user", "content": [part], "odd": 1}], odd=[1])
    assert isinstance(request, ChatRequest)
    (message,) = request.messages
    assert isinstance(message, UserMessage)


@pytest.mark.parametrize("field", ["prompt_logprobs", "chat_template", "kv_transfer_params"])
def test_what_is_refused_by_name_stays_refused(field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(messages=[{"role": "user", "content": "Hi"}], **{field: 1})
    assert caught.value.param == field


def test_wrong_values_stay_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(messages=[{"role": "user", "content": 3}], odd=1)
    assert caught.value.param == "messages[0].content"


def test_deep_ignored_values_are_refused_and_not_fatal() -> None:
    with pytest.raises(InvalidRequest):
        CHAT.decode(b'{"odd":' + b"[" * 100_000)


def test_a_lenient_type_is_made_once() -> None:
    assert lenient(EmbeddingRequest) is lenient(EmbeddingRequest)
