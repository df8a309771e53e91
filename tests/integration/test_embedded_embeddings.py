"""Embeddings of the embedded engine: they have meaning, and nothing of a text is lost."""

import base64
import math
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.embedded_engine import Engine, demo_model, running_engine

MODEL = "all-MiniLM-L6-v2"
# The documents and the query of the published semantic search example.
DOCUMENTS = [
    "Python is a programming language known for simplicity",
    "JavaScript is used for web development",
    "Machine learning uses algorithms to learn from data",
    "React is a JavaScript library for building UIs",
    "TensorFlow is a machine learning framework",
]
QUERY = "How do I build AI models?"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with running_engine(model=demo_model()) as engine:
        yield engine


def embed(engine: Engine, given: Any, **fields: Any) -> dict[str, Any]:
    status, answer = engine.call("/v1/embeddings", {"input": given, "model": MODEL, **fields})
    assert status == 200, answer
    return dict(answer)


def vectors(engine: Engine, given: Any, **fields: Any) -> list[list[float]]:
    return [item["embedding"] for item in embed(engine, given, **fields)["data"]]


def cosine(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def test_the_right_documents_are_found(engine: Engine) -> None:
    documents = vectors(engine, DOCUMENTS)
    (query,) = vectors(engine, QUERY)
    scores = [cosine(query, document) for document in documents]
    right = (2, 4)
    assert min(scores[at] for at in right) > max(scores[at] for at in (0, 1, 3))


def test_vectors_are_of_length_one_and_in_the_order_of_the_inputs(engine: Engine) -> None:
    answer = embed(engine, DOCUMENTS)
    assert [item["index"] for item in answer["data"]] == [0, 1, 2, 3, 4]
    assert answer["model"] == MODEL
    for item, document in zip(answer["data"], DOCUMENTS, strict=True):
        assert len(item["embedding"]) == 384
        assert math.isclose(math.hypot(*item["embedding"]), 1, abs_tol=1e-5)
        (alone,) = vectors(engine, document)
        assert cosine(alone, item["embedding"]) > 0.9999


def test_base64_holds_the_same_little_endian_floats(engine: Engine) -> None:
    (numbers,) = vectors(engine, QUERY)
    (item,) = embed(engine, QUERY, encoding_format="base64")["data"]
    encoded = item["embedding"]
    assert list(struct.unpack("<384f", base64.b64decode(encoded))) == pytest.approx(numbers)


def test_token_ids_are_those_of_the_models_own_tokenizer(engine: Engine) -> None:
    _, tokenized = engine.call("/tokenize", {"model": MODEL, "prompt": QUERY})
    answer = embed(engine, tokenized["tokens"])
    assert answer["usage"] == {
        "prompt_tokens": tokenized["count"],
        "total_tokens": tokenized["count"],
    }
    (text,) = vectors(engine, QUERY)
    assert cosine(answer["data"][0]["embedding"], text) > 0.9999
    assert len(vectors(engine, [tokenized["tokens"]] * 2)) == 2


def test_the_end_of_a_long_text_counts(engine: Engine) -> None:
    start = "The weather is nice today. " * 100
    one, other = vectors(engine, [start + "I love cats. " * 60, start + "Bonds fell. " * 60])
    assert cosine(one, other) < 0.98
    cats, bonds = vectors(engine, ["I love cats.", "Bonds fell."])
    assert cosine(one, cats) - cosine(one, bonds) > cosine(other, cats) - cosine(other, bonds)


def test_the_longest_text_is_read_and_a_longer_one_refused(engine: Engine) -> None:
    answer = embed(engine, "word " * 8_192)
    assert answer["usage"]["prompt_tokens"] == 8_192
    body = {"input": ["x", "word " * 8_193], "model": MODEL}
    status, refused = engine.call("/v1/embeddings", body)
    assert (status, refused["error"]["param"]) == (400, "input_tokens")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"dimensions": 128}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": [[]]}, "input"),
        ({"input": ["a", 1]}, "input"),
        ({"input": [40_000]}, "input"),  # of another model's vocabulary
        ({"input": ["a"] * 2_049}, "input"),
        ({"input": "a " * 1_000_000}, "input_tokens"),
        ({"truncate_prompt_tokens": 3}, "truncate_prompt_tokens"),
    ],
)
def test_what_cannot_be_done_is_a_400_that_names_the_field(
    engine: Engine, fields: dict[str, Any], param: str
) -> None:
    status, answer = engine.call("/v1/embeddings", {"input": "a", "model": MODEL, **fields})
    assert (status, answer["error"]["param"]) == (400, param)


def test_each_model_says_what_it_is_not_for(engine: Engine) -> None:
    _, listed = engine.call("/v1/models")
    tasks = {card["id"]: card["task"] for card in listed["data"]}
    assert tasks.pop(MODEL) == "embed"
    (generator,) = tasks
    assert engine.call("/v1/embeddings", {"input": "a", "model": generator})[0] == 400
    assert engine.call("/v1/embeddings", {"input": "a", "model": "nope"})[0] == 404
    chat = {"messages": [{"role": "user", "content": "x"}], "model": MODEL}
    assert engine.call("/v1/chat/completions", chat)[0] == 400


def test_384_dimensions_may_be_asked_for(engine: Engine) -> None:
    (vector,) = vectors(engine, QUERY, dimensions=384)
    assert len(vector) == 384
