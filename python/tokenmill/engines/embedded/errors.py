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


def from_mistralrs(error: ValueError) -> EngineError:
    """What mistral.rs refused. Only the first line: a stack trace may hang below it."""
    line = str(error).split("\n", 1)[0].strip() or "the engine refused the request"
    return BadRequest(line)
