"""Chat requests as tests send them, and what came back, down to how a stream ended."""

import json
import threading
from dataclasses import dataclass, field
from typing import Any

import httpx

PATH = "/v1/chat/completions"
LONG = 1_000
"""Words of a stream that is under way, at the usual pace, for longer than a test needs meanwhile;
the engine hurries once its `pause_s` is nothing."""


def body(words: int | None = None, *, stream: bool = False) -> dict[str, Any]:
    """A request for so many words."""
    request: dict[str, Any] = {
        "model": "auto",
        "messages": [{"role": "user", "content": "Say something."}],
        "stream": stream,
    }
    return request if words is None else {**request, "max_tokens": words}


@dataclass
class Streamed:
    """What a client saw of one stream."""

    status: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)
    is_done: bool = False  # `[DONE]` came
    error: dict[str, Any] | None = None  # an error event came, or an error status
    broke: str = ""  # the connection broke, and how

    @property
    def is_whole(self) -> bool:
        """Whether it ended as a good stream does."""
        return self.is_done and self.error is None and not self.broke

    @property
    def has_all(self) -> bool:
        """Whether all of a good answer came, whatever became of the connection behind it."""
        finishes = (each.get("finish_reason") for one in self.events for each in one["choices"])
        return self.is_done and self.error is None and any(finishes)


class Stream:
    """A streamed request in a thread of its own."""

    def __init__(self, client: httpx.Client, words: int) -> None:
        self.seen = Streamed()
        self.has_begun = threading.Event()
        self._client = client
        self._words = words
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float = 30.0) -> Streamed:
        """What was seen, when it is over."""
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), f"a stream goes on after {timeout_s} s"
        return self.seen

    def _run(self) -> None:
        try:
            with self._client.stream("POST", PATH, json=body(self._words, stream=True)) as answer:
                self.seen.status = answer.status_code
                if answer.status_code != 200:
                    self.seen.error = json.loads(answer.read())["error"]
                    return
                for line in answer.iter_lines():
                    self._note(line)
        except httpx.HTTPError as error:
            self.seen.broke = repr(error)
        finally:
            self.has_begun.set()

    def _note(self, line: str) -> None:
        if not line.startswith("data: "):
            return
        data = line.removeprefix("data: ")
        if data == "[DONE]":
            self.seen.is_done = True
            return
        event = json.loads(data)
        if "error" in event:
            self.seen.error = event["error"]
        else:
            self.seen.events.append(event)
        self.has_begun.set()


def start_streams(client: httpx.Client, count: int, words: int) -> list[Stream]:
    """Streams that have all begun."""
    streams = [Stream(client, words) for _ in range(count)]
    for stream in streams:
        assert stream.has_begun.wait(20), "a stream does not begin"
    return streams
