"""A steady load on several houses, as from behind a load balancer, and a diary of what came of it.

A request that finds nobody at one house goes to the next one, as a load balancer would send it;
nothing else is tried again. Half of the requests are streams.
"""

import asyncio
import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from tests.support.background_load import BackgroundLoad

Outcome = Literal["whole", "cut", "refused", "broke"]
"""whole: as asked. cut: a stream that ended with an error event. refused: an error status. broke:
the connection ended before the answer did."""

PAUSE_S = 0.02


@dataclass(frozen=True)
class Entry:
    """One request of the diary; times are monotonic seconds."""

    began_s: float
    ended_s: float
    outcome: Outcome
    detail: str
    words: int  # that its client received, at least
    turned: int  # houses that nobody listened at


@dataclass
class Asking:
    """What a client is at."""

    began_s: float
    is_answered: bool = False  # with a status, or by nobody
    is_over: bool = False


class FleetLoad(BackgroundLoad):
    """Clients that go on asking until the end. `urls` may be changed while they run."""

    def __init__(self, urls: Sequence[str], secret: str, *, clients: int, words: int) -> None:
        super().__init__()
        self.urls = list(urls)
        self.diary: list[Entry] = []
        self._secret = secret
        self._clients = clients
        self._words = words
        self._turns = itertools.count()
        self._asking: dict[int, Asking] = {}

    def has_heard_since(self, since_s: float) -> bool:
        """Whether nobody waits for a status that asked before: who was asked before `urls` were
        changed has got it. Streams may go on."""
        return all(one.is_answered or one.began_s > since_s for one in self._asking.values())

    def is_over_since(self, since_s: float) -> bool:
        """Whether nobody is still at a request that began before: what came of those is in the
        diary."""
        return all(one.is_over or one.began_s > since_s for one in self._asking.values())

    def whole_since(self, since_s: float) -> int:
        """Requests that began after that and were answered."""
        return sum(one.began_s > since_s and one.outcome == "whole" for one in self.diary)

    def is_well(self, count: int) -> bool:
        """Whether the last so many were all answered."""
        last = self.diary[-count:]
        return len(last) == count and all(one.outcome == "whole" for one in last)

    async def run(self) -> None:
        headers = {"authorization": f"Bearer {self._secret}"}
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        async with httpx.AsyncClient(headers=headers, timeout=60, limits=limits) as client:
            await asyncio.gather(*(self._go_on(client, at) for at in range(self._clients)))

    async def _go_on(self, client: httpx.AsyncClient, at: int) -> None:
        while not self.is_over:
            turn = next(self._turns)
            messages = [{"role": "user", "content": f"{at} of {turn % 7} " * 20}]
            body = {"model": "auto", "messages": messages, "max_tokens": self._words}
            asking = self._asking[at] = Asking(time.monotonic())
            entry = await self._ask(client, turn, body | {"stream": turn % 2 == 0}, asking)
            asking.is_answered = True
            self.diary.append(entry)
            asking.is_over = True
            await asyncio.sleep(PAUSE_S)

    async def _ask(
        self, client: httpx.AsyncClient, turn: int, body: dict[str, Any], asking: Asking
    ) -> Entry:
        began_s, urls = asking.began_s, list(self.urls)
        for turned in range(len(urls)):
            url = urls[(turn + turned) % len(urls)]
            try:
                outcome, detail, words = await self._read(client, url, body, asking)
            except httpx.ConnectError:
                continue
            return Entry(began_s, time.monotonic(), outcome, detail, words, turned)
        return Entry(began_s, time.monotonic(), "refused", "no house listens", 0, len(urls))

    async def _read(
        self, client: httpx.AsyncClient, url: str, body: dict[str, Any], asking: Asking
    ) -> tuple[Outcome, str, int]:
        words = 0
        try:
            async with client.stream("POST", f"{url}/v1/chat/completions", json=body) as answer:
                asking.is_answered = True
                if answer.status_code != 200:
                    error = json.loads(await answer.aread())["error"]
                    return "refused", f"{answer.status_code} {error['code']}", 0
                if not body["stream"]:
                    await answer.aread()
                    return "whole", "", self._words
                async for line in answer.aiter_lines():
                    if line == "data: [DONE]":
                        return "whole", "", words
                    if line.startswith('data: {"error"'):
                        return "cut", json.loads(line[6:])["error"]["code"], words
                    words += '"content"' in line
        except httpx.ConnectError:
            raise
        except httpx.TransportError as error:
            return "broke", type(error).__name__, words
        return "broke", "a silent end", words
