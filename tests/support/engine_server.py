"""The HTTP server of engines that run in threads of a test and so outlive processes of a house."""

import contextlib
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class EngineServer(ThreadingHTTPServer):
    """Serves from its making on, on a free port unless one is named."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, handler: type[BaseHTTPRequestHandler], port: int) -> None:
        self._connections: list[socket.socket] = []
        super().__init__(("127.0.0.1", port), handler)
        self.port = int(self.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)
        self._thread.start()

    def get_request(self) -> tuple[socket.socket, Any]:
        """The next connection, which is remembered."""
        connection, address = super().get_request()
        self._connections.append(connection)
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went is what many of these tests are about."""

    def stop(self) -> None:
        """Nobody listens at the address afterwards."""
        self.shutdown()
        self.server_close()
        self._thread.join()

    def leave(self) -> None:
        """As `stop`, and connections that were kept are closed: as when its process ends."""
        self.stop()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class EngineHandler(BaseHTTPRequestHandler):
    """Answers at once, and says nothing of it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name it has
        """Tests read answers, not this."""

    def send_json(self, status: int, body: Any) -> None:
        """A whole answer of JSON."""
        self.send(status, "application/json", json.dumps(body).encode())

    def send(self, status: int, content_type: str, data: bytes) -> None:
        """A whole answer."""
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
