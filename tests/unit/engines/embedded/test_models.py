"""Which models can be served, and what is put right about them."""

import io
import struct

import pytest

from tokenmill.engines.embedded.adaptation import (
    TagSpelling,
    with_aliased_tags,
    with_flat_rope,
)
from tokenmill.engines.embedded.gguf import parse_metadata
from tokenmill.engines.embedded.model_source import ModelNotUsable, architecture_of, find_model


def test_architectures_are_known_by_their_model_type() -> None:
    assert architecture_of({"model_type": "llama"}) == "Llama"
    assert architecture_of({"model_type": "qwen3_moe"}) == "Qwen3Moe"


@pytest.mark.parametrize("config", [{}, {"model_type": "whisper"}])
def test_other_architectures_are_refused_with_those_there_are(config: dict[str, str]) -> None:
    with pytest.raises(ModelNotUsable, match=r"it runs: .*llama, .*qwen3"):
        architecture_of(config)


@pytest.mark.parametrize("wanted", ["no such thing", "a/b/c", "../x y"])
def test_a_name_that_is_nothing_is_refused(wanted: str) -> None:
    with pytest.raises(ModelNotUsable, match="no Hugging Face id"):
        find_model(wanted)


def test_a_nested_rope_theta_is_brought_up() -> None:
    nested = {"rope_theta": 5.0, "rope_type": "default"}
    flat = with_flat_rope({"a": 1, "rope_parameters": nested})
    assert flat == {"a": 1, "rope_parameters": nested, "rope_theta": 5.0}
    scaled = with_flat_rope({"rope_parameters": {"rope_theta": 5.0, "rope_type": "llama3"}})
    assert scaled is not None
    assert scaled["rope_scaling"]["rope_type"] == "llama3"


@pytest.mark.parametrize("config", [{}, {"rope_theta": 1, "rope_parameters": {"rope_theta": 2}}])
def test_a_config_that_is_fine_stays_as_it_is(config: dict[str, object]) -> None:
    assert with_flat_rope(config) is None


def test_tags_that_are_tokens_get_another_spelling() -> None:
    tokenizer = {
        "added_tokens": [
            {"content": "<|im_end|>", "special": True},
            {"content": "<tool_call>", "special": True},
        ],
        "model": {"vocab": {"<tool_call>": 5, "a": 6}},
    }
    assert with_aliased_tags(tokenizer) == ("<tool_call>",)
    assert tokenizer["added_tokens"] == [
        {"content": "<|im_end|>", "special": True},
        {"content": "⟦tool_call⟧", "special": False},
    ]
    assert tokenizer["model"] == {"vocab": {"⟦tool_call⟧": 5, "a": 6}}


def test_tags_of_plain_text_are_left_alone() -> None:
    assert with_aliased_tags({"added_tokens": [{"content": "<|im_end|>"}]}) == ()


def test_a_spelling_is_translated_both_ways() -> None:
    spelling = TagSpelling(("<tool_call>",))
    text = "a <tool_call> b </tool_call>"
    assert spelling.write(text) == "a ⟦tool_call⟧ b </tool_call>"
    assert spelling.read(spelling.write(text)) == text


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def header(*pairs: bytes) -> io.BytesIO:
    return io.BytesIO(b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + b"".join(pairs))


def test_the_metadata_of_a_gguf_header_is_read() -> None:
    words = struct.pack("<IIQ", 9, 8, 2) + text("a") + text("b")
    found = parse_metadata(
        header(
            text("name") + struct.pack("<I", 8) + text("tiny"),
            text("length") + struct.pack("<II", 4, 2_048),
            text("tokens") + words,
        )
    )
    assert found == {"name": "tiny", "length": 2_048, "tokens": ["a", "b"]}


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"PK\x03\x04",
        b"GGUF",
        b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60),  # more pairs than anybody writes
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 2**60),
    ],
)
def test_other_files_are_told_from_gguf(blob: bytes) -> None:
    with pytest.raises((ValueError, struct.error)):
        parse_metadata(io.BytesIO(blob))
