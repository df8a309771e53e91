"""A collector of traces: OTLP over HTTP on the loopback, decoded by the protocol's own types."""

import contextlib
import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """What it got: spans, the resources they came with, and the heads of requests."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.resources: list[dict[str, Any]] = []
        self.heads: list[dict[str, str]] = []
        self.text = b""  # everything that came, for whoever looks for secrets
        collector = self

        class Handler(_Handler):
            pass

        Handler.collector = collector
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        """One export."""
        assert path == "/v1/traces"
        request = ExportTraceServiceRequest.FromString(body)
        self.heads.append(headers)
        self.text += body
        for resource in request.resource_spans:
            self.resources.append(attributes(resource.resource.attributes))
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def attributes(given: Any) -> dict[str, Any]:
    """Attributes as Python's values."""
    return {one.key: _value(one.value) for one in given}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind)


@contextlib.contextmanager
def otlp_collector() -> Iterator[Collector]:
    """A running collector."""
    collector = Collector()
    try:
        yield collector
    finally:
        collector.stop()


class _Handler(BaseHTTPRequestHandler):
    collector: Collector

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name it has
        """Tests read what was taken."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.collector.take(self.path, headers, body)
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()
