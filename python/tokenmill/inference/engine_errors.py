"""What went wrong at an engine, in our words: statuses and bodies of vLLM and its kin, and ends.

Nothing of an engine's answer passes through raw. Texts differ between engines and versions, so
status, type and `param` decide where they can; a text is shown to the client only where the engine
blames the request, and then its first line, cut.
"""

import re

import msgspec
from msgspec import Struct

from tokenmill._native import End, EndReason
from tokenmill.errors import (
    ApiError,
    Draining,
    EngineTimeout,
    InvalidRequest,
    ModelLoading,
    ModelNotFound,
    NoEngine,
    RequestTimeout,
    ServiceUnavailable,
    UpstreamError,
)
from tokenmill.inference.refusing import overloaded
from tokenmill.models.lookup import RETRY_MS
from tokenmill.protocol.chat import ChatRequest
from tokenmill.protocol.completions import CompletionRequest

MESSAGE_CHARACTERS_MAX = 400

_CONTEXT_PARAMS = frozenset(("input_tokens", "input_text", "max_model_len"))
_CONTEXT = re.compile(
    r"maximum (?:context|model|input) length|context length|too many tokens", re.I
)
_SCHEMA = re.compile(r"grammar|json.?schema|structured.?output|regex|guided|xgrammar", re.I)
_LEAVING = re.compile(r"after shutdown|shutting down|EngineDeadError|engine is dead", re.I)
_LOADING = re.compile(r"\b(?:is|still) loading\b|\bloading model\b|not loaded yet", re.I)
_TRAILER = re.compile(r"\s*\((?:parameter=\w+(?:, )?)?(?:value=.*)?\)$", re.S)
_SUBJECT = re.compile(r"`?(?P<field>[a-z_]+)`? (?:must|should|cannot|is) ")
_FIELDS = frozenset((*ChatRequest.__struct_fields__, *CompletionRequest.__struct_fields__))
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_.\[\]]{0,127}")


class Blame(Struct, frozen=True):
    """The fields of a request that an engine's refusal is about, where it does not say so itself:
    the one that holds the text, and the one that holds a schema, if any."""

    text: str
    schema: str | None = None


class _Fault(Struct):
    """The inside of an OpenAI-style error, as loosely as engines write it."""

    message: str = ""
    type: str | None = None
    param: str | None = None
    code: int | str | None = None


class _Detail(Struct):
    """One entry of FastAPI's `detail`."""

    msg: str = ""
    loc: list[str | int] = []


class _Body(Struct):
    """Any error body: `{"error": {…}}`, `{"error": "…"}`, `{"detail": …}` or a bare message."""

    error: _Fault | str | None = None
    detail: list[_Detail] | str | None = None
    message: str = ""
    type: str | None = None
    param: str | None = None
    code: int | str | None = None


def from_answer(status: int, body: bytes, blame: Blame) -> ApiError:
    """The error for an engine's answer with an error status."""
    return _from_fault(status, _read(body), blame)


def from_end(end: End, blame: Blame, *, is_status: bool) -> ApiError:
    """The error for an answer that ended before it was complete.

    `is_status`: the error is the answer, of a stream or not, and not the last event of a stream;
    once tokens may have been made for it, the client is told not to pay for them twice.
    """
    error = _from_reason(end, blame)
    may_have_paid = end.sent_tokens or end.reason in _LATE
    if is_status and may_have_paid and error.status >= 500:
        error.should_retry = False
    return error


_LATE = (
    EndReason.FIRST_BYTE_TIMEOUT,
    EndReason.STALLED,
    EndReason.ABORTED,
    EndReason.TOO_LARGE,
    EndReason.MALFORMED,
)


def _from_reason(end: End, blame: Blame) -> ApiError:
    if end.reason in (EndReason.NO_ENGINE, EndReason.REFUSED):
        return NoEngine(retry_after_ms=RETRY_MS)
    if end.reason == EndReason.OVERLOADED:
        return overloaded(end.retry_after_ms)
    if end.reason == EndReason.ERROR_EVENT:
        return _from_event(end.detail.encode(), blame)
    kind, message = _ENDS.get(int(end.reason), (UpstreamError, "The engine's answer was cut off."))
    return kind(message)


_LEAVING_US = "The gateway is shutting down; the answer is incomplete."
_ENDS: dict[int, tuple[type[ApiError], str]] = {
    int(EndReason.CONNECT_TIMEOUT): (EngineTimeout, "The engine could not be reached in time."),
    int(EndReason.FIRST_BYTE_TIMEOUT): (EngineTimeout, "The engine did not answer in time."),
    int(EndReason.STALLED): (EngineTimeout, "The engine stopped in the middle of its answer."),
    int(EndReason.ABORTED): (UpstreamError, "The engine gave up; the answer is incomplete."),
    int(EndReason.MALFORMED): (UpstreamError, "The engine's answer could not be read."),
    int(EndReason.TOO_LARGE): (UpstreamError, "The engine's answer is larger than allowed."),
    int(EndReason.READER_STALLED): (RequestTimeout, "The client did not read its answer in time."),
    int(EndReason.DRAINED): (Draining, _LEAVING_US),
    int(EndReason.CANCELLED): (Draining, _LEAVING_US),
}


def _from_event(body: bytes, blame: Blame) -> ApiError:
    """An error inside a stream: its status is in `code`, if the engine says one."""
    fault = _read(body)
    status = fault.code if isinstance(fault.code, int) else 0
    if not status and isinstance(fault.code, str) and fault.code.isdigit():
        status = int(fault.code[:4])
    if not status:
        status = 400 if fault.type in ("BadRequestError", "invalid_request_error") else 500
    return _from_fault(status, fault, blame)


def _from_fault(status: int, fault: _Fault, blame: Blame) -> ApiError:
    if status >= 500 or status in (401, 403, 407) or status < 400:
        return _engine_failed(status, fault)
    if status == 429:
        return ServiceUnavailable("The engine is busy.", retry_after_ms=RETRY_MS)
    if status in (404, 405):
        if fault.type == "NotFoundError" or fault.param == "model":
            return ModelNotFound(param="model")
        return UpstreamError("The engine does not have this endpoint.")
    if status == 413 or _is_too_long(fault):
        return InvalidRequest(
            _shown(fault) or "The input is longer than the model's context.",
            param="max_tokens" if "max_tokens" in (fault.param or "") else blame.text,
            code="context_length_exceeded",
        )
    param = fault.param if fault.param and _FIELD.fullmatch(fault.param) else None
    if param is None and (subject := _SUBJECT.match(fault.message)):
        param = subject["field"] if subject["field"] in _FIELDS else None
    code = "unsupported_schema" if _SCHEMA.search(fault.message) else None
    if code is not None and blame.schema is not None:
        param = blame.schema
    shown = _shown(fault) or "no reason was given"
    return InvalidRequest(f"The engine refused the request: {shown}", param=param, code=code)


def _engine_failed(status: int, fault: _Fault) -> ApiError:
    if status == 503 and _LOADING.search(fault.message):
        return ModelLoading(retry_after_ms=RETRY_MS)
    if status == 503 or _LEAVING.search(fault.message):
        return ServiceUnavailable(
            "The engine cannot take the request now.", retry_after_ms=RETRY_MS
        )
    if status in (401, 403, 407):
        return UpstreamError("The engine refused the gateway's own key.")
    if status == 504:
        return EngineTimeout()
    return UpstreamError("The engine failed to answer the request.")


def _is_too_long(fault: _Fault) -> bool:
    if fault.param in _CONTEXT_PARAMS or fault.code == "context_length_exceeded":
        return True
    return bool(_CONTEXT.search(fault.message))


def _shown(fault: _Fault) -> str:
    """The engine's own words: first line, without the value it met, cut."""
    line = _TRAILER.sub("", fault.message).strip().split("\n", 1)[0].strip()
    if len(line) > MESSAGE_CHARACTERS_MAX:
        return line[:MESSAGE_CHARACTERS_MAX] + "…"
    return line


def _read(body: bytes) -> _Fault:
    """What an error body says; nothing, if it is none."""
    try:
        read = msgspec.json.decode(body, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Fault()
    if isinstance(read.error, _Fault):
        return read.error
    if isinstance(read.detail, list):
        first = read.detail[0] if read.detail else _Detail()
        path = [str(each) for each in first.loc if each != "body"]
        return _Fault(message=first.msg, param=".".join(path) or None)
    message = read.error or read.detail or read.message
    return _Fault(message=message, type=read.type, param=read.param, code=read.code)
