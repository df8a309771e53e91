"""OpenAI's error JSON: the four-key envelope, its SSE form and the headers that go with it.

This is the only place where an error becomes JSON. What an error means stands in
`tokenmill.errors`; who sends the bytes does not matter here.
"""

import msgspec
from msgspec import Struct

from tokenmill.errors import ApiError


class ErrorDetail(Struct, frozen=True):
    """What went wrong. All four keys are always there; `param` and `code` may be null."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorEnvelope(Struct, frozen=True):
    """The body of every answer that is not a success."""

    error: ErrorDetail


_ENCODER = msgspec.json.Encoder()


def envelope(error: ApiError) -> bytes:
    """The JSON body of `error`."""
    detail = ErrorDetail(error.message, error.type, error.param, error.code)
    return _ENCODER.encode(ErrorEnvelope(detail))


def sse_event(error: ApiError) -> bytes:
    """`error` as the last event of a stream; no `[DONE]` may follow it."""
    return b"data: " + envelope(error) + b"\n\n"


def error_headers(error: ApiError) -> list[tuple[bytes, bytes]]:
    """The headers that tell a client when, or whether, to try again, and those of the error itself.

    `retry-after` is whole seconds, rounded up; `retry-after-ms` is exact. The OpenAI clients read
    both, and obey `x-should-retry` before anything else.
    """
    headers = [(b"content-type", b"application/json")]
    if error.retry_after_ms is not None:
        headers.append((b"retry-after", b"%d" % -(-error.retry_after_ms // 1000)))
        headers.append((b"retry-after-ms", b"%d" % error.retry_after_ms))
    if error.should_retry is not None:
        headers.append((b"x-should-retry", b"true" if error.should_retry else b"false"))
    for name, value in error.headers.items():
        headers.append((name.lower().encode("latin-1"), value.encode("latin-1")))
    return headers
