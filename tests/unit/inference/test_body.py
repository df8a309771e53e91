"""Bodies are bounded in size and time, and are JSON by their own word."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tokenmill.errors import (
    ApiError,
    InvalidRequest,
    RequestTimeout,
    RequestTooLarge,
    UnsupportedMediaType,
)
from tokenmill.inference.body import read_json
from tokenmill.inference.deadlines import Deadlines
from tokenmill.inference.exchange import ClientGone, Exchange
from tokenmill.settings import BodyBounds

BOUNDS = BodyBounds(body_bytes_max=100, body_deadline_base_ms=20, body_bytes_per_s_min=1_000_000)
JSON = (b"content-type", b"application/json")


def piece(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def exchange(messages: Sequence[Any], *headers: tuple[bytes, bytes]) -> Exchange:
    """A request whose body comes as `messages`; after them nothing comes."""
    waiting = list(messages)

    async def receive() -> Any:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    async def send(message: Any) -> None:
        raise AssertionError(f"nothing is answered here: {message}")

    scope = {"type": "http", "method": "POST", "path": "/", "headers": list(headers)}
    return Exchange(scope, receive, send)


async def read(messages: Sequence[Any], *headers: tuple[bytes, bytes]) -> bytes:
    return await read_json(
        exchange(messages, *(headers or (JSON,))), BOUNDS, Deadlines(asyncio.get_running_loop())
    )


async def refused(error: type[ApiError], request: Exchange) -> ApiError:
    with pytest.raises(error) as caught:
        await read_json(request, BOUNDS, Deadlines(asyncio.get_running_loop()))
    return caught.value


async def test_a_body_in_one_piece_and_in_many() -> None:
    assert await read([piece(b"{}")]) == b"{}"
    assert await read([piece(b"{", more=True), piece(b"", more=True), piece(b"}")]) == b"{}"


@pytest.mark.parametrize(
    "kind",
    [b"application/json; charset=utf-8", b"Application/JSON", b'application/json;charset="UTF-8"'],
)
async def test_json_by_other_spellings(kind: bytes) -> None:
    assert await read([piece(b"{}")], (b"content-type", kind)) == b"{}"


@pytest.mark.parametrize(
    "headers",
    [
        ((b"accept", b"*/*"),),
        ((b"content-type", b"text/plain"),),
        ((b"content-type", b"application/x-www-form-urlencoded"),),
        ((b"content-type", b"application/json; charset=utf-16"),),
        ((b"content-type", b"application/jsonp"),),
        (JSON, (b"content-encoding", b"gzip")),
    ],
)
async def test_other_media_types_are_refused_unread(headers: Any) -> None:
    request = exchange([], *headers)
    await refused(UnsupportedMediaType, request)
    assert request.must_close


async def test_a_declared_size_over_the_cap_is_refused_unread() -> None:
    request = exchange([], JSON, (b"content-length", b"101"))
    await refused(RequestTooLarge, request)
    assert request.must_close


@pytest.mark.parametrize(
    "messages",
    [
        [piece(b"x" * 101)],
        [piece(b"x" * 60, more=True), piece(b"x" * 41)],
        [piece(b"x" * 60, more=True), piece(b"x" * 41, more=True)],
    ],
)
async def test_an_undeclared_size_over_the_cap_is_refused(messages: Any) -> None:
    await refused(RequestTooLarge, exchange(messages, JSON))


async def test_the_cap_itself_is_allowed() -> None:
    assert len(await read([piece(b"x" * 100)])) == 100
    assert len(await read([piece(b"x" * 99, more=True), piece(b"x")])) == 100


@pytest.mark.parametrize("messages", [[], [piece(b"{", more=True)]])
async def test_a_body_that_does_not_come_is_refused_in_time(messages: Any) -> None:
    request = exchange(messages, JSON, (b"content-length", b"10"))
    error = await refused(RequestTimeout, request)
    assert (error.should_retry, request.must_close) == (False, True)


@pytest.mark.parametrize("messages", [[], [piece(b"{", more=True)]])
async def test_a_client_that_goes_has_no_body(messages: Any) -> None:
    with pytest.raises(ClientGone):
        await read([*messages, {"type": "http.disconnect"}])


async def test_all_that_was_declared_is_not_waited_for_once_more() -> None:
    length = (b"content-length", b"4")
    assert await read([piece(b"{  }", more=True)], JSON, length) == b"{  }"
    assert await read([piece(b"{ ", more=True), piece(b" }", more=True)], JSON, length) == b"{  }"


async def test_a_length_that_is_no_number_is_refused() -> None:
    await refused(InvalidRequest, exchange([piece(b"{}")], JSON, (b"content-length", b"1e1")))
