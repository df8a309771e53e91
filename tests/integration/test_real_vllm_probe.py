"""What discovery makes of a real vLLM: one that chats, one that embeds, one with a key."""

from urllib.parse import urlsplit

import pytest

from tests.support.real_vllm import loaded_adapter
from tokenmill.engines.address import Address, local_address
from tokenmill.engines.probe import look

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(300)]


def address(url: str) -> Address:
    return local_address(urlsplit(url).port or 80)


async def test_a_chat_model_is_known_with_its_context(chat_vllm: str) -> None:
    sighting = await look(address(chat_vllm), timeout_ms=2_000)
    assert (sighting.outcome, sighting.kind) == ("serving", "vllm")
    (model,) = [model for model in sighting.models if model.id == "tiny-chat"]
    assert (model.task, model.context_tokens_max, model.parent) == ("generate", 2048, "")


async def test_an_embedding_model_is_known_for_one(embed_vllm: str) -> None:
    sighting = await look(address(embed_vllm), timeout_ms=2_000)
    assert sighting.kind == "vllm"
    assert [(model.id, model.task) for model in sighting.models] == [("minilm", "embed")]


async def test_an_adapter_is_known_with_its_parent(chat_vllm: str) -> None:
    with loaded_adapter(chat_vllm, "lora-alpha"):
        sighting = await look(address(chat_vllm), timeout_ms=2_000)
    parents = {model.id: model.parent for model in sighting.models}
    assert parents["lora-alpha"] == "tiny-chat"
