"""Engines' errors in our words: vLLM's bodies as they were seen, and answers that broke off."""

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tokenmill._native import End, EndReason
from tokenmill.errors import ApiError
from tokenmill.inference.engine_errors import Blame, from_answer, from_end

BLAME = Blame("messages", "response_format")


def translated(status: int, body: Any) -> ApiError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return from_answer(status, data, BLAME)


def fault(message: str, kind: str = "BadRequestError", **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": 400, **fields}}


def ended(
    reason: EndReason, detail: str = "", *, sent: bool = False, status: bool = False
) -> ApiError:
    end = cast("End", SimpleNamespace(reason=reason, detail=detail, sent_tokens=sent))
    return from_end(end, BLAME, is_status=status)


TOO_LONG = (
    "This model's maximum context length is 512 tokens. However, your prompt contains at least 513 "
    "input tokens. Please reduce the length of the input prompt."
)


def test_an_unknown_model_is_model_not_found() -> None:
    error = translated(404, fault("The model `nope` does not exist.", "NotFoundError", code=404))
    assert (error.status, error.code, error.param) == (404, "model_not_found", "model")


def test_an_unknown_route_of_an_engine_is_the_engines_fault() -> None:
    error = translated(404, {"detail": "Not Found"})
    assert (error.status, error.code) == (502, "engine_error")


@pytest.mark.parametrize(
    "body",
    [
        fault("anything", param="input_tokens"),
        fault(TOO_LONG),
        fault("whatever", code="context_length_exceeded"),
    ],
)
def test_too_long_a_prompt_is_context_length_exceeded(body: dict[str, Any]) -> None:
    error = translated(400, body)
    assert (error.status, error.code, error.param) == (400, "context_length_exceeded", "messages")


def test_the_value_that_an_engine_met_is_not_shown() -> None:
    shown = f"{TOO_LONG} (parameter=input_tokens, value=513)"
    assert translated(400, fault(shown, param="input_tokens")).message == TOO_LONG


def test_a_refused_grammar_is_an_unsupported_schema() -> None:
    error = translated(400, fault("Grammar error: cannot compile the regex"))
    assert (error.status, error.code) == (400, "unsupported_schema")
    assert error.param == "response_format"


def test_another_refusal_keeps_its_field_and_its_first_line() -> None:
    error = translated(400, fault("n must be 1.\nTraceback:\n secret.py", param="n"))
    assert (error.status, error.code, error.param) == (400, "invalid_request", "n")
    assert "n must be 1." in error.message
    assert "Traceback" not in error.message


def test_a_refusal_whose_subject_is_a_field_names_it() -> None:
    assert translated(400, fault("n must be 1 when using greedy sampling")).param == "n"
    assert translated(400, fault("everything must be fine")).param is None


def test_long_words_are_cut() -> None:
    assert len(translated(400, fault("x" * 10_000)).message) < 500


def test_fastapis_list_of_details_gives_the_field() -> None:
    body = {"detail": [{"loc": ["body", "messages", 0], "msg": "field required", "type": "x"}]}
    error = translated(422, body)
    assert (error.status, error.param) == (400, "messages.0")
    assert "field required" in error.message


@pytest.mark.parametrize("status", [401, 403])
def test_an_engine_that_refuses_our_key_is_no_fault_of_the_client(status: int) -> None:
    error = translated(status, {"error": "Unauthorized"})
    assert (error.status, error.type) == (502, "server_error")


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (500, fault("boom", "InternalServerError"), (502, "engine_error")),
        (500, b"<html>", (502, "engine_error")),
        (500, fault("cannot schedule new futures after shutdown"), (503, "overloaded")),
        (500, fault("EngineDeadError"), (503, "overloaded")),
        (503, b"", (503, "overloaded")),
        (503, fault("The model is loading. Try again in a moment."), (503, "model_loading")),
        (503, fault("Loading model", "unavailable_error", code=503), (503, "model_loading")),
        (503, fault("Too many requests: no loading dock is free."), (503, "overloaded")),
        (429, b"", (503, "overloaded")),
        (504, b"", (504, "engine_timeout")),
        (302, b"", (502, "engine_error")),
        (413, b"", (400, "context_length_exceeded")),
    ],
)
def test_failures_are_502_503_or_504(status: int, body: Any, expected: tuple[int, str]) -> None:
    error = translated(status, body)
    assert (error.status, error.code) == expected


def test_the_words_of_a_failed_engine_are_not_shown() -> None:
    assert "10.0.0.7" not in translated(500, fault("CUDA error on 10.0.0.7")).message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"\xff",
        b'{"error":[]}',
        b"[" * 100_000,
        b'{"error":{"code":1.5}}',
    ],
    ids=lambda each: repr(each)[:20],
)
def test_odd_bodies_are_still_errors(body: bytes) -> None:
    assert translated(400, body).status == 400


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (EndReason.NO_ENGINE, (503, "no_engine")),
        (EndReason.REFUSED, (503, "no_engine")),
        (EndReason.CONNECT_TIMEOUT, (504, "engine_timeout")),
        (EndReason.FIRST_BYTE_TIMEOUT, (504, "engine_timeout")),
        (EndReason.STALLED, (504, "engine_timeout")),
        (EndReason.CLOSED, (502, "engine_error")),
        (EndReason.ABORTED, (502, "engine_error")),
        (EndReason.MALFORMED, (502, "engine_error")),
        (EndReason.TOO_LARGE, (502, "engine_error")),
        (EndReason.READER_STALLED, (408, "request_timeout")),
        (EndReason.DRAINED, (503, "draining")),
        (EndReason.CANCELLED, (503, "draining")),
    ],
)
def test_every_end_has_its_error(reason: EndReason, expected: tuple[int, str]) -> None:
    error = ended(reason)
    assert (error.status, error.code) == expected


@pytest.mark.parametrize(
    ("detail", "expected"),
    [
        ({"message": "bad grammar", "type": "BadRequestError", "code": 400}, 400),
        ({"message": "bad", "type": "BadRequestError"}, 400),
        ({"message": "boom", "type": "InternalServerError", "code": 500}, 502),
        ({"message": "boom"}, 502),
        ({"message": "gone", "code": "503"}, 503),
    ],
)
def test_an_error_inside_a_stream_has_its_own_status(detail: dict[str, Any], expected: int) -> None:
    for wrapped in (detail, {"error": detail}):
        assert ended(EndReason.ERROR_EVENT, json.dumps(wrapped)).status == expected


def test_an_answer_that_may_have_cost_tokens_is_not_to_be_tried_again() -> None:
    assert ended(EndReason.STALLED, status=True).should_retry is False
    assert ended(EndReason.CLOSED, status=True, sent=True).should_retry is False
    assert ended(EndReason.CLOSED, status=True).should_retry is None
    assert ended(EndReason.REFUSED, status=True).should_retry is None
