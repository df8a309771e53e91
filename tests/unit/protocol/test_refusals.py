"""Every field that is declared as refused has a reason to show, and the other way round."""

import msgspec
import pytest

from tokenmill.protocol.chat import ChatRequest
from tokenmill.protocol.completions import CompletionRequest
from tokenmill.protocol.embeddings import EmbeddingRequest
from tokenmill.protocol.messages import AssistantMessage
from tokenmill.protocol.refusals import REASONS

PLACES: dict[type[msgspec.Struct], str] = {
    ChatRequest: "",
    CompletionRequest: "",
    EmbeddingRequest: "",
    AssistantMessage: "messages[].",
}


def refused(model: type[msgspec.Struct]) -> set[str]:
    fields = msgspec.structs.fields(model)
    return {each.encode_name for each in fields if each.type in (None, type(None))}


@pytest.mark.parametrize("model", PLACES, ids=lambda each: each.__name__)
def test_refused_fields_have_reasons(model: type[msgspec.Struct]) -> None:
    paths = {PLACES[model] + name for name in refused(model)}
    assert paths
    assert paths <= REASONS.keys()


def test_reasons_belong_to_declared_fields() -> None:
    declared = {prefix + name for model, prefix in PLACES.items() for name in refused(model)}
    assert declared == REASONS.keys()
