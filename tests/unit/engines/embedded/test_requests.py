"""What is wrong with a body, and where."""

import pytest

from tokenmill.engines.embedded.errors import BadRequest
from tokenmill.engines.embedded.requests import (
    CompletionRequest,
    TextOrTokens,
    as_texts_or_tokens,
    decode,
)


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        (b'{"prompt": "a", "x": 1}', "x", "`x` is not supported"),
        (b'{"prompt": "a", "stream_options": {"x": 1}}', "stream_options.x", "not supported"),
        (b'{"prompt": "a", "n": "2"}', "n", "Expected `int | null`, got `str`"),
        (b'{"prompt": "a", "stop": ["b", 1]}', "stop[1]", "Expected `str`"),
        (b"{}", None, "missing required field `prompt`"),
        (b"{", None, "truncated"),
        (b'{"prompt": "\xff"}', None, "not valid UTF-8"),
    ],
)
def test_a_wrong_body_names_the_path(body: bytes, param: str | None, said: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode(body, CompletionRequest)
    assert caught.value.param == param
    assert said in caught.value.message


def test_null_is_absent() -> None:
    assert decode(b'{"prompt": "a", "n": null, "stop": null}', CompletionRequest).choices == 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a", ["a"]),
        (["a", "b"], ["a", "b"]),
        ([1, 2], [[1, 2]]),
        ([[1], [2, 3]], [[1], [2, 3]]),
    ],
)
def test_one_kind_of_input_becomes_a_list(given: TextOrTokens, expected: object) -> None:
    assert as_texts_or_tokens(given, "input") == expected


@pytest.mark.parametrize("given", [["a", 1], [1, [2]], [[1], []]])
def test_mixtures_and_empty_lists_are_refused(given: TextOrTokens) -> None:
    with pytest.raises(BadRequest):
        as_texts_or_tokens(given, "input")
