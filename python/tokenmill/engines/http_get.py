"""One bounded GET or POST over HTTP/1.1, on asyncio's own streams: small enough for every process.

Made for looking at strangers: a connection a request, no redirects, no compression, head and body
bounded, and the caller sets the deadline (`asyncio.timeout`) that also bounds a trickling server.
"""

import asyncio
import contextlib
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import Sequence
from functools import cache

from tokenmill.engines.address import Address
from tokenmill.engines.recognition import Answer

HEAD_BYTES_MAX = 16 * 1024
BODY_BYTES_MAX = 1024 * 1024
"""A model list of 1,024 adapters with vLLM's permission objects is about 700 kB."""

INTERIM_ANSWERS_MAX = 4
_CHUNK_LINE_BYTES_MAX = 1_024


class BrokenAnswer(Exception):
    """What came back is not an HTTP answer, or it broke off, or it is too large."""


class Connection:
    """A fresh connection to an address, good for one question."""

    def __init__(self, address: Address, reader: StreamReader, writer: StreamWriter) -> None:
        self._address = address
        self._reader = reader
        self._writer = writer

    async def get(self, target: str, api_key: str = "") -> Answer:
        """The answer to a GET of `target`; the connection is closed afterwards.

        Raises: BrokenAnswer; OSError.
        """
        return await self._exchange(_request(self._address, f"GET {target}", api_key), target)

    async def post(self, target: str, body: bytes, api_key: str = "") -> Answer:
        """The answer to a POST of JSON; as `get` otherwise."""
        lines = ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        head = _request(self._address, f"POST {target}", api_key, lines)
        return await self._exchange(head + body, target)

    async def _exchange(self, request: bytes, target: str) -> Answer:
        try:
            self._writer.write(request)
            await self._writer.drain()
            return await _read_answer(self._reader)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise BrokenAnswer(f"{target}: the answer broke off or has no end") from error
        finally:
            self._writer.close()
            with contextlib.suppress(OSError):
                self._writer.transport.abort()  # waits for nobody: a stranger may never close


async def connect(address: Address) -> Connection:
    """A connection to the address, trusted by the system's certificates if it is encrypted.

    Raises: OSError, of which ssl.SSLError is one.
    """
    if address.path:
        streams = await asyncio.open_unix_connection(address.path, limit=HEAD_BYTES_MAX)
    else:
        tls = _trusting_system() if address.is_encrypted else None
        streams = await asyncio.open_connection(
            address.host, address.port, limit=HEAD_BYTES_MAX, ssl=tls
        )
    return Connection(address, *streams)


@cache
def _trusting_system() -> ssl.SSLContext:
    return ssl.create_default_context()


def _request(address: Address, what: str, api_key: str, more: Sequence[str] = ()) -> bytes:
    lines = [f"{what} HTTP/1.1", *more, f"Host: {address.authority}", "Accept: application/json"]
    lines += ["User-Agent: tokenmill-probe", "Connection: close"]
    if api_key:
        lines.append(f"Authorization: Bearer {api_key}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


async def _read_answer(reader: StreamReader) -> Answer:
    for _ in range(INTERIM_ANSWERS_MAX):
        status, headers = parse_head(await reader.readuntil(b"\r\n\r\n"))
        if status >= 200:
            return Answer(status, headers, await _read_body(reader, status, headers))
    raise BrokenAnswer("only interim answers")


def parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers (lower-case names; of a repeated one the last) of a whole head.

    Raises: BrokenAnswer.
    """
    status_line, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    protocol, _, rest = status_line.partition(" ")
    digits = rest[:3]
    if not protocol.startswith("HTTP/1.") or not (digits.isascii() and digits.isdigit()):
        raise BrokenAnswer("the answer is not HTTP")
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise BrokenAnswer("a header without a colon")
        headers[name.strip().lower()] = value.strip()
    return int(digits), headers


async def _read_body(reader: StreamReader, status: int, headers: dict[str, str]) -> bytes:
    if status in (204, 304):
        return b""
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return await _read_chunks(reader)
    if "content-length" in headers:
        return await reader.readexactly(_size(headers["content-length"], 10, 0))
    return await _read_to_end(reader)


async def _read_chunks(reader: StreamReader) -> bytes:
    body = bytearray()
    while True:
        line = await reader.readuntil(b"\r\n")
        if len(line) > _CHUNK_LINE_BYTES_MAX:
            raise BrokenAnswer("a chunk's head is too long")
        size = _size(line.decode("latin-1").partition(";")[0].strip(), 16, len(body))
        if size == 0:
            return bytes(body)
        body += await reader.readexactly(size)
        await reader.readexactly(2)


async def _read_to_end(reader: StreamReader) -> bytes:
    body = bytearray()
    while block := await reader.read(64 * 1024):
        body += block
        if len(body) > BODY_BYTES_MAX:
            raise BrokenAnswer(f"the answer has more than {BODY_BYTES_MAX} bytes")
    return bytes(body)


def _size(text: str, radix: int, held: int) -> int:
    try:
        size = int(text, radix) if text.isascii() and text.isalnum() else -1
    except ValueError:
        size = -1
    if size < 0:
        raise BrokenAnswer("the answer's length is not a number")
    if held + size > BODY_BYTES_MAX:
        raise BrokenAnswer(f"the answer has more than {BODY_BYTES_MAX} bytes")
    return size
