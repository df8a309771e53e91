"""New grammars, made ready on the other engines of a pool: once each, when they have time for it.

An engine compiles a grammar at its first request and keeps it. A worker that has sent one which is
new tells of it here; each other vLLM of the pool gets one request of one token with it, which is
nobody's and is billed to nobody. One engine goes first: what it does not take in time no other one
is given. Whatever is asked for, an engine has one such request at a time and spends a tenth of its
time on them at most; one that is unwell, drained or full gets none. `warm_engines.py` knows the
engines, `grammar/rules.py` what they have seen.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

import msgspec
from msgspec import Struct

from tokenmill.clock import monotonic_ms
from tokenmill.grammar.rules import NewSchemaRate, SeenGrammars
from tokenmill.grammar.views import Constraint, WarmUpWish
from tokenmill.settings import GrammarSettings

DEADLINE_MS = 10_000
"""Of one request. The worst grammars that our bounds let through take an engine a few seconds."""
AT_ONCE_MAX = 8
"""Requests, over all engines."""
REST_TIMES = 9
"""An engine rests so many times as long as it took."""
REST_MS_MIN = 250
LINE_MAX = 32
"""Grammars that wait for one engine."""
OPEN_MAX = 256
"""Grammars on their way; a quarter of them may be one account's."""
ACCOUNT_SHARE = 4
OPEN_BYTES_MAX = 8 * 1024 * 1024
AGE_MS_MAX = 60_000
"""What an engine had no time for so long is compiled when it is asked for."""
SEEN_MAX = 4_096

logger = logging.getLogger("tokenmill.control.grammars")

Outcome = Literal["taken", "refused", "broken", "late", "away"]
"""refused: by the engine; broken: its connection ended; late: not within the deadline; away: it was
not asked."""

Send = Callable[[int, bytes], Awaitable[Outcome]]
"""Asks the engine in a slot."""


class Pool(Struct, frozen=True):
    """The engines of a route, and what they call its model."""

    engine_model: str
    slots: tuple[int, ...]


class Engines(Protocol):
    """Who knows the engines."""

    def pool(self, model: str, account_id: int) -> Pool | None:
        """Where requests for the model of such a route go."""

    def tenant(self, slot: int) -> str:
        """Who is in a slot: another text for another engine, or the same one started anew. Empty:
        nobody who keeps grammars of ours."""

    def has_time(self, slot: int) -> bool:
        """Whether the engine is well, wanted and not full."""

    async def send(self, slot: int, body: bytes) -> Outcome:
        """Asks the engine. Takes as long as it takes."""


class _WarmUp(Struct, kw_only=True, eq=False):
    """A grammar on its way."""

    account_id: int
    body: bytes
    offered_ms: int
    rest: list[int]  # who gets it when one has taken it
    line_count: int = 0  # lines in which it stands


class _Question(Struct):
    model: str
    structured_outputs: dict[str, str]
    prompt: str = "a"
    max_tokens: int = 1


class GrammarWarmer:
    """What is on its way to which engine. Used on control's event loop only."""

    def __init__(
        self,
        engines: Engines,
        settings: GrammarSettings,
        *,
        now_ms: Callable[[], int] = monotonic_ms,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._engines = engines
        self._is_on = settings.warm_up
        self._now_ms = now_ms
        self._sleep = sleep
        self._rate = NewSchemaRate(settings.new_schemas_per_minute_max)
        self._seen = SeenGrammars(SEEN_MAX)
        self._open: set[_WarmUp] = set()
        self._lines: dict[int, deque[_WarmUp]] = {}  # by slot, as long as somebody serves it
        self._serving: set[asyncio.Task[None]] = set()
        self._at_once = asyncio.Semaphore(AT_ONCE_MAX)
        self.outcomes: Counter[str] = Counter()  # of requests; dropped: of grammars

    def offer(self, wish: WarmUpWish) -> int:
        """How many engines get the grammar, unless the first of them does not take it."""
        pool = self._engines.pool(wish.model, wish.route_account_id) if self._is_on else None
        if pool is None or len(pool.slots) < 2:
            return 0
        digest = _digest(wish.constraint)
        for slot in pool.slots:
            self._seen.meet(slot, self._engines.tenant(slot))
        if wish.engine in pool.slots:
            self._seen.note(digest, [wish.engine])
        missing = self._seen.missing(digest, filter(self._engines.has_time, pool.slots))
        if not missing:
            return 0
        body = _body(pool.engine_model, wish.constraint)
        if not self._has_room(wish.account_id, len(body)):
            self.outcomes["dropped"] += 1
            return 0
        self._seen.note(digest, missing)
        one = _WarmUp(
            account_id=wish.account_id, body=body, offered_ms=self._now_ms(), rest=[*missing]
        )
        self._open.add(one)
        self._give_first(one)
        self._forget(one)
        return len(missing)

    async def close(self) -> None:
        """Nothing is under way afterwards."""
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _has_room(self, account_id: int, size: int) -> bool:
        """Whether one more may be on its way. Takes it from what the account may bring."""
        own = sum(1 for one in self._open if one.account_id == account_id)
        held = sum(len(one.body) for one in self._open)
        is_full = len(self._open) >= OPEN_MAX or own >= OPEN_MAX // ACCOUNT_SHARE
        if is_full or held + size > OPEN_BYTES_MAX:
            return False
        return not self._rate.take(account_id, self._now_ms() * 1_000_000)

    def _give_first(self, one: _WarmUp) -> None:
        """One engine gets it now: the first whose line has room."""
        while one.rest and not self._stand(one.rest.pop(0), one):
            pass

    def _give_all(self, one: _WarmUp) -> None:
        for slot in one.rest:
            self._stand(slot, one)
        one.rest.clear()

    def _stand(self, slot: int, one: _WarmUp) -> bool:
        """Whether it stands in the engine's line now."""
        line = self._lines.get(slot)
        if line is None:
            line = self._lines[slot] = deque()
            task = asyncio.create_task(self._serve(slot, line))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
        if len(line) >= LINE_MAX:
            return False
        line.append(one)
        one.line_count += 1
        return True

    async def _serve(self, slot: int, line: deque[_WarmUp]) -> None:
        """Gives an engine what waits for it, with rests between."""
        try:
            while line:
                one = line.popleft()
                outcome: Outcome = "broken"
                try:
                    outcome, took_ms = await self._ask(slot, one)
                finally:
                    self.outcomes[outcome] += 1
                    self._go_on(one, outcome)
                if outcome != "away":
                    await self._sleep(max(REST_MS_MIN, REST_TIMES * took_ms) / 1000)
        finally:  # whatever ended it, nothing stays open for ever
            del self._lines[slot]
            for one in line:
                one.line_count -= 1
                self._forget(one)

    async def _ask(self, slot: int, one: _WarmUp) -> tuple[Outcome, int]:
        """How it went, and the milliseconds that it took."""
        async with self._at_once:
            began_ms = self._now_ms()
            is_old = began_ms - one.offered_ms > AGE_MS_MAX
            if is_old or not self._engines.has_time(slot):
                return "away", 0
            outcome: Outcome = "late"
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DEADLINE_MS / 1000):
                    outcome = await self._engines.send(slot, one.body)
            return outcome, self._now_ms() - began_ms

    def _go_on(self, one: _WarmUp, outcome: Outcome) -> None:
        """What follows from how one engine did."""
        one.line_count -= 1
        if outcome == "taken":
            self._give_all(one)
        elif outcome == "away":
            self._give_first(one)
        else:
            if one.rest:
                logger.info("a grammar was %s by an engine, and no other one gets it", outcome)
            one.rest.clear()
        self._forget(one)

    def _forget(self, one: _WarmUp) -> None:
        if not one.line_count:
            self._open.discard(one)


def _digest(constraint: Constraint) -> bytes:
    return hashlib.sha256(f"{constraint.kind}\0{constraint.text}".encode()).digest()[:16]


def _body(model: str, constraint: Constraint) -> bytes:
    return msgspec.json.encode(_Question(model, {constraint.kind: constraint.text}))
