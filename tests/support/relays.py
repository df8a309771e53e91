"""Drives the native forwarder from asyncio as the gateway does, and collects what comes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenmill._native import (
    AnswerKind,
    End,
    EndReason,
    Forwarder,
    ForwardLimits,
    Head,
    Relay,
    RoutingPolicy,
    Segment,
    Usage,
    UsageShape,
    Whole,
)

WORKER = 1
TARGET = "/v1/chat/completions"


def limits(**changes: int | bool) -> ForwardLimits:
    """Limits that no healthy test meets, with the changes a test is about."""
    values = {
        "connect_ms": 20_000,
        "first_byte_ms": 20_000,
        "stall_ms": 20_000,
        "comment_ms": 20_000,
        "reader_stall_ms": 20_000,
        "buffer_bytes_max": 64 * 1024,
        "event_bytes_max": 64 * 1024,
        "answer_bytes_max": 1024 * 1024,
        "idle_connections_max": 8,
    }
    return ForwardLimits(**(values | changes))


@dataclass
class Collected:
    """All that one relay gave."""

    head: Head | None = None
    whole: Whole | None = None
    end: End | None = None
    body: bytes = b""
    parts: list[bytes] = field(default_factory=list)

    @property
    def reason(self) -> EndReason:
        """How it ended; fails the test when it gave a whole answer."""
        assert self.end is not None, self
        return self.end.reason


@dataclass
class House:
    """A forwarder, its segment, and one pool of engines."""

    segment: Segment
    forwarder: Forwarder

    def use(
        self,
        *urls: str,
        token: str | None = None,
        policy: RoutingPolicy = RoutingPolicy.POWER_OF_TWO,
    ) -> None:
        """Makes pool 0 of these engines, in slots 0, 1, …"""
        engines = [(slot, url, token) for slot, url in enumerate(urls)]
        self.forwarder.set_fleet(engines, [range(len(urls))], [policy])

    def start(self, kind: AnswerKind = AnswerKind.STREAM, **options: Any) -> Relay:
        """A chat completion's relay."""
        options = {"usage": UsageShape.CONTINUOUS} | options
        body = options.pop("body", b"{}")
        return self.forwarder.start(0, TARGET, body, kind=kind, request_id="req-1", **options)

    def plain(
        self,
        method: str = "GET",
        target: str = "/",
        headers: Sequence[tuple[bytes, bytes]] = (),
        body: bytes = b"",
    ) -> Relay:
        """A plain request's relay."""
        return self.forwarder.start_plain(0, method, target, headers, body)

    async def run(self, kind: AnswerKind = AnswerKind.STREAM, **options: Any) -> Collected:
        """All that a chat completion's relay gives."""
        return await collect(self.start(kind, **options))


@contextlib.asynccontextmanager
async def house(folder: Path, **changes: int | bool) -> AsyncIterator[House]:
    """A forwarder whose futures the running loop resolves."""
    segment = Segment.create(
        str(folder / "hot.segment"), keys_max=16, workers_max=4, engines_max=16
    )
    forwarder = Forwarder(segment, WORKER, limits(**changes))
    loop = asyncio.get_running_loop()
    loop.add_reader(forwarder.wake_fd(), forwarder.dispatch)
    try:
        yield House(segment, forwarder)
    finally:
        loop.remove_reader(forwarder.wake_fd())
        forwarder.close()


async def next_event(relay: Relay) -> Head | Whole | bytes | End:
    """The relay's next event."""
    while (item := relay.take()) is None:
        await relay
    return item


async def collect(relay: Relay) -> Collected:
    """Everything to the end, in the order it has to come in."""
    got = Collected()
    while True:
        match await next_event(relay):
            case Head() as head:
                assert got.head is None
                assert not got.parts
                got.head = head
            case Whole() as whole:
                assert got.head is None
                got.whole = whole
                return got
            case End() as end:
                got.end = end
                return got
            case bytes() as part:
                assert got.head is not None
                got.parts.append(part)
                got.body += part


async def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Returns once `holds` does; fails the test when that takes too long."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what is waited for happens on another thread
            await asyncio.sleep(0.002)


def tokens(usage: Usage) -> tuple[int, int, int]:
    """Prompt, completion and cached tokens."""
    return usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens
