"""Long texts of a chat pass through as bytes: they are not made into Python strings and back.

A prompt may be megabytes, and nobody here reads it. Its texts are lifted out of the body natively,
what is left is decoded as ever, and each text is put back as the bytes that the encoder would write
for it. A body whose long strings stand anywhere but in messages, or in which anything is wrong, is
not for this: it is decoded whole, so what is refused, and with which words, does not depend on it.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from tokenmill._native import lift_texts
from tokenmill.protocol.chat import ChatRequest

BODY_BYTES_MIN = 32_768
"""Smaller bodies are decoded whole: it takes some tens of microseconds."""
TEXT_BYTES_MIN = 4_096

T = TypeVar("T", bound=msgspec.Struct)


def decode_lifted(body: bytes, decode: Callable[[bytes], T]) -> T | None:
    """The request in `body`, which is UTF-8, its long texts `Raw`; None: it must be decoded whole.

    NUL is in no string of it then.
    """
    lifted = lift_texts(body, TEXT_BYTES_MIN)
    if lifted is None:
        return None
    rest, texts = lifted
    try:
        request = decode(rest)
    except (msgspec.DecodeError, RecursionError):
        return None
    if not isinstance(request, ChatRequest):
        return None
    view = memoryview(body)
    count = 0
    for part, name, text in _texts_of(request):
        if text[:1] == "\0":
            found = texts[int(text[1:])]
            raw = Raw(found if isinstance(found, bytes) else view[found[0] : found[1]])
            setattr(part, name, raw)
            count += 1
    return request if count == len(texts) else None


def _texts_of(request: ChatRequest) -> Iterator[tuple[Any, str, str]]:
    """The texts of the messages, and where they stand: an object and its field."""
    for message in request.messages:
        content = message.content
        if isinstance(content, str):
            yield message, "content", content
        elif content is not None:
            for part in content:
                name = part.__struct_fields__[0]
                yield part, name, getattr(part, name)
