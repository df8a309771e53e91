"""An engine in vLLM's manner that answers at a steady pace, for tests of processes around it.

It runs in threads of the test, so it outlives every process of a house. `max_tokens` of a request
is how many words it streams, one each `pause_s`.
"""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

from tests.support.engine_server import EngineHandler, EngineServer

MODEL = "paced-chat"
_USUAL_WORDS = 5
_METRICS = (
    b'vllm:num_requests_running{engine="0"} 0.0\n'
    b'vllm:num_requests_waiting{engine="0"} 0.0\n'
    b'vllm:kv_cache_usage_perc{engine="0"} 0.125\n'
)
_GATEWAY_DEFAULT = 1_024  # what the gateway asks for where its client asked for nothing


class PacedEngine:
    """A serving engine. `url` is what `--engine` takes."""

    def __init__(self, pause_s: float, port: int = 0) -> None:
        self.pause_s = pause_s
        self.begun = 0
        self.asked: list[tuple[str, dict[str, Any]]] = []  # paths and bodies
        self.made: dict[str, int] = {}  # words of each request, by the id it was asked with
        self._lock = threading.Lock()
        engine = self

        class Handler(_Handler):
            pass

        Handler.engine = engine
        self._server = EngineServer(Handler, port)
        self.url = self._server.url

    def note_request(self, path: str, body: dict[str, Any]) -> None:
        """One more generation has begun."""
        with self._lock:
            self.begun += 1
            self.asked.append((path, body))

    def stop(self) -> None:
        """Nobody listens at the address afterwards."""
        self._server.stop()

    def leave(self) -> None:
        """As `stop`, and connections that were kept are closed: as when its process ends."""
        self._server.leave()


@contextlib.contextmanager
def paced_engine(pause_s: float = 0.02, *, port: int = 0) -> Iterator[PacedEngine]:
    """A running engine, on a free port unless one is named."""
    engine = PacedEngine(pause_s, port)
    try:
        yield engine
    finally:
        engine.stop()


class _Handler(EngineHandler):
    engine: PacedEngine

    def do_GET(self) -> None:
        card = {"id": MODEL, "object": "model", "created": 1, "owned_by": "vllm"}
        answers: dict[str, Any] = {
            "/version": {"version": "0.11.0"},
            "/health": {},
            "/v1/models": {"object": "list", "data": [{**card, "max_model_len": 4096}]},
        }
        if self.path == "/v1/chat/completions":
            self.send_json(405, {"detail": "Method Not Allowed"})
            return
        if self.path == "/metrics":
            self.send(200, "text/plain", _METRICS)
            return
        found = answers.get(self.path)
        self.send_json(404 if found is None else 200, {"detail": "Not Found"} | (found or {}))

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if request.get("messages") == []:  # the question of whoever looks for a parser of tools
            self.send_json(400, {"error": {"message": "no messages", "code": 400}})
            return
        self.engine.note_request(self.path, request)
        asked = request.get("max_tokens") or request.get("max_completion_tokens")
        count = _USUAL_WORDS if asked in (None, _GATEWAY_DEFAULT) else asked
        if request.get("stream"):
            self._stream(count)
            return
        time.sleep(self.engine.pause_s * count)
        self.engine.made[self.headers["x-request-id"] or ""] = count
        message = {"role": "assistant", "content": "word " * count}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        self.send_json(200, {**_head("chat.completion", count), "choices": [choice]})

    def _stream(self, count: int) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        request_id = self.headers["x-request-id"] or ""
        for made in range(1, count + 1):
            self.engine.made[request_id] = made
            finish = "stop" if made == count else None
            choice = {"index": 0, "delta": {"content": f"w{made} "}, "finish_reason": finish}
            self._send_event({**_head("chat.completion.chunk", made), "choices": [choice]})
            time.sleep(self.engine.pause_s)
        self._send_event({**_head("chat.completion.chunk", count), "choices": []})
        self._send_chunk(b"data: [DONE]\n\n")
        self._send_chunk(b"")

    def _send_event(self, data: dict[str, Any]) -> None:
        self._send_chunk(b"data: " + json.dumps(data).encode() + b"\n\n")

    def _send_chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))


def _head(kind: str, made: int) -> dict[str, Any]:
    usage = {"prompt_tokens": 3, "completion_tokens": made, "total_tokens": 3 + made}
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": MODEL, "usage": usage}
