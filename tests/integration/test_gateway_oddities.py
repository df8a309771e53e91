"""Odd bytes on a connection: never a 5xx, always the envelope, and the next request is served."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.gateway import CHAT, SECRET, Gateway, running_gateway
from tests.support.scripted_upstream import ScriptedUpstream, whole

KEY = f"authorization: Bearer {SECRET}".encode()
DEEP = b'{"messages":' + b"[" * 50_000
TEXT = b'{"messages":[{"role":"user","content":"%s"}]}'


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as server:
        server.always(*whole({"choices": []}))
        yield server


@pytest.fixture
async def gateway(tmp_path: Path, upstream: ScriptedUpstream) -> AsyncIterator[Gateway]:
    async with (
        ScriptedUpstream(tmp_path / "control.sock") as control,
        running_gateway(tmp_path, upstream.url) as running,
    ):
        control.always(*whole({"error": "nothing"}, 404))
        yield running


def request(first: bytes, *lines: bytes, body: bytes = b"") -> bytes:
    """A request that is the last of its connection."""
    head = [first, b"host: x", b"connection: close", *lines]
    if body:
        head += [b"content-type: application/json", b"content-length: %d" % len(body)]
    return b"\r\n".join([*head, b"", b""]) + body


ADDRESSES = [
    b"GET /%ff HTTP/1.1",
    b"GET /%00 HTTP/1.1",
    b"GET /%ed%a0%80 HTTP/1.1",
    b"GET /v1/models/%ff%fe HTTP/1.1",
    b"GET /v1/models/%00 HTTP/1.1",
    b"GET /v1/models/../../control/keys HTTP/1.1",
    b"GET /v1/models/" + b"x" * 5_000 + b" HTTP/1.1",
    b"GET /v1/models?api_key=%ff&api_key=&&=&% HTTP/1.1",
    b"GET http://elsewhere/v1/models HTTP/1.1",
    b"FOO /v1/models HTTP/1.1",
    b"TRACE /v1/models HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"CONNECT elsewhere:443 HTTP/1.1",
]


@pytest.mark.parametrize("first", ADDRESSES, ids=lambda each: repr(each)[:50])
async def test_odd_addresses_are_no_fault_of_ours(gateway: Gateway, first: bytes) -> None:
    answer = await gateway.exchange(request(first, KEY))
    status = int(answer.split(b" ", 2)[1])
    assert 200 <= status < 500, answer
    assert (await gateway.chat()).status_code == 200


HEADERS = [
    b"authorization: Bearer \xff\xfe",
    b"authorization: Bearer",
    b"authorization: Bearer " + b"\xc3\xa9" * 100,
    b"x-request-id: \xff",
    b"content-type: \xff",
    b"content-encoding: \xff",
    b"accept: " + b"x" * 5_000,
    b"x-forwarded-for: 127.0.0.1",
    b"expect: 100-continue",
]


@pytest.mark.parametrize("line", HEADERS, ids=lambda each: repr(each)[:40])
async def test_odd_headers_are_no_fault_of_ours(gateway: Gateway, line: bytes) -> None:
    lines = [line] if line.startswith(b"authorization") else [line, KEY]
    body = TEXT % b"Hi"
    answer = await gateway.exchange(request(b"POST %s HTTP/1.1" % CHAT.encode(), *lines, body=body))
    final = answer.split(b"HTTP/1.1 ")[-1]
    assert final[:3] in (b"200", b"400", b"401", b"415"), answer
    assert (await gateway.chat()).status_code == 200


BODIES = [
    b"null",
    b"0",
    b'"x"',
    b"[]",
    b"{}",
    DEEP,
    DEEP + b"]" * 50_000 + b"}",
    TEXT % b"\xff",
    TEXT % rb"\ud800",
    TEXT % rb"\u0000",
    b"\xef\xbb\xbf" + TEXT % b"x",
    (TEXT % b"x").decode().encode("utf-16"),
    b'{"temperature":1e999,"messages":[]}',
    b'{"n":' + b"9" * 10_000 + b"}",
    b'{"messages":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
]


@pytest.mark.parametrize("body", BODIES, ids=lambda each: repr(each)[:40])
@pytest.mark.parametrize("route", [CHAT, "/v1/completions", "/v1/embeddings"])
async def test_odd_bodies_are_400_with_the_envelope(
    gateway: Gateway, upstream: ScriptedUpstream, route: str, body: bytes
) -> None:
    answer = await gateway.exchange(request(b"POST %s HTTP/1.1" % route.encode(), KEY, body=body))
    assert answer.startswith(b"HTTP/1.1 400 "), answer[:300]
    error = json.loads(answer.split(b"\r\n\r\n", 1)[1])["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert not upstream.requests
    assert (await gateway.chat()).status_code == 200
