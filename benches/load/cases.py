"""What is asked of every server, and what its answers must be."""

import json
from typing import Any

from msgspec import Struct
from peers import MODEL

_TEXT_BEGINS = "Machine learning is"
_SENTENCE = 'Explain what this text is about, and why \\u00e9 is "quoted" in it.\n'
BURST_TOKENS = 200
PACED_TOKENS = 4_000  # 80 seconds, more than any run takes: it is left in mid-stream
PACE_MS = 20
IDLE_PACE_MS = 500


class Case(Struct, frozen=True, kw_only=True):
    """One load. `per` is what its cost is divided by."""

    name: str
    connections: int
    per: str = "answer"
    is_stream: bool = False
    has_usage: bool = False
    prompt_bytes: int = 50
    pace_ms: int = 0

    @property
    def body(self) -> bytes:
        """The request."""
        fields: dict[str, Any] = {"model": MODEL, "temperature": 0.7, "max_tokens": 500}
        text = "What is machine learning?"
        if self.prompt_bytes > len(text):
            # As JSON, with the escapes that a prompt of several lines has.
            text = (_SENTENCE * (self.prompt_bytes // len(_SENTENCE) + 1))[: self.prompt_bytes]
        fields["messages"] = [{"role": "user", "content": text}]
        if self.is_stream:
            fields["stream"] = True
            fields["max_tokens"] = PACED_TOKENS if self.pace_ms else BURST_TOKENS
        if self.has_usage:
            fields["stream_options"] = {"include_usage": True}
        if self.pace_ms:
            fields["seed"] = self.pace_ms
        return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()


CASES = (
    Case(name="json", connections=32),
    Case(name="json, 1 connection", connections=1),
    Case(name="burst", connections=32, per="chunk", is_stream=True),
    Case(name="burst with usage", connections=32, per="chunk", is_stream=True, has_usage=True),
    Case(name="paced", connections=200, per="chunk", is_stream=True, pace_ms=PACE_MS),
    Case(
        name="paced with usage",
        connections=200,
        per="chunk",
        is_stream=True,
        has_usage=True,
        pace_ms=PACE_MS,
    ),
    Case(name="64 kB prompt", connections=8, prompt_bytes=64_000),
    Case(name="1 MB prompt", connections=4, prompt_bytes=1_000_000),
)
OPEN_STREAMS = Case(
    name="open streams", connections=1000, per="chunk", is_stream=True, pace_ms=IDLE_PACE_MS
)


def wrong_answer(case: Case, body: bytes, *, is_whole: bool) -> str:
    """What is wrong with an answer, or with as much of it as came; empty if it is right."""
    try:
        if not case.is_stream:
            return _wrong_whole(json.loads(body))
        return _wrong_stream(case, body, is_whole=is_whole)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        return f"{error!r} in {body[:300]!r}"


def _wrong_whole(answer: Any) -> str:
    text = answer["choices"][0]["message"]["content"]
    made = answer["usage"]["completion_tokens"]
    return "" if text.startswith(_TEXT_BEGINS) and made == 44 else f"{text!r}, {made} tokens"


def _wrong_stream(case: Case, body: bytes, *, is_whole: bool) -> str:
    events = [event.removeprefix("data: ") for event in body.decode().split("\n\n")[:-1]]
    is_ended = events[-1] == "[DONE]"
    if is_whole and not is_ended:
        return "no [DONE] at the end"
    chunks = [json.loads(event) for event in events if event != "[DONE]"]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    text = "".join(delta.get("content") or "" for delta in deltas)
    count = text.count(" token")
    if text != "".join(f" token{number % 1000}" for number in range(1, count + 1)):
        return "the text is not what the engine said"
    if is_ended and count != BURST_TOKENS:
        return f"{count} tokens"
    usages = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
    wanted = 1 if case.has_usage and is_ended else 0
    return "" if len(usages) == wanted else f"{len(usages)} chunks with usage, not {wanted}"
