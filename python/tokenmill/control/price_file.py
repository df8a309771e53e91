"""Prices of accounts' own on their way to the workers: from the database to the file they read."""

import logging
from pathlib import Path
from typing import Protocol

from tokenmill.accounts.prices import list_prices
from tokenmill.database.connection import Database
from tokenmill.errors import ServiceUnavailable
from tokenmill.models.own_prices import FILE_NAME, write_own_prices

logger = logging.getLogger("tokenmill.control.prices")


class PriceSegment(Protocol):
    """What is needed of the hot segment."""

    def publish_prices(self) -> None: ...


class PriceFile:
    """Writes the file and tells the workers."""

    def __init__(self, database: Database, segment: PriceSegment, state: Path) -> None:
        self._database = database
        self._segment = segment
        self._state = state
        self._written: dict[int, dict[str, str]] | None = None

    @property
    def _path(self) -> Path:
        return self._state / FILE_NAME

    def load(self) -> None:
        """The workers go by the database's prices. Raises: DatabaseUnavailable, OSError."""
        with self._database.read() as connection:
            texts = list_prices(connection)
        is_first = self._written is None
        if texts == self._written or (is_first and not texts and not self._path.exists()):
            return
        write_own_prices(self._state, texts)
        self._segment.publish_prices()
        self._written = texts

    def publish(self) -> None:
        """The same after a change of an account, whatever it was. Raises: DatabaseUnavailable,
        ServiceUnavailable."""
        try:
            self.load()
        except OSError as error:
            logger.error("the file of prices was not written", extra={"error": str(error)})
            message = "The prices are written down, and not in force: the state folder is not"
            raise ServiceUnavailable(f"{message} writable. Make room and change them again.") from (
                error
            )
