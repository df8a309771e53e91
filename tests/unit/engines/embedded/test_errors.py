"""Refusals in vLLM's envelope."""

import json

import pytest

from tokenmill.engines.embedded.errors import (
    Busy,
    NotFound,
    PromptTooLong,
    encode_error,
    from_mistralrs,
    unsupported,
)


def test_the_envelope_has_four_keys_and_the_status_as_code() -> None:
    error = NotFound("The model `x` does not exist.", param="model")
    assert json.loads(encode_error(error)) == {
        "error": {
            "message": "The model `x` does not exist.",
            "type": "NotFoundError",
            "param": "model",
            "code": 404,
        }
    }


def test_only_the_first_line_of_mistralrs_is_passed_on() -> None:
    error = from_mistralrs(ValueError("Invalid grammar. at 1(8)\n   0: std::backtrace\n"))
    assert error.message == "Invalid grammar. at 1(8)"
    assert error.status == 400


@pytest.mark.parametrize(
    ("said", "has_grammar", "status", "param"),
    [
        ("adapter alias `a` is not registered", False, 404, "model"),  # unloaded meanwhile
        (
            "Prompt sequence length is greater than 9, … `truncate_sequence`?",
            False,
            400,
            "input_tokens",
        ),
        ("Failed to parse JSON schema: recursion limit exceeded", True, 400, None),
        ("NoExtensionBias", True, 400, None),  # a grammar that leads nowhere
        ("input tensor is not contiguous", False, 500, None),  # not the client's fault
        ("", False, 500, None),
    ],
)
def test_fault_is_told_by_what_mistralrs_says(
    said: str, has_grammar: bool, status: int, param: str | None
) -> None:
    error = from_mistralrs(ValueError(said), has_grammar=has_grammar)
    assert (error.status, error.param) == (status, param)
    assert error.message


def test_a_long_prompt_is_known_by_its_param() -> None:
    error = PromptTooLong(3_000, 2_048)
    assert (error.status, error.type, error.param) == (400, "BadRequestError", "input_tokens")
    assert "3000 input tokens" in error.message


def test_an_unsupported_field_is_named() -> None:
    error = unsupported("suffix")
    assert error.param == "suffix"
    assert "`suffix` is not supported" in error.message


def test_busy_says_when_to_come_back() -> None:
    assert Busy("full", retry_after_s=1).retry_after_s == 1
