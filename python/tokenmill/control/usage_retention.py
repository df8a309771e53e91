"""Deletes rows of usage that are older than is kept, a few at a time; the sums by the hour stay."""

import asyncio
import logging

from tokenmill.billing.store import first_transfer_since
from tokenmill.clock import wall_ms
from tokenmill.database.connection import Database
from tokenmill.database.errors import DatabaseUnavailable
from tokenmill.usage.store import forget_rows, keep_rows_from, rows_kept_from

DAY_MS = 86_400_000
ROWS_AT_ONCE = 2_000
"""Rows of one transaction: the keeper's next flush waits for it."""

PAUSE_S = 60.0
BETWEEN_S = 0.1

logger = logging.getLogger("tokenmill.control.ledger")


async def forget_for_ever(database: Database, kept_days: int) -> None:
    """Looks once a minute. Ends by being cancelled."""
    while True:
        try:
            await asyncio.to_thread(mark_old_rows, database, kept_days, wall_ms())
            forgotten = 1
            while forgotten:
                forgotten = await asyncio.to_thread(forget_some, database)
                await asyncio.sleep(BETWEEN_S)  # other writers have room
        except DatabaseUnavailable as error:
            logger.info("old usage waits: %s", error.message)
        await asyncio.sleep(PAUSE_S)


def mark_old_rows(database: Database, kept_days: int, now_ms: int) -> int:
    """Says which rows may go: those of transfers older than `kept_days`. The first one to stay."""
    oldest_ms = now_ms - kept_days * DAY_MS
    with database.write() as connection:
        before = rows_kept_from(connection)
        first = first_transfer_since(connection, before, oldest_ms)
        if first is not None and first > before:
            keep_rows_from(connection, first)
            return first
    return before


def forget_some(database: Database) -> int:
    """Deletes some of them; how many."""
    with database.write() as connection:
        return forget_rows(connection, ROWS_AT_ONCE)
