"""Has sums of days that are over moved to where a report finds them soon: once a day, some at a
time, with room for the keeper's flushes in between. Blocks nobody who reads or adds."""

import asyncio
import logging

from sqlalchemy import Table

from tokenmill.clock import wall_s
from tokenmill.database.connection import Database
from tokenmill.database.errors import DatabaseUnavailable
from tokenmill.usage.past import (
    PAIRS,
    Moved,
    move_some,
    past_ends_s,
    try_to_be_the_mover,
)

SUMS_AT_ONCE = 5_000
"""Of one transaction: some tenths of a second."""

PAUSE_S = 60.0
BETWEEN_S = 0.1

logger = logging.getLogger("tokenmill.control.ledger")


async def move_for_ever(database: Database) -> None:
    """Looks once a minute whether another day is over. Ends by being cancelled."""
    done_s = 0
    while True:
        before_s = past_ends_s(wall_s())
        try:
            if before_s > done_s and await move_past(database, before_s):
                done_s = before_s
        except DatabaseUnavailable as error:
            logger.info("sums of the past wait: %s", error.message)
        await asyncio.sleep(PAUSE_S)


async def move_past(database: Database, before_s: int, *, between_s: float = BETWEEN_S) -> bool:
    """All sums of days before `before_s` are moved. False: another house does that just now.

    Raises: DatabaseUnavailable.
    """
    for source, target in PAIRS:
        account_id = 0
        while True:
            moved = await asyncio.to_thread(_move, database, source, target, before_s, account_id)
            if moved is None:
                return False
            if moved.count < SUMS_AT_ONCE:
                break
            account_id = moved.last_account_id
            await asyncio.sleep(between_s)
    return True


def _move(
    database: Database, source: Table, target: Table, before_s: int, account_id: int
) -> Moved | None:
    with database.write() as connection:
        if not try_to_be_the_mover(connection):
            return None
        return move_some(
            connection,
            source,
            target,
            before_s=before_s,
            from_account_id=account_id,
            count_max=SUMS_AT_ONCE,
        )
