"""A scripted Kubernetes API for EndpointSlices: lists in pages, watches, versions that expire.

It runs in threads of the test, over TLS, and asks for a token. `put` and `delete` are what a
cluster's controllers would do; a test can end watches, forget the past, and be away.
"""

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

CERTIFICATES = Path(__file__).parent / "certificates"
SELECTOR = "app=vllm"
NAMESPACE = "models"
PATH = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"


def endpoint(host: str, pod: str = "", **conditions: bool | None) -> dict[str, Any]:
    """One endpoint of a slice."""
    target = {"targetRef": {"kind": "Pod", "name": pod}} if pod else {}
    return {"addresses": [host], "conditions": conditions, **target}


def endpoint_slice(name: str, port: int, *endpoints: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A slice as the API shows it; its version is the server's."""
    return {
        "metadata": {"name": name, "labels": {"app": "vllm"}},
        "addressType": "IPv4",
        "endpoints": list(endpoints),
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        **more,
    }


class KubernetesApi:
    """The server. What it was asked is in `asked`."""

    def __init__(self, account: Path) -> None:
        self.account = account
        self.asked: list[dict[str, str]] = []
        self.lists = 0  # pages of the list that were given
        self.refusals = 0  # while it was away
        self.page = 500
        self.is_away = False
        self._version = 100
        self._oldest = 100
        self._slices: dict[str, dict[str, Any]] = {}
        self._events: list[tuple[int, dict[str, Any]]] = []
        self._news = threading.Condition()
        self.watches_ended = 0
        self.token = ""
        self.change_token("first")
        (account / "namespace").write_text(NAMESPACE)
        (account / "ca.crt").write_bytes((CERTIFICATES / "authority.pem").read_bytes())
        api = self

        class Handler(_Handler):
            pass

        Handler.api = api
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(CERTIFICATES / "engine.pem", CERTIFICATES / "engine.key")
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def change_token(self, token: str) -> None:
        """From now on the API wants this one, which stands in the account's file."""
        self.token = token
        (self.account / "token").write_text(f"{token}\n")

    def put(self, one: dict[str, Any]) -> None:
        """Makes or changes a slice."""
        name = one["metadata"]["name"]
        self._note("MODIFIED" if name in self._slices else "ADDED", one)

    def delete(self, name: str) -> None:
        self._note("DELETED", self._slices[name])

    def bookmark(self) -> None:
        """Tells watches how far they have come."""
        self._note("BOOKMARK", {"metadata": {}})

    def end_watches(self) -> None:
        """As when their time is over, or the server goes."""
        with self._news:
            self.watches_ended += 1
            self._news.notify_all()

    def forget(self) -> None:
        """What happened up to now is not known any more: watches from before are refused."""
        with self._news:
            self._oldest = self._version
            self._events.clear()

    def send(self, event: dict[str, Any]) -> None:
        """An event that is none of the slices'."""
        with self._news:
            self._events.append((self._version, event))
            self._news.notify_all()

    def stop(self) -> None:
        self.end_watches()
        self._server.shutdown()
        self._server.server_close()

    def _note(self, kind: str, one: dict[str, Any]) -> None:
        with self._news:
            self._version += 1
            version = str(self._version)
            shown = {**one, "metadata": {**one["metadata"], "resourceVersion": version}}
            if kind == "DELETED":
                del self._slices[one["metadata"]["name"]]
            elif kind != "BOOKMARK":
                self._slices[one["metadata"]["name"]] = shown
            self._events.append((self._version, {"type": kind, "object": shown}))
            self._news.notify_all()

    def listed(self, query: dict[str, str]) -> dict[str, Any]:
        """A page of the list."""
        with self._news:
            names = sorted(self._slices)
            start = int(query.get("continue") or 0)
            some = [self._slices[name] for name in names[start : start + self.page]]
            rest = str(start + self.page) if start + self.page < len(names) else ""
            metadata = {"resourceVersion": str(self._version), "continue": rest}
            return {"kind": "EndpointSliceList", "metadata": metadata, "items": some}

    def events(self, version: int, ended: int) -> Iterator[dict[str, Any]]:
        """What happens after that version, until watches are ended once more than `ended` times."""
        if version < self._oldest:
            gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
            yield {"type": "ERROR", "object": gone}
            return
        at = 0
        while True:
            with self._news:
                self._news.wait_for(
                    lambda at=at: len(self._events) != at or self.watches_ended != ended, 60
                )
                if self.watches_ended != ended:
                    return
                fresh, at = self._events[at:], len(self._events)
            for number, event in fresh:
                if number > version:
                    yield event


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: KubernetesApi

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name it has
        """Tests read `asked`."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        ended = self.api.watches_ended  # before anybody can see that this one is asked for
        self.api.asked.append(query)
        self.close_connection = True
        if self.api.is_away:
            self.api.refusals += 1
            self._send(503, {"kind": "Status", "code": 503, "message": "apiserver is away"})
        elif self.headers["authorization"] != f"Bearer {self.api.token}":
            self._send(401, {"kind": "Status", "code": 401, "reason": "Unauthorized"})
        elif parts.path != PATH or query["labelSelector"] != SELECTOR:
            self._send(404, {"kind": "Status", "code": 404, "reason": "NotFound"})
        elif "watch" in query:
            self._watch(int(query["resourceVersion"]), ended)
        else:
            self.api.lists += 1
            self._send(200, self.api.listed(query))

    def _watch(self, version: int, ended: int) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/json;stream=watch")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        with contextlib.suppress(OSError):
            for event in self.api.events(version, ended):
                line = json.dumps(event).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            self.wfile.write(b"0\r\n\r\n")

    def _send(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
