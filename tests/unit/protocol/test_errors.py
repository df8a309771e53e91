"""The envelope has four keys, always, and the headers say when to try again."""

import json

from tokenmill.errors import InvalidApiKey, InvalidRequest, ModelLoading, UpstreamError
from tokenmill.protocol.errors import envelope, error_headers, sse_event


def test_the_envelope_has_four_keys_always() -> None:
    assert json.loads(envelope(InvalidApiKey("No."))) == {
        "error": {
            "message": "No.",
            "type": "authentication_error",
            "param": None,
            "code": "invalid_api_key",
        }
    }


def test_param_is_the_path() -> None:
    error = InvalidRequest("Bad.", param="messages[2].role")
    assert json.loads(envelope(error))["error"]["param"] == "messages[2].role"


def test_the_stream_form_is_one_event() -> None:
    event = sse_event(UpstreamError('It "broke"\nhere.'))
    assert event.startswith(b"data: {")
    assert event.endswith(b"}\n\n")
    assert event.count(b"\n") == 2
    assert json.loads(event[6:])["error"]["code"] == "engine_error"


def test_retry_times_are_rounded_up_to_seconds_and_exact_in_milliseconds() -> None:
    headers = dict(error_headers(ModelLoading(retry_after_ms=1_200)))
    assert (headers[b"retry-after"], headers[b"retry-after-ms"]) == (b"2", b"1200")


def test_should_retry_is_said_only_where_it_was_decided() -> None:
    assert b"x-should-retry" not in dict(error_headers(UpstreamError()))
    assert dict(error_headers(UpstreamError(should_retry=False)))[b"x-should-retry"] == b"false"


def test_headers_of_the_error_itself_are_sent() -> None:
    error = InvalidApiKey(headers={"WWW-Authenticate": "Bearer"})
    assert dict(error_headers(error))[b"www-authenticate"] == b"Bearer"
