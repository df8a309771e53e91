"""Turns at engines: of all houses of a database, one at a time changes which adapters an engine
holds. Two that see the same room would otherwise both take it.

A turn is a row with an end, which others wait for no longer should the house be gone; control that
is restarted goes on with its own. Times are the wall clock's, as of leases. Nobody waits for a
database that is away: until it is back, two houses may load one adapter too many.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable

from tokenmill.adapters.store import end_turn, take_turn
from tokenmill.clock import wall_ms
from tokenmill.database.connection import Database
from tokenmill.database.errors import DatabaseUnavailable

LOOK_S = 0.1
UNLOAD_MS = 10_000
"""What a turn may take beside the load itself: to make room, and to look at the engine."""

logger = logging.getLogger("tokenmill.control.adapters")


class AdapterTurns:
    """This house's turns."""

    def __init__(
        self, database: Database, house: int, load_ms: int, *, now_ms: Callable[[], int] = wall_ms
    ) -> None:
        """`house`: the incarnation of its hot segment."""
        self._database = database
        self._is_alone = database.address.kind == "sqlite"  # which no other house can open
        self._house = house
        self._load_ms = load_ms
        self._now_ms = now_ms

    @contextlib.asynccontextmanager
    async def turn(self, url: str) -> AsyncIterator[bool]:
        """Whether this house may change what the engine at `url` holds, for the length of the
        block. Waits for the others' turns, at most as long as a load may take."""
        if self._is_alone:
            yield True
            return
        is_mine = await self._wait(url)
        try:
            yield is_mine
        finally:
            if is_mine:
                with contextlib.suppress(DatabaseUnavailable):  # it ends by itself
                    await asyncio.to_thread(self._end, url)

    async def _wait(self, url: str) -> bool:
        last_ms = self._now_ms() + self._load_ms
        while True:
            is_mine = await self._take(url)
            if is_mine or self._now_ms() >= last_ms:
                return is_mine
            await asyncio.sleep(LOOK_S)

    async def _take(self, url: str) -> bool:
        try:
            return await asyncio.to_thread(self._put, url)
        except DatabaseUnavailable as error:
            logger.warning("adapters are loaded without asking other houses: %s", error.message)
            return True

    def _put(self, url: str) -> bool:
        now_ms = self._now_ms()
        until_ms = now_ms + self._load_ms + UNLOAD_MS
        with self._database.write() as connection:
            return take_turn(connection, url, self._house, now_ms=now_ms, until_ms=until_ms)

    def _end(self, url: str) -> None:
        with self._database.write() as connection:
            end_turn(connection, url, self._house)
