"""The embedded engine as a process of its own, and a small client for it. Standard library only."""

import contextlib
import http.client
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.ports import fresh_port
from tests.support.services import require

DEADLINE_S = 30.0
DEMO = Path(__file__).parents[2] / "python/tokenmill/engines/embedded/demo"


def demo_model() -> str:
    """What `--model` is for the demo model; skips where it, or mistral.rs, is not there."""
    if importlib.util.find_spec("mistralrs") is None:
        require("embedded", "install tokenmill with the `embedded` extra")
    named = os.environ.get("TOKENMILL_TEST_DEMO_MODEL", "")
    if not named and not (DEMO / "model.safetensors").is_file():
        require("embedded", "the demo model's weights are not in this checkout")
    return named


class Engine:
    """A running engine at `port`."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self.process = process
        self.url = f"http://127.0.0.1:{port}"

    def connect(self) -> http.client.HTTPConnection:
        """A connection of one's own."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)

    def call(self, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and body (decoded when it is JSON) of a GET, or of a POST if there is a body."""
        status, _, text = self.exchange(path, body)
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text

    def exchange(self, path: str, body: Any = None) -> tuple[int, dict[str, str], str]:
        """Status, headers by lower-case name, and text. `body` may be bytes, sent as they are."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = self.connect()
        with contextlib.closing(connection):
            connection.request("GET" if data is None else "POST", path, data)
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return response.status, headers, response.read().decode()

    def chat(self, content: str, **fields: Any) -> dict[str, Any]:
        """The answer to one user message at temperature 0; it must be a 200."""
        status, answer = self.call("/v1/chat/completions", chat_body(content, **fields))
        assert status == 200, answer
        return dict(answer)

    def events(self, path: str, body: dict[str, Any]) -> list[Any]:
        """The events of a stream, decoded; `[DONE]` as it is."""
        status, headers, text = self.exchange(path, body | {"stream": True})
        assert status == 200, text
        assert headers["content-type"].startswith("text/event-stream")
        data = [part.removeprefix("data: ") for part in text.split("\n\n") if part]
        return [each if each == "[DONE]" else json.loads(each) for each in data]

    def gauge(self, name: str) -> float:
        """The value of a metric without labels of its own."""
        _, text = self.call("/metrics")
        for line in text.splitlines():
            if line.startswith(f"vllm:{name}{{"):
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError(f"no metric {name}")

    def wait_for(self, name: str, value: float) -> None:
        """Returns when the gauge has that value."""
        deadline = time.monotonic() + DEADLINE_S
        while (now := self.gauge(name)) != value:
            assert time.monotonic() < deadline, f"{name} is {now}, not {value}"
            time.sleep(0.005)


def chat_body(content: str, **fields: Any) -> dict[str, Any]:
    """A chat of one user message at temperature 0."""
    return {"messages": [{"role": "user", "content": content}], "temperature": 0, **fields}


@contextlib.contextmanager
def running_engine(*arguments: str, model: str = "", port: int = 0) -> Iterator[Engine]:
    """An engine on this port, or a free one, ready; it is killed afterwards, whatever it does."""
    port = port or fresh_port()
    command = [sys.executable, "-m", "tokenmill.engines.embedded", "--port", str(port), *arguments]
    process = subprocess.Popen([*command, "--model", model], stderr=subprocess.PIPE)
    engine = Engine(port, process)
    try:
        wait_until_ready(engine)
        yield engine
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def wait_until_ready(engine: Engine) -> None:
    """Returns when /health is 200; fails at once when the process has ended."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        with contextlib.suppress(OSError):
            if engine.call("/health")[0] == 200:
                return
        if engine.process.poll() is not None:
            assert engine.process.stderr is not None
            log = engine.process.stderr.read().decode()
            raise AssertionError(f"the engine ended by itself: {log}")
        assert time.monotonic() < deadline, "the engine is not ready in time"
        time.sleep(0.01)
