"""Only texts that an engine would not judge itself are counted beforehand."""

import pytest

from tokenmill.inference.embeddings import long_texts
from tokenmill.protocol.embeddings import EmbeddingRequest

LONG = "word " * 10


@pytest.mark.parametrize("context", [8, 10])
def test_an_engine_with_a_smaller_context_judges_for_itself(context: int) -> None:
    assert long_texts(EmbeddingRequest(input=LONG), 10, context) == []


@pytest.mark.parametrize("context", [0, 11])
def test_a_long_text_is_to_be_counted(context: int) -> None:
    assert long_texts(EmbeddingRequest(input=LONG), 10, context) == [("input", LONG)]


def test_a_text_with_no_more_bytes_than_tokens_allowed_is_not() -> None:
    assert long_texts(EmbeddingRequest(input="x" * 10), 10, 0) == []
    assert long_texts(EmbeddingRequest(input="é" * 6), 10, 0) == [("input", "é" * 6)]


def test_texts_of_a_list_are_named_and_token_ids_are_not_texts() -> None:
    assert long_texts(EmbeddingRequest(input=["a", LONG]), 10, 0) == [("input[1]", LONG)]
    assert long_texts(EmbeddingRequest(input=[[1] * 5, [2]]), 3, 0) == []
