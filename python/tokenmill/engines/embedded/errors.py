"""What the engine refuses, in vLLM's words: `{"error": {"message", "type", "param", "code"}}`.

Other than `tokenmill.errors`, whose envelope clients see: this is the wire between engine and
gateway, and the gateway translates it as it does for a vLLM.
"""

import re

import msgspec
from msgspec import Struct


class EngineError(Exception):
    """The embedded engine failed; its log says why."""

    status = 500
    type = "InternalServerError"

    def __init__(
        self, message: str, *, param: str | None = None, retry_after_s: int | None = None
    ) -> None:
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        super().__init__(message)


class BadRequest(EngineError):
    """The request is wrong, or asks for what this engine cannot do."""

    status = 400
    type = "BadRequestError"


class InvalidUserInput(BadRequest):
    """A wrong request on the adapters' routes, which have a type of their own in vLLM."""

    type = "InvalidUserInput"


class PromptTooLong(BadRequest):
    """The prompt does not fit into the model's context; recognised by its `param`."""

    def __init__(self, prompt_tokens: int, context_tokens: int, *, is_estimate: bool = False):
        counted = f"at least {prompt_tokens}" if is_estimate else str(prompt_tokens)
        super().__init__(
            f"This model's maximum context length is {context_tokens} tokens. However, your prompt "
            f"contains {counted} input tokens. Please reduce the length of the input prompt.",
            param="input_tokens",
        )


class NotFound(EngineError):
    """There is no such model or adapter."""

    status = 404
    type = "NotFoundError"


class BodyTooLarge(EngineError):
    """The body is larger than the engine reads."""

    status = 413
    type = "BadRequestError"


class Busy(EngineError):
    """The queue is full, or the model is still loading."""

    status = 503
    type = "ServiceUnavailableError"


class ErrorInfo(Struct):
    """The inside of the envelope."""

    message: str
    type: str
    param: str | None
    code: int


class ErrorBody(Struct):
    """The envelope."""

    error: ErrorInfo


_ENCODER = msgspec.json.Encoder()


def encode_error(error: EngineError) -> bytes:
    """The JSON envelope of `error`."""
    return _ENCODER.encode(
        ErrorBody(ErrorInfo(error.message, error.type, error.param, error.status))
    )


def unsupported(param: str, why: str = "") -> BadRequest:
    """The refusal of a field that this engine cannot honour."""
    reason = f": {why}" if why else "."
    return BadRequest(f"`{param}` is not supported by the embedded engine{reason}", param=param)


_AT_PATH = re.compile(r" - at `(?:key in )?\$\.?(.*?)`$")
_UNKNOWN = re.compile(r"^Object contains unknown field `([^`]*)`")


def from_validation(error: msgspec.DecodeError) -> BadRequest:
    """What msgspec found wrong, with the path of the field as `param`."""
    text = str(error)
    found = _AT_PATH.search(text)
    path = found.group(1) if found else ""
    if unknown := _UNKNOWN.match(text):
        field = unknown.group(1)
        return unsupported(f"{path}.{field}" if path else field)
    message = text[: found.start()] if found else text
    return BadRequest(f"`{path}`: {message}" if path else message, param=path or None)


# What mistral.rs says when the request is at fault; there are no codes. Anything else is its own.
_CLIENT_FAULT = re.compile(
    r"Invalid grammar|JSON schema|Parser Error|empty prompt|max_tokens|truncate_sequence"
)
_ADAPTER_GONE = re.compile(r"^adapter alias .* is not registered")


def from_mistralrs(error: ValueError, *, has_grammar: bool = False) -> EngineError:
    """What mistral.rs refused or failed at. Only the first line: a stack trace may hang below it.

    With a grammar any failure is put down to it: some of them fail in many ways as they are used.
    """
    line = str(error).split("\n", 1)[0].strip() or "no reason given"
    if _ADAPTER_GONE.match(line):
        return NotFound(line, param="model")
    if "truncate_sequence" in line:
        return BadRequest(line, param="input_tokens")
    if _CLIENT_FAULT.search(line):
        return BadRequest(line)
    if has_grammar:
        return BadRequest(f"the grammar could not be followed: {line}")
    return EngineError(line)
