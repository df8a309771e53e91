"""The purses as a worker uses them: one round trip a deed, within a time, or an error.

A deed whose answer did not come may have been done: deeds name their request, so one that is sent
again is done once, and control finds what a request that never ran left behind. A connection is
used only if its server's data is what the houses have agreed on.
"""

import asyncio
from typing import Any

from tokenmill.clock import monotonic_ms, wall_s
from tokenmill.purses.address import parse_url
from tokenmill.purses.errors import PursesAway
from tokenmill.purses.line import Line, LineLost, Refusal, open_line
from tokenmill.purses.script import SCRIPT, SHA, Names
from tokenmill.purses.values import Answer, Look, Terms, Wish, read_answer, read_look
from tokenmill.settings import RedisSettings

BUSY_MS = 5_000
"""How often an account that is at work is put on the list of those that are."""


class WorkerPurses:
    """Used on one event loop."""

    def __init__(self, url: str, settings: RedisSettings, house: int) -> None:
        """`house`: the incarnation of its hot segment."""
        self._names = Names(settings.prefix)
        self._house = house
        self._answer_s = settings.answer_ms / 1000
        self._connect_s = settings.connect_ms / 1000
        self._server = parse_url(url)
        self._line: Line | None = None
        self._dialling = asyncio.Lock()
        self._busy_ms: dict[int, int] = {}  # at most one entry an account

    async def take(self, account_id: int, limits: Terms) -> Answer:
        """A permit for one request, or the wait. Raises: PursesAway."""
        return await self._ask(account_id, "take", limits.requests_per_min, limits.tokens_per_min)

    async def admit(self, account_id: int, limits: Terms, wish: Wish) -> Answer:
        """What the request may cost and use is held, or what refuses it. Raises: PursesAway."""
        await self._note_busy(account_id)
        return await self._ask(
            account_id,
            "admit",
            wish.request_id,
            self._house,
            wish.reserve_nanos,
            wish.tokens,
            limits.requests_per_min,
            limits.tokens_per_min,
            limits.concurrency_max,
            int(wish.enforce),
        )

    async def settle(
        self, account_id: int, limits: Terms, request_id: str, cost_nanos: int, tokens: int
    ) -> Answer | None:
        """The request holds what it cost and no more. None: not now; control will do it when the
        request is in the ledger."""
        rates = (limits.requests_per_min, limits.tokens_per_min)
        try:
            answer = await self._ask(account_id, "settle", request_id, cost_nanos, tokens, *rates)
        except PursesAway:
            return None
        return answer if answer.is_known else None

    async def void(self, account_id: int, limits: Terms, request_id: str) -> None:
        """The request never ran. Done by control later where it cannot be done now."""
        try:
            await self._ask(account_id, "void", request_id, limits.tokens_per_min)
        except PursesAway:
            return

    async def look(self, account_id: int, limits: Terms) -> Look | None:
        """What is there now; None: the purse is not known. Raises: PursesAway."""
        rates = (limits.requests_per_min, limits.tokens_per_min)
        return read_look(await self._run(account_id, "look", *rates))

    async def check(self) -> None:
        """Returns if Redis answers, and with the data that the houses agreed on. Raises:
        PursesAway."""
        await self._call("PING")

    async def close(self) -> None:
        """Closes the connection."""
        if self._line is not None:
            self._line.close()

    async def _ask(self, account_id: int, deed: str, *arguments: str | int) -> Answer:
        return read_answer(await self._run(account_id, deed, *arguments))

    async def _run(self, account_id: int, deed: str, *arguments: str | int) -> list[Any]:
        key = self._names.purse(account_id)
        told: list[Any] = await self._call("EVALSHA", SHA, 1, key, deed, *arguments)
        return told

    async def _call(self, *command: str | int) -> Any:
        """The answer to one command. Raises: PursesAway."""
        try:
            async with asyncio.timeout(self._answer_s):
                line = self._line
                if line is None or line.is_over:
                    line = await self._dial()
                try:
                    return await line.ask(*command)
                except Refusal as refusal:
                    if not str(refusal).startswith("NOSCRIPT"):
                        raise
                    return await line.ask("EVAL", SCRIPT, *command[2:])
        except TimeoutError as error:
            # What was asked later waits behind this: another connection may be quicker.
            self._drop("an answer did not come in time")
            raise PursesAway from error
        except Refusal as error:
            if str(error).startswith("READONLY"):  # a primary no more: its name leads elsewhere
                self._drop("the server became a replica")
            raise PursesAway from error
        except (LineLost, OSError) as error:
            raise PursesAway from error

    async def _note_busy(self, account_id: int) -> None:
        """Control looks at these accounts for what was left behind."""
        now_ms = monotonic_ms()
        noted_ms = self._busy_ms.get(account_id)
        if noted_ms is None or now_ms - noted_ms >= BUSY_MS:
            await self._call("ZADD", self._names.busy, wall_s(), account_id)
            self._busy_ms[account_id] = now_ms

    async def _dial(self) -> Line:
        """The open connection, made now by one of those who want it."""
        async with self._dialling:
            if self._line is not None and not self._line.is_over:
                return self._line
            async with asyncio.timeout(self._connect_s):
                line = await open_line(self._server)
                try:
                    await self._check_server(line)
                    self._line = line
                finally:
                    if self._line is not line:
                        line.close()
            return line

    async def _check_server(self, line: Line) -> None:
        """Raises LineLost for a server whose data nobody has looked at: it may have lost some."""
        info, agreed = await asyncio.gather(
            line.ask("INFO", "server"), line.ask("GET", self._names.server)
        )
        if agreed is None or agreed.decode().split()[0] != run_id_of(info):
            raise LineLost("this server's data was not agreed on yet")

    def _drop(self, reason: str) -> None:
        if self._line is not None:
            self._line.close(reason)


def run_id_of(info: bytes) -> str:
    """The server's name for this run of itself, out of INFO."""
    lines = (line.partition(":") for line in info.decode().splitlines())
    return next((value.strip() for name, _, value in lines if name == "run_id"), "")
