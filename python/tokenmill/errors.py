"""The errors of tokenmill: one tree with three roots, by whose fault it is.

An error carries what the answer needs (status, type, code, param, retry time) and knows nothing of
JSON or HTTP libraries; `protocol/errors.py` makes the envelope. A class's docstring is its default
message and says what to do. The table of statuses, types and codes is in the README.
"""

from collections.abc import Mapping


class ApiError(Exception):
    """The request could not be answered."""

    status: int = 500
    type: str = "server_error"
    code: str = "internal_error"

    def __init__(
        self,
        message: str | None = None,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_ms: int | None = None,
        should_retry: bool | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.message = message or " ".join((type(self).__doc__ or "").split())
        self.param = param
        if code is not None:
            self.code = code
        self.retry_after_ms = retry_after_ms
        self.should_retry = should_retry
        self.headers = dict(headers or {})
        super().__init__(self.message)


class ClientError(ApiError):
    """The request is wrong; sending it again unchanged will not help."""

    status = 400
    type = "invalid_request"
    code = "invalid_request"


class UpstreamError(ApiError):
    """The engine failed. Try again; if it goes on, look at `tokenmill doctor`."""

    status = 502
    type = "server_error"
    code = "engine_error"


class TokenmillError(ApiError):
    """tokenmill failed: this is our bug. The request id finds it in the logs."""


class InvalidRequest(ClientError):
    """The request body is not valid."""


class InvalidApiKey(ClientError):
    """Invalid API key provided. Send `Authorization: Bearer pk_live_…`."""

    status = 401
    type = "authentication_error"
    code = "invalid_api_key"


class PermissionDenied(ClientError):
    """This key may not do that."""

    status = 403
    type = "permission_error"
    code = "model_not_allowed"


class InsufficientBalance(ClientError):
    """The wallet does not cover what this request may cost. Add funds."""

    status = 402
    type = "insufficient_balance"
    code = "insufficient_balance"


class InsufficientQuota(ClientError):
    """The wallet does not cover what this request may cost. Add funds."""

    status = 403
    type = "insufficient_quota"
    code = "insufficient_quota"


class NotFound(ClientError):
    """There is nothing at this address. The routes are listed at /docs."""

    status = 404
    type = "not_found"
    code = "not_found"


class ModelNotFound(NotFound):
    """The model does not exist. GET /v1/models lists the models you can use."""

    code = "model_not_found"


class MethodNotAllowed(ClientError):
    """This route does not take this method."""

    status = 405
    code = "method_not_allowed"


class RequestTimeout(ClientError):
    """The request body did not arrive in time."""

    status = 408
    code = "request_timeout"


class Conflict(ClientError):
    """The request conflicts with the state of the resource."""

    status = 409
    code = "conflict"


class RequestTooLarge(ClientError):
    """The request body is too large."""

    status = 413
    code = "request_too_large"


class UnsupportedMediaType(ClientError):
    """Send the body as `Content-Type: application/json`."""

    status = 415
    code = "unsupported_media_type"


class RateLimited(ClientError):
    """Too many requests. Try again after the given time."""

    status = 429
    type = "rate_limit_exceeded"
    code = "rate_limit_exceeded"


class ServiceUnavailable(ApiError):
    """The service cannot take the request now. Try again after the given time."""

    status = 503
    type = "service_unavailable"
    code = "overloaded"


class NoEngine(ServiceUnavailable):
    """No running inference endpoint found. Start vLLM on port 8000 of this machine, name an engine
    with `tokenmill up --engine URL`, or run `tokenmill up` for the embedded engine."""

    code = "no_engine"


class EnginesAway(ServiceUnavailable):
    """The engines of this model are away at the moment. Try again in a moment."""

    code = "no_engine"


class EnginesDraining(ServiceUnavailable):
    """The engines of this model are being drained for a restart and take nothing new. Try again in
    a moment."""

    code = "draining"


class ModelLoading(ServiceUnavailable):
    """The model is loading. Try again in a moment."""

    code = "model_loading"


class Draining(ServiceUnavailable):
    """This gateway is shutting down and takes no new requests."""

    code = "draining"


class AdapterFailed(UpstreamError):
    """No engine can load this adapter. `tokenmill adapters list` says why."""

    code = "adapter_failed"


class EngineTimeout(UpstreamError):
    """The engine did not answer in time."""

    status = 504
    code = "engine_timeout"
