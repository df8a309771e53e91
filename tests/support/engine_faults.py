"""Every fault of an engine that clients must be told of, as scripts for `ScriptedUpstream`.

A fault is played in a stream or in a JSON answer, before the first byte that a client could get or
after it. What has to come of each stands in the README's table, which the tests read.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.support.scripted_upstream import (
    DONE,
    LAST_CHUNK,
    Close,
    Drip,
    Hang,
    Raw,
    Reset,
    Step,
    chunk,
    event,
    head,
    piece,
    usage_event,
    whole,
)

MADE = 4
"""Tokens that the engine says it made before a fault in mid-stream."""
DRIP_S = 0.005
FIRST = (head(), chunk(piece("Hi", made=MADE)))
_ERROR = {"error": {"message": "out of memory", "type": "InternalServerError", "code": 500}}
_USAGE = {"prompt_tokens": 3, "completion_tokens": MADE, "total_tokens": 3 + MADE}
_CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
_ANSWER = {"id": "chatcmpl-1", "model": "engine-m", "choices": [_CHOICE], "usage": _USAGE}
_GOOD = json.dumps(_ANSWER, separators=(",", ":")).encode()
_HALF = len(_GOOD) // 2
_STOP = piece("", "stop", made=MADE)
_ENDING = (chunk(_STOP), chunk(usage_event(3, MADE)), chunk(DONE), LAST_CHUNK)
_GIANT = b"x" * 10_000_000


@dataclass(frozen=True)
class Fault:
    """The scripts of a fault; None where it cannot come about."""

    name: str
    stream_before: Sequence[Step] | None
    stream_after: Sequence[Step] | None
    json_before: Sequence[Step] | None
    json_after: Sequence[Step] | None


def json_head(length: int, *headers: str) -> Raw:
    """The head of a JSON answer of so many bytes."""
    lines = ["HTTP/1.1 200 OK", "content-type: application/json", f"content-length: {length}"]
    return Raw("\r\n".join([*lines, *headers, "", ""]).encode())


def half_json() -> tuple[Step, ...]:
    """A JSON answer as far as its middle."""
    return json_head(len(_GOOD)), Raw(_GOOD[:_HALF])


def _cut(step: Step) -> Fault:
    """A connection that ends, or falls silent, in each of the four places."""
    return Fault("", (step,), (*FIRST, step), (step,), (*half_json(), step))


def _named(name: str, fault: Fault) -> Fault:
    return Fault(name, fault.stream_before, fault.stream_after, fault.json_before, fault.json_after)


def _streamed(name: str, data: bytes, body: bytes | None) -> Fault:
    """A fault in what an event says, as the first and as a later one; and in a JSON answer, which
    is read when it is whole, so that nothing of it is before the first byte."""
    return Fault(
        name,
        (head(), chunk(data), *_ENDING),
        (*FIRST, chunk(data), *_ENDING),
        None,
        whole(body) if body is not None else None,
    )


def _dripped() -> Fault:
    """A byte, a pause, a byte: nothing is wrong but the time that it takes."""
    lines = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    first, rest = piece("Hi", made=MADE), _STOP + DONE
    answer = json_head(len(_GOOD)).data + _GOOD
    return Fault(
        "one byte at a time",
        (Drip(lines[:30], DRIP_S), Raw(lines[30:] + first + rest), Close()),
        (Raw(lines + first + rest[:-40]), Drip(rest[-40:], DRIP_S), Close()),
        (Drip(answer[:30], DRIP_S), Raw(answer[30:])),
        (json_head(len(_GOOD)), Raw(_GOOD[:-40]), Drip(_GOOD[-40:], DRIP_S)),
    )


def _aborted() -> bytes:
    choice = _CHOICE | {"finish_reason": "abort"}
    return json.dumps(_ANSWER | {"choices": [choice]}).encode()


def _without(member: str) -> bytes:
    return json.dumps({key: value for key, value in _ANSWER.items() if key != member}).encode()


def _bare(text: str, finish: str | None = None) -> bytes:
    """A chunk without usage."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return event({"id": "chatcmpl-1", "model": "engine-m", "choices": [choice]})


def _trailed(*chunks: bytes) -> tuple[Step, ...]:
    return (*map(chunk, chunks), Raw(b"0\r\nx-checksum: 1\r\nx-tokens: 999\r\n\r\n"))


FAULTS: tuple[Fault, ...] = (
    _named("connection closed", _cut(Close())),
    _named("connection reset", _cut(Reset())),
    _named("silence", _cut(Hang())),
    _dripped(),
    Fault(
        "status 500",
        whole(_ERROR, 500),
        (*FIRST, chunk(event(_ERROR)), LAST_CHUNK),
        whole(_ERROR, 500),
        (Raw(b"HTTP/1.1 500 X\r\ncontent-length: 99\r\n\r\n{"), Close()),
    ),
    _streamed("an error, then `[DONE]`", event(_ERROR) + DONE, json.dumps(_ERROR).encode()),
    _streamed("broken JSON", b'data: {"choices":[{\n\n', _GOOD[:_HALF]),
    _streamed("invalid UTF-8", b'data: {"a":"\xff"}\n\n', _GOOD.replace(b"Hi", b"\xff")),
    _streamed("a line of 10 MB", b"data: " + _GIANT, b'{"a":"' + _GIANT),
    _streamed("`abort` as the reason to finish", piece("", "abort", made=MADE), _aborted()),
    Fault(
        "`[DONE]` before the end",
        (head(), chunk(DONE), LAST_CHUNK),
        (*FIRST, chunk(DONE), LAST_CHUNK),
        None,
        None,
    ),
    Fault(
        "no `[DONE]`",
        (head(), LAST_CHUNK),
        (*FIRST, chunk(_STOP), LAST_CHUNK),
        None,
        None,
    ),
    Fault(
        "no usage at all",
        None,
        (head(), chunk(_bare("Hi")), chunk(_bare("", "stop")), chunk(DONE), LAST_CHUNK),
        None,
        whole(_without("usage")),
    ),
    Fault("no final usage", None, (*FIRST, chunk(_STOP), chunk(DONE), LAST_CHUNK), None, None),
    Fault(
        "usage twice",
        None,
        (*FIRST, chunk(_STOP), chunk(usage_event(3, 1)), *_ENDING[1:]),
        None,
        whole(_GOOD[:-1] + b',"usage":' + json.dumps(_USAGE).encode() + b"}"),
    ),
    Fault("two reasons to finish", None, (*FIRST, chunk(_STOP), *_ENDING), None, None),
    Fault(
        "trailers after the body",
        None,
        (*FIRST, *_trailed(_STOP, usage_event(3, MADE), DONE)),
        None,
        (head(200, "application/json", "trailer: x-checksum"), *_trailed(_GOOD)),
    ),
)
"""In the order of the README's table."""

Script = Callable[[Fault], Sequence[Step] | None]
PLACES: dict[str, tuple[bool, Script]] = {
    "stream, before the first byte": (True, lambda fault: fault.stream_before),
    "stream, after it": (True, lambda fault: fault.stream_after),
    "JSON, before the first byte": (False, lambda fault: fault.json_before),
    "JSON, after it": (False, lambda fault: fault.json_after),
}
"""Columns of the table: whether a stream is asked for, and the script."""
