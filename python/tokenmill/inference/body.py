"""The request body: JSON, whole, no larger and no slower than allowed.

The server in front has neither a cap nor a deadline for bodies, so both are kept here. A body that
is refused unread ends its connection: what would follow on it is the rest of that body.
"""

import asyncio

from tokenmill.errors import InvalidRequest, RequestTimeout, RequestTooLarge, UnsupportedMediaType
from tokenmill.inference.deadlines import Deadlines
from tokenmill.inference.exchange import ClientGone, Exchange
from tokenmill.settings import BodyBounds

_JSON = b"application/json"
_CHARSETS = (b"", b"utf-8", b"utf8")


async def read_json(exchange: Exchange, bounds: BodyBounds, deadlines: Deadlines) -> bytes:
    """The body of a request that must be JSON.

    Raises: UnsupportedMediaType, RequestTooLarge, RequestTimeout, InvalidRequest, ClientGone.
    """
    _check_type(exchange)
    return await read_body(exchange, bounds, deadlines)


async def read_body(exchange: Exchange, bounds: BodyBounds, deadlines: Deadlines) -> bytes:
    """The body, at most `body_bytes_max` long, and in by the deadline: a base, and time by size.

    Raises: RequestTooLarge, RequestTimeout, InvalidRequest, ClientGone.
    """
    declared = _declared_length(exchange)
    if declared > bounds.body_bytes_max:
        exchange.must_close = True
        raise _too_large(bounds)
    size = declared if declared >= 0 else bounds.body_bytes_max
    seconds = bounds.body_deadline_base_ms / 1000 + size / bounds.body_bytes_per_s_min
    task = deadlines.begin(seconds)
    try:
        return await _collect(exchange, bounds, declared)
    except asyncio.CancelledError as error:
        if not deadlines.take_back(task):
            raise
        exchange.must_close = True
        raise RequestTimeout(should_retry=False) from error
    finally:
        deadlines.end(task)


async def _collect(exchange: Exchange, bounds: BodyBounds, declared: int) -> bytes:
    """All pieces. What was declared is known to be all; asking for the end would cost a wait."""
    receive = exchange.receive
    message = await receive()
    if message["type"] != "http.request":
        raise _ended_early(exchange, declared)
    first: bytes = message.get("body", b"")
    if len(first) == declared or not message.get("more_body", False):
        if len(first) > bounds.body_bytes_max:
            raise _too_large(bounds)
        return first
    pieces, size = [first], len(first)
    while size != declared and message.get("more_body", False):
        if size > bounds.body_bytes_max:
            exchange.must_close = True
            raise _too_large(bounds)
        message = await receive()
        if message["type"] != "http.request":
            raise _ended_early(exchange, declared)
        piece: bytes = message.get("body", b"")
        pieces.append(piece)
        size += len(piece)
    if size > bounds.body_bytes_max:
        raise _too_large(bounds)
    return b"".join(pieces)


def _ended_early(exchange: Exchange, declared: int) -> Exception:
    """Why a body has no end: its client went, or its chunks are none, which look the same here.

    Who has gone does not read the answer; who sent nonsense must not be told of a fault of ours.
    """
    if declared >= 0 or b"transfer-encoding" not in exchange.headers:
        return ClientGone()
    exchange.must_close = True
    return InvalidRequest("The chunks of the body are malformed, or it ended too early.")


def _declared_length(exchange: Exchange) -> int:
    """Content-Length, or -1 where there is none."""
    text = exchange.headers.get(b"content-length")
    if text is None:
        return -1
    if not text.isdigit() or len(text) > 19:
        exchange.must_close = True
        raise InvalidRequest("The Content-Length header is not a number.")
    return int(text)


def _check_type(exchange: Exchange) -> None:
    if exchange.headers.get(b"content-encoding", b"identity").lower() != b"identity":
        exchange.must_close = True
        raise UnsupportedMediaType("Send the body without Content-Encoding.")
    given = exchange.headers.get(b"content-type", b"")
    if given == _JSON:
        return
    kind, _, parameters = given.partition(b";")
    charset = parameters.strip().lower().removeprefix(b"charset=").strip(b'" ')
    if kind.strip().lower() != _JSON or charset not in _CHARSETS:
        exchange.must_close = True
        raise UnsupportedMediaType


def _too_large(bounds: BodyBounds) -> RequestTooLarge:
    size = bounds.body_bytes_max
    return RequestTooLarge(f"The request body may hold at most {size} bytes.")
