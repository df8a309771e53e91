"""What is put right about model folders."""

import pytest

from tokenmill.engines.embedded.adaptation import TagSpelling, with_aliased_tags, with_flat_rope


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
