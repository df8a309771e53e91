"""Raw requests whose length, or whose very number, two HTTP readers could disagree about.

Each is sent with `MARKER` behind it: a reader that takes the request for shorter or longer than its
sender meant serves the marker, or a part of the body, as a request of its own.
"""

import json
from dataclasses import dataclass

from tests.support.gateway import CHAT, HI, SECRET

MARKER = (
    f"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {SECRET}\r\n"
    "x-request-id: marker\r\nconnection: close\r\n\r\n"
).encode()
BODY = json.dumps({"messages": HI}).encode()
SIZE = len(BODY)
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (SIZE, BODY)
_SMUGGLED = b"GET /v1/models HTTP/1.1\r\nhost: x\r\nx-ignored: "
_TE = b"transfer-encoding: chunked"


@dataclass(frozen=True)
class RawRequest:
    """A request, and what becomes of it: `refused` (400 or the like, and the connection closes),
    `alone` (served, and the connection closes), or `both` (the marker is served too)."""

    name: str
    data: bytes
    fate: str = "refused"


def post(*lines: bytes, body: bytes = BODY, first: bytes = b"") -> bytes:
    """A chat completion with these header lines beside the usual ones."""
    head = [first or b"POST %s HTTP/1.1" % CHAT.encode(), b"host: x"]
    head += [f"authorization: Bearer {SECRET}".encode(), b"content-type: application/json", *lines]
    return b"\r\n".join([*head, b"", b""]) + body


def get(*lines: bytes, first: bytes = b"GET /v1/models HTTP/1.1", body: bytes = b"") -> bytes:
    """A list of models."""
    return (
        b"\r\n".join([first, f"authorization: Bearer {SECRET}".encode(), *lines, b"", b""]) + body
    )


def length(value: object, body: bytes = BODY) -> bytes:
    """A request with this Content-Length."""
    return post(f"content-length: {value}".encode(), body=body)


def encoding(value: bytes) -> bytes:
    """A chunked body under this Transfer-Encoding."""
    return post(b"transfer-encoding: " + value, body=CHUNKED)


def chunks(body: bytes) -> bytes:
    """A request with this as its chunked body."""
    return post(_TE, body=body)


_HOST = b"host: x"
_LENGTH = b"content-length: %d" % SIZE

CORPUS: tuple[RawRequest, ...] = (
    RawRequest("a good one", length(SIZE), "both"),
    RawRequest("a good chunked one", chunks(CHUNKED), "alone"),
    # Both lengths. The server drops the one; nothing that follows is believed.
    RawRequest("length and chunks, chunks end first", post(_LENGTH, _TE, body=CHUNKED), "alone"),
    RawRequest("length and chunks, swapped", post(_TE, _LENGTH, body=CHUNKED), "alone"),
    RawRequest(
        "an empty chunked body under a length",
        post(b"content-length: %d" % (5 + len(_SMUGGLED)), _TE, body=b"0\r\n\r\n" + _SMUGGLED),
    ),
    RawRequest(
        "a length that ends inside the chunks",
        post(b"content-length: 4", _TE, body=b"5c\r\n" + _SMUGGLED + b"\r\n0\r\n\r\n"),
    ),
    # Content-Length.
    RawRequest("two lengths", post(_LENGTH, b"content-length: 0")),
    RawRequest("two lengths, the first is 0", post(b"content-length: 0", _LENGTH)),
    RawRequest("the same length twice", post(_LENGTH, _LENGTH), "both"),  # RFC 9110, 8.6
    RawRequest("a list of lengths", length(f"{SIZE}, {SIZE}")),
    RawRequest("a list of two lengths", length(f"{SIZE}, 0")),
    RawRequest("a length with a plus", length(f"+{SIZE}")),
    RawRequest("a negative length", length(-1)),
    RawRequest("a hexadecimal length", length(hex(SIZE))),
    RawRequest("a length in two words", length(f"{SIZE} {SIZE}")),
    RawRequest("an empty length", length("")),
    RawRequest("a length with an exponent", length("1e1")),
    RawRequest("a length with a fraction", length(f"{SIZE}.0")),
    RawRequest("a length over 64 bits", length("9" * 25)),
    RawRequest("a length of other digits", length("\N{ARABIC-INDIC DIGIT FIVE}")),
    RawRequest("a length with a vertical tab", length(f"\x0b{SIZE}")),
    RawRequest("a length before a colon with a space", post(b"content-length : %d" % SIZE)),
    RawRequest("a length with an underscore", post(b"content_length: 0", _LENGTH), "both"),
    RawRequest(
        "a length named as hop by hop", post(_LENGTH, b"connection: content-length"), "both"
    ),
    # Transfer-Encoding.
    RawRequest("an unknown encoding", encoding(b"xchunked")),
    RawRequest("identity", encoding(b"identity")),
    RawRequest("chunked, then identity", encoding(b"chunked, identity")),
    RawRequest("gzip, then chunked", encoding(b"gzip, chunked")),
    RawRequest("chunked twice in a list", encoding(b"chunked, chunked")),
    RawRequest("chunked twice", post(_TE, _TE, body=CHUNKED)),
    RawRequest(
        "chunked, and identity apart", post(_TE, b"transfer-encoding: identity", body=CHUNKED)
    ),
    RawRequest(
        "identity, and chunked apart", post(b"transfer-encoding: identity", _TE, body=CHUNKED)
    ),
    RawRequest("chunked with a parameter", encoding(b"chunked;a=b")),
    RawRequest("chunked in quotes", encoding(b'"chunked"')),
    RawRequest("chunked behind a vertical tab", encoding(b"\x0bchunked")),
    RawRequest("chunked behind a tab", encoding(b"\tchunked"), "alone"),
    RawRequest("CHUNKED", encoding(b"CHUNKED"), "alone"),
    RawRequest("an empty encoding", encoding(b"")),
    RawRequest("a space before the colon", post(b"transfer-encoding : chunked", body=CHUNKED)),
    RawRequest("a tab before the colon", post(b"transfer-encoding\t: chunked", body=CHUNKED)),
    RawRequest("a folded encoding", post(b"transfer-encoding:\r\n chunked", body=CHUNKED)),
    RawRequest(
        "chunks in HTTP/1.0", post(_TE, body=CHUNKED, first=b"POST %s HTTP/1.0" % CHAT.encode())
    ),
    # Chunks.
    RawRequest("a chunk's size behind 0x", chunks(b"0x%x\r\n%s\r\n0\r\n\r\n" % (SIZE, BODY))),
    RawRequest("a negative chunk", chunks(b"-1\r\n%s\r\n0\r\n\r\n" % BODY)),
    RawRequest("a chunk over 64 bits", chunks(b"fffffffffffffffff\r\n%s\r\n0\r\n\r\n" % BODY)),
    RawRequest(
        "a chunk's size with a line feed alone", chunks(b"%x\n%s\r\n0\r\n\r\n" % (SIZE, BODY))
    ),
    RawRequest(
        "a chunk's end with a line feed alone", chunks(b"%x\r\n%s\n0\r\n\r\n" % (SIZE, BODY))
    ),
    RawRequest("a chunk longer than its size", chunks(b"%x\r\n%s\r\n0\r\n\r\n" % (SIZE - 1, BODY))),
    RawRequest(
        "an extension with a line feed", chunks(b"%x;a\nb\r\n%s\r\n0\r\n\r\n" % (SIZE, BODY))
    ),
    RawRequest("an extension", chunks(b"%x;a=b\r\n%s\r\n0\r\n\r\n" % (SIZE, BODY)), "alone"),
    RawRequest("an empty chunk's size", chunks(b"\r\n%s\r\n0\r\n\r\n" % BODY)),
    RawRequest(
        "a trailer that is a length", chunks(CHUNKED[:-2] + b"content-length: 0\r\n\r\n"), "alone"
    ),
    # Lines.
    RawRequest("line feeds alone", length(SIZE).replace(b"\r\n", b"\n"), "both"),
    RawRequest("a carriage return in a value", post(_LENGTH, b"x-a: b\rc: d")),
    RawRequest("a NUL in a value", post(_LENGTH, b"x-a: b\x00c")),
    RawRequest("a space in a name", post(_LENGTH, b"x a: b")),
    RawRequest("no colon", post(_LENGTH, b"x-a")),
    RawRequest("no name", post(_LENGTH, b": b")),
    RawRequest("a first header that is folded", get(b" " + _HOST)),
    RawRequest("a folded value", get(_HOST, b"x-a: b\r\n c")),
    RawRequest("two spaces in the first line", get(_HOST, first=b"GET  /v1/models HTTP/1.1")),
    RawRequest("a tab in the first line", get(_HOST, first=b"GET\t/v1/models\tHTTP/1.1")),
    RawRequest("a word too many", get(_HOST, first=b"GET /v1/models /x HTTP/1.1")),
    RawRequest("HTTP/1.2", get(_HOST, first=b"GET /v1/models HTTP/1.2")),
    RawRequest("HTTP/2.0", get(_HOST, first=b"GET /v1/models HTTP/2.0")),
    RawRequest("http/1.1", get(_HOST, first=b"GET /v1/models http/1.1")),
    RawRequest("HTTP/0.9", b"GET /v1/models\r\n\r\n"),
    RawRequest("a NUL in the method", get(_HOST, first=b"GE\x00T /v1/models HTTP/1.1")),
    RawRequest("an empty line before", b"\r\n" + get(_HOST), "both"),
    # Host.
    RawRequest("no host", get()),
    RawRequest("two hosts", get(_HOST, b"host: y")),
    RawRequest("an empty host", get(b"host:")),
    RawRequest(
        "a host elsewhere in the address",
        get(_HOST, first=b"GET http://y/v1/models HTTP/1.1"),
        "both",
    ),
    # Bodies where none is expected.
    RawRequest("GET with a body", get(_HOST, b"content-length: 3", body=b"abc"), "both"),
    RawRequest("GET with chunks", get(_HOST, _TE, body=b"3\r\nabc\r\n0\r\n\r\n"), "alone"),
    RawRequest(
        "HEAD with a body",
        get(_HOST, b"content-length: 3", first=b"HEAD /v1/models HTTP/1.1", body=b"abc"),
        "both",
    ),
    RawRequest(
        "a body that is a request",
        get(_HOST, b"content-length: %d" % len(MARKER), body=MARKER),
        "both",
    ),
    RawRequest("an upgrade", post(_LENGTH, b"connection: upgrade", b"upgrade: h2c"), "both"),
    RawRequest("two good ones", length(SIZE) + length(SIZE), "both"),
)
