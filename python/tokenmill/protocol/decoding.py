"""Bytes to Structs: the one door through which a client's JSON comes in.

A body is decoded once, into a type; what the engine later gets is encoded anew from that value, so
the two cannot read one text in two ways. Whatever is odd is a 400: bytes that are not UTF-8, a byte
order mark, NaN and infinity, numbers out of range, lone surrogates, NUL characters, deep nesting,
trailing text. Of a key that comes twice the last one counts, here and therefore in the engine;
inside schemas, whose bytes are kept, it is refused (`schemas.py`).
"""

import re
from collections.abc import Iterable
from typing import Generic, TypeVar

import msgspec

from tokenmill._native import holds_nul, not_utf8_at
from tokenmill.errors import InvalidRequest
from tokenmill.protocol.chat import ChatRequest
from tokenmill.protocol.lenient import lenient
from tokenmill.protocol.lifting import BODY_BYTES_MIN, decode_lifted
from tokenmill.protocol.wording import describe_mismatch

T = TypeVar("T", bound=msgspec.Struct)

_SURROGATE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F]"
)
_TOO_DEEP = "The body is nested too deeply."


class BodyDecoder(Generic[T]):
    """Decodes bodies of one type. Stateless once built; build one an endpoint."""

    def __init__(self, model: type[T], *, ignore_unknown: bool = False) -> None:
        self._model = model
        target = lenient(model) if ignore_unknown else model
        self._decode = msgspec.json.Decoder(target).decode
        self._lifts = issubclass(model, ChatRequest)

    def decode(self, body: bytes) -> T:
        """The request in `body`. Cost: one pass, and one more if the text is not ASCII.

        Long texts of a chat's messages may be `Raw` (see `lifting.py`).
        Raises: InvalidRequest, with the path of the field as `param` where there is one.
        """
        try:
            if not body.isascii() and (at := not_utf8_at(body)) is not None:
                raise InvalidRequest(f"The body is not UTF-8 (byte {at}).")
            if self._lifts and len(body) >= BODY_BYTES_MIN:
                lifted: T | None = decode_lifted(body, self._decode)
                if lifted is not None:
                    return lifted
            value: T = self._decode(body)
        except msgspec.ValidationError as error:
            raise describe_mismatch(str(error), self._model) from error
        except msgspec.DecodeError as error:
            raise InvalidRequest(_malformed(body, str(error))) from error
        except RecursionError as error:
            raise InvalidRequest(_TOO_DEEP) from error
        if b"\\" in body and holds_nul(body):
            raise InvalidRequest("The body holds a NUL character (\\u0000); remove it.")
        return value


def decode_query(pairs: Iterable[tuple[str, str]], model: type[T]) -> T:
    """The parameters of an address as a Struct.

    Raises: InvalidRequest, with the name as `param`; for a name that comes twice, too.
    """
    given: dict[str, str] = {}
    for name, value in pairs:
        if name in given:
            raise InvalidRequest(f"`{name}` is given twice; give it once.", param=name)
        given[name] = value
    try:
        return msgspec.convert(given, model, strict=False)
    except msgspec.ValidationError as error:
        raise describe_mismatch(str(error), model) from error


def _malformed(body: bytes, what: str) -> str:
    """The message for a body that is not JSON."""
    if not body.strip():
        return "The body is empty; send a JSON object."
    if body.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")) or body[1:2] == b"\0":
        return "The body must be UTF-8 without a byte order mark."
    if _SURROGATE.search(body):
        return "The body holds half of a surrogate pair (\\ud800 to \\udfff) in a string."
    detail = what.removeprefix("JSON is malformed: ").rstrip(".")
    return f"The body is not valid JSON: {detail}."
