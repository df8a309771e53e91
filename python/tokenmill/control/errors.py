"""How control answers what went wrong: every error in the one envelope, like the data plane's.

Litestar's own exceptions become the house's; what nobody expected is logged with its traceback and
answered as our bug.
"""

import logging
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap

from tokenmill.errors import (
    ApiError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    RequestTooLarge,
    ServiceUnavailable,
    TokenmillError,
    UnsupportedMediaType,
)
from tokenmill.protocol.errors import envelope, error_headers

logger = logging.getLogger("tokenmill.control")

AnyRequest = Request[Any, Any, Any]

_BY_STATUS: dict[int, type[ApiError]] = {
    404: NotFound,
    405: MethodNotAllowed,
    413: RequestTooLarge,
    415: UnsupportedMediaType,
    503: ServiceUnavailable,
}


def _answer_known(_request: AnyRequest, error: ApiError) -> Response[bytes]:
    headers = {
        name.decode("latin-1"): value.decode("latin-1") for name, value in error_headers(error)
    }
    return Response(
        envelope(error),
        status_code=error.status,
        headers=headers,
        media_type="application/json",
    )


def _answer_framework(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    return _answer_known(request, translate(error))


def _answer_unknown(request: AnyRequest, error: Exception) -> Response[bytes]:
    logger.error(
        "a request failed",
        exc_info=error,
        extra={
            "path": request.url.path,
            "request_id": request.headers.get("x-request-id", ""),
        },
    )
    return _answer_known(request, TokenmillError())


def translate(error: HTTPException) -> ApiError:
    """The house's error for one of the framework's."""
    if isinstance(error, ValidationException):
        return _invalid(error)
    if error.status_code in _BY_STATUS:
        given = {name.lower(): value for name, value in (error.headers or {}).items()}
        if "allow" not in given:
            return _BY_STATUS[error.status_code]()
        allowed = given["allow"]
        message = f"This route does not take this method; it takes {allowed}."
        return _BY_STATUS[error.status_code](message, headers={"allow": allowed})
    if error.status_code < 500:
        return InvalidRequest(error.detail)
    return TokenmillError()


def _invalid(error: ValidationException) -> InvalidRequest:
    extra = error.extra if isinstance(error.extra, list) else []
    first = extra[0] if extra and isinstance(extra[0], dict) else {}
    param = first.get("key")
    return InvalidRequest(
        str(first.get("message") or error.detail), param=param if isinstance(param, str) else None
    )


EXCEPTION_HANDLERS: ExceptionHandlersMap = {
    ApiError: _answer_known,
    HTTPException: _answer_framework,
    Exception: _answer_unknown,
}
