"""An engine in vLLM's manner that holds adapters, and does with them as it is told: for faults.

Every answer says which model gave it, so that a test sees who answered. It runs in threads of the
test, as `paced_engine` does.
"""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.support.engine_server import EngineHandler, EngineServer

BASE = "base-chat"


class AdapterEngine:
    """A serving engine. `url` is what `--engine` takes."""

    def __init__(self, port: int = 0) -> None:
        self.adapters: dict[str, str] = {}  # that it holds: name and folder
        self.loads: list[str] = []
        self.unloads: list[str] = []
        self.answered: list[str] = []  # models, in the order they were asked for
        self.before_load: Callable[[], None] = lambda: None
        self.refusal: tuple[int, str] | None = None  # of loads
        self.hold = threading.Event()  # answers wait for it
        self.hold.set()
        self._running: list[str] = []
        self._lock = threading.Lock()
        engine = self

        class Handler(_Handler):
            pass

        Handler.engine = engine
        self._server = EngineServer(Handler, port)
        self.url = self._server.url

    def die(self) -> None:
        """As when its process ends: nobody listens, connections break off, what it held is gone."""
        self._server.leave()

    def restart(self) -> "AdapterEngine":
        """Another one at the same address, which holds nothing."""
        return AdapterEngine(self._server.port)

    @contextlib.contextmanager
    def running(self, model: str) -> Iterator[None]:
        """A request runs with the model meanwhile."""
        with self._lock:
            self._running.append(model)
        try:
            yield
        finally:
            with self._lock:
                self._running.remove(model)

    def metrics(self) -> bytes:
        """As a vLLM tells them."""
        with self._lock:
            names = ",".join(sorted(set(self._running) - {BASE}))
            count = len(self._running)
        labels = f'max_lora="2",running_lora_adapters="{names}",waiting_lora_adapters=""'
        return (
            f"vllm:num_requests_running {count}.0\n"
            f"vllm:num_requests_waiting 0.0\n"
            f"vllm:lora_requests_info{{{labels}}} {time.time()}\n"
        ).encode()


@contextlib.contextmanager
def adapter_engines(count: int) -> Iterator[list[AdapterEngine]]:
    """Running engines; the list may be changed, whoever is in it at the end is ended."""
    engines = [AdapterEngine() for _ in range(count)]
    try:
        yield engines
    finally:
        for engine in engines:
            engine.hold.set()
            with contextlib.suppress(OSError):
                engine.die()


class _Handler(EngineHandler):
    engine: AdapterEngine

    def do_GET(self) -> None:
        if self.path == "/metrics":
            self.send(200, "text/plain", self.engine.metrics())
            return
        card = {"object": "model", "created": 1, "owned_by": "vllm", "parent": None}
        cards = [card | {"id": BASE, "root": "/base", "max_model_len": 4096}]
        cards += [
            card | {"id": name, "root": path, "parent": BASE}
            for name, path in self.engine.adapters.items()
        ]
        answers: dict[str, Any] = {
            "/version": {"version": "0.32.0"},
            "/health": {},
            "/v1/models": {"object": "list", "data": cards},
        }
        status = 200 if self.path in answers else 405 if "chat" in self.path else 404
        self.send_json(status, answers.get(self.path, {"detail": "No"}))

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/v1/load_lora_adapter":
            self._load(request)
        elif self.path == "/v1/unload_lora_adapter":
            self.engine.unloads.append(request["lora_name"])
            found = self.engine.adapters.pop(request["lora_name"], None)
            self.send_json(200 if found else 404, {})
        else:
            self._chat(request)

    def _load(self, request: Any) -> None:
        engine = self.engine
        engine.loads.append(request["lora_name"])
        engine.before_load()
        if engine.refusal is not None:
            status, words = engine.refusal
            self.send_json(status, {"error": {"message": words, "code": status}})
        elif request["lora_name"] in engine.adapters:
            self.send_json(400, {"error": {"message": "has already been loaded", "code": 400}})
        else:
            engine.adapters[request["lora_name"]] = request["lora_path"]
            self.send(200, "text/plain", b"Success")

    def _chat(self, request: Any) -> None:
        if not request["messages"]:  # the question of whoever looks for a parser of tools
            self.send_json(400, {"error": {"message": "no messages", "code": 400}})
            return
        model = request.get("model", BASE)
        if model != BASE and model not in self.engine.adapters:
            fault = {"message": f"no {model}", "type": "NotFoundError", "param": "model"}
            self.send_json(404, {"error": fault | {"code": 404}})
            return
        with self.engine.running(model):
            self.engine.answered.append(model)
            self.engine.hold.wait(60)
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        head = {"id": "chatcmpl-1", "created": 1, "model": model, "usage": usage}
        said = f"I am {model}"
        if not request.get("stream"):
            message = {"role": "assistant", "content": said}
            choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
            self.send_json(200, {**head, "object": "chat.completion", "choices": [choice]})
            return
        choice = {"index": 0, "delta": {"content": said}, "finish_reason": "stop"}
        event = {**head, "object": "chat.completion.chunk", "choices": [choice]}
        data = f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n".encode()
        self.send(200, "text/event-stream", data)
