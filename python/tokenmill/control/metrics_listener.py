"""The private listener of metrics: GET /metrics on a port of its own, and nothing else.

Asyncio streams, because a scrape a few times a minute needs no more: a connection a request, head
and time bounded, so that a slow peer holds a few kilobytes for seconds.
"""

import asyncio
import contextlib
import logging
from asyncio import StreamReader, StreamWriter

from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import CollectorRegistry

HEAD_BYTES_MAX = 16 * 1024
REQUEST_S_MAX = 10.0
CONNECTIONS_MAX = 32

logger = logging.getLogger("tokenmill.control.metrics")


class MetricsListener:
    """Serves a registry; `port` is the one it listens on, 0 before `open` and after `close`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.port = 0
        self._registry = registry
        self._server: asyncio.Server | None = None
        self._open_count = 0

    async def open(self, host: str, port: int) -> None:
        """Listens. A taken port is logged and lived with: metrics are not worth an outage."""
        try:
            self._server = await asyncio.start_server(self._serve, host, port, limit=HEAD_BYTES_MAX)
        except OSError as error:
            logger.warning(
                "no metrics: the port cannot be listened on; set metrics.port",
                extra={"host": host, "port": port, "error": error.strerror or str(error)},
            )
            return
        self.port = int(self._server.sockets[0].getsockname()[1])
        logger.info("metrics", extra={"url": f"http://{host}:{self.port}/metrics"})

    async def close(self) -> None:
        """Stops listening; does not wait for whoever is still connected."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self.port = 0

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._open_count += 1
        try:
            if self._open_count <= CONNECTIONS_MAX:
                async with asyncio.timeout(REQUEST_S_MAX):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(self._answer(head.decode("latin-1")))
                    await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            logger.debug("a scrape was not finished")
        finally:
            self._open_count -= 1
            with contextlib.suppress(OSError):
                writer.close()

    def _answer(self, head: str) -> bytes:
        request, *lines = head.split("\r\n")
        method, _, rest = request.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if path not in ("/metrics", "/"):
            return _response("404 Not Found", "text/plain; charset=utf-8", b"see /metrics\n")
        if method not in ("GET", "HEAD"):
            return _response("405 Method Not Allowed", "text/plain; charset=utf-8", b"")
        headers = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
        encode, content_type = choose_encoder(headers.get("accept", ""))
        body: bytes = encode(self._registry)
        return _response("200 OK", content_type, body, has_body=method == "GET")


def _response(status: str, content_type: str, body: bytes, *, has_body: bool = True) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\n"
        f"content-length: {len(body)}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + (body if has_body else b"")
