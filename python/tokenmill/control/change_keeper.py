"""What other houses on the same database changed, taken over into this house's hot segment.

The database is asked a few times a second for the lines that are new: one look-up by number. While
it is away nothing is learned, and nothing is lost: the lines are there when it is back.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable

from tokenmill.accounts.store import Account, find_account_id
from tokenmill.database.changes import Change, changes_after, forget_changes
from tokenmill.database.connection import Database
from tokenmill.database.errors import DatabaseUnavailable
from tokenmill.errors import ApiError
from tokenmill.keys.registry import KeyRegistry

POLL_S = 0.2
"""A key that is revoked elsewhere is refused here within this time and a query's."""

CHANGES_AT_ONCE = 1_000
LOOKS_BETWEEN = 18_000
"""Looks from one deletion of old lines to the next: an hour of them."""

logger = logging.getLogger("tokenmill.control.changes")


class ChangeKeeper:
    """Follows the changes of a database from a number on. One caller at a time."""

    def __init__(
        self,
        database: Database,
        keys: KeyRegistry,
        publish: Callable[[Account], None],
        last_id: int,
    ) -> None:
        self._database = database
        self._keys = keys
        self._publish = publish
        self._last_id = last_id

    async def follow(self) -> None:
        """Looks on and on. Ends by being cancelled."""
        is_away = False
        for look in itertools.count():
            try:
                while await asyncio.to_thread(self.take_over) == CHANGES_AT_ONCE:
                    pass
                if look % LOOKS_BETWEEN == 0:
                    await asyncio.to_thread(self.forget_old)
                is_away = False
            except DatabaseUnavailable as error:
                if not is_away:
                    logger.warning("changes of other houses are not seen: %s", error.message)
                is_away = True
            except Exception:  # a worker loop: what comes after it must be seen
                logger.exception("a look at other houses' changes failed")
            await asyncio.sleep(POLL_S)

    def take_over(self) -> int:
        """Takes over what is new; how many lines. Raises: DatabaseUnavailable."""
        with self._database.read() as connection:
            found = changes_after(connection, self._last_id, CHANGES_AT_ONCE)
        for change in found:
            self._take(change)
            self._last_id = change.id
        return len(found)

    def forget_old(self) -> None:
        """Lines that every house has long seen are deleted. Raises: DatabaseUnavailable."""
        with self._database.write() as connection:
            forget_changes(connection, self._last_id)

    def _take(self, change: Change) -> None:
        try:
            if change.kind == "key":
                self._keys.refresh(change.subject_id)
                return
            with self._database.read() as connection:
                account = find_account_id(connection, change.subject_id)
            if account is not None:
                self._publish(account)
        except DatabaseUnavailable:
            raise  # it is taken again
        except (MemoryError, ApiError) as error:
            extra = {"kind": change.kind, "number": change.subject_id, "error": str(error)}
            logger.error("what another house changed is not in force here", extra=extra)
