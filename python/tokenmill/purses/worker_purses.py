"""The purses as a worker uses them: one round trip a deed, within a time, or an error.

A deed whose answer did not come may have been done: deeds name their request, so one that is sent
again is done once, and control finds what a request that never ran left behind. A connection is
used only if its server's data is what the houses have agreed on.
"""

import asyncio
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError

from tokenmill.clock import monotonic_ms, wall_s
from tokenmill.purses.errors import PursesAway
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
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=settings.connections_max,
            timeout=self._answer_s,
            socket_timeout=self._answer_s,
            socket_connect_timeout=settings.connect_ms / 1000,
            retry=Retry(NoBackoff(), 0),
            redis_connect_func=self._greet,
            protocol=2,
        )
        self._redis: Any = Redis.from_pool(pool)
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
        await self._bounded(self._redis.ping())

    async def close(self) -> None:
        """Closes the connections."""
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    async def _ask(self, account_id: int, deed: str, *arguments: str | int) -> Answer:
        return read_answer(await self._run(account_id, deed, *arguments))

    async def _run(self, account_id: int, deed: str, *arguments: str | int) -> list[Any]:
        key = self._names.purse(account_id)
        told: list[Any] = await self._bounded(self._evaluate(key, deed, *arguments))
        return told

    async def _evaluate(self, key: str, *arguments: str | int) -> Any:
        try:
            return await self._redis.evalsha(SHA, 1, key, *arguments)
        except NoScriptError:
            return await self._redis.eval(SCRIPT, 1, key, *arguments)

    async def _bounded(self, deed: Any) -> Any:
        try:
            async with asyncio.timeout(self._answer_s):
                return await deed
        except (RedisError, OSError, TimeoutError) as error:
            if isinstance(error, ReadOnlyError):  # a primary no more: its name leads elsewhere
                await self._redis.connection_pool.disconnect(inuse_connections=False)
            raise PursesAway from error

    async def _note_busy(self, account_id: int) -> None:
        """Control looks at these accounts for what was left behind."""
        now_ms = monotonic_ms()
        noted_ms = self._busy_ms.get(account_id)
        if noted_ms is None or now_ms - noted_ms >= BUSY_MS:
            await self._bounded(self._redis.zadd(self._names.busy, {str(account_id): wall_s()}))
            self._busy_ms[account_id] = now_ms

    async def _greet(self, connection: Any) -> None:
        """Refuses a server whose data nobody has looked at: it may have lost some."""
        await connection.on_connect()
        await connection.send_command("INFO", "server")
        server = run_id_of(await connection.read_response())
        await connection.send_command("GET", self._names.server)
        agreed = await connection.read_response()
        if agreed is None or agreed.decode().split()[0] != server:
            raise RedisConnectionError("this server's data was not agreed on yet")


def run_id_of(info: Any) -> str:
    """The server's name for this run of itself, out of INFO."""
    text = info.decode() if isinstance(info, bytes) else str(info)
    lines = (line.partition(":") for line in text.splitlines())
    return next((value.strip() for name, _, value in lines if name == "run_id"), "")
