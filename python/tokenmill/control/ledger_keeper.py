"""The keeper's loop over money: settled cells into the ledger, every 50 ms, in a thread of its own.

It blocks where the database blocks and never the event loop. While the database is away, locked or
full it keeps trying: cells stay where they are, and when none is free the workers refuse.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from sqlalchemy.exc import IntegrityError

from tokenmill._native import CELL_BYTES
from tokenmill.clock import monotonic_ms, wall_ms
from tokenmill.control.ledger_flush import write_flush
from tokenmill.control.own_thread import OwnThread
from tokenmill.control.settled_cells import decode_cells, records_of
from tokenmill.database.connection import Database
from tokenmill.database.errors import DatabaseUnavailable
from tokenmill.keys.store import mark_used
from tokenmill.usage.rules import CLASSES, UsageRow
from tokenmill.usage.store import add_names

FLUSH_S = 0.05
RETRY_S = 0.25
CELLS_AT_ONCE = 8_192
"""Cells of one transaction: a third of a second at the slowest database measured."""

logger = logging.getLogger("tokenmill.control.ledger")


class CellSegment(Protocol):
    """What is needed of the hot segment."""

    @property
    def incarnation(self) -> int: ...
    def settled_cells(self, count_max: int, /) -> bytes: ...
    def free_cells(self, packed: bytes, /) -> int: ...


class Names(Protocol):
    """What numbers of models and engines mean."""

    def engine_number(self, slot: int) -> int: ...
    def waiting(self) -> dict[int, str]: ...
    def mark_written(self, numbers: Iterable[int]) -> None: ...


def _tell_nobody(_: list[UsageRow]) -> None:
    """Nobody else has a word for what was posted."""


class LedgerKeeper:
    """Takes settled cells to the ledger; from any thread, one flush after the other."""

    def __init__(
        self,
        database: Database,
        segment: CellSegment,
        names: Names,
        *,
        now_ms: Callable[[], int] = wall_ms,
    ) -> None:
        self._database = database
        self._segment = segment
        self._names = names
        self._now_ms = now_ms
        self._may_be_known = True  # what an earlier keeper wrote may not be freed yet
        self._stuck: set[bytes] = set()
        self._last_uses: dict[int, int] = {}  # at most one entry a key of the database
        self._turn = threading.Lock()
        self._has_flushed = threading.Condition()
        self._thread = OwnThread("ledger", self._run)
        self.model_uses_ms: dict[int, int] = {}
        """When requests for a model, by its number, came to the ledger last: monotonic."""
        self.when_posted: Callable[[list[UsageRow]], None] = _tell_nobody
        """Called with rows that are in the ledger for good, before their cells are freed."""
        self.cells_written = 0
        self.billed_nanos = dict.fromkeys(CLASSES, 0)  # since this process began
        self.failures = 0
        self.behind_since_ms = 0  # monotonic; 0: the database takes what it is given

    def start(self) -> None:
        """Flushes from now on until `stop`."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Flushes once more and ends; a database that is away is not waited for."""
        self._thread.stop(timeout_s)

    def flush_all(self) -> int:
        """Flushes until nothing is settled; how many cells. Raises: DatabaseUnavailable."""
        total = 0
        while count := self.flush():
            total += count
        return total

    def flush(self) -> int:
        """Takes what is settled to the ledger; how many cells. Raises: DatabaseUnavailable."""
        with self._turn:
            packed = self._segment.settled_cells(CELLS_AT_ONCE + len(self._stuck))
            if self._stuck:
                packed = b"".join(one for one in records_of(packed) if one not in self._stuck)
            if not packed:
                return 0
            written = self._write(packed)
            self._segment.free_cells(written)
        count = len(written) // CELL_BYTES
        self.cells_written += count
        with self._has_flushed:
            self._has_flushed.notify_all()
        return count

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is flushed or freed meanwhile: for whoever compares segment and ledger."""
        with self._turn:
            yield

    def wait_for_flush(self, timeout_s: float) -> None:
        """Returns after the next flush, or the time."""
        with self._has_flushed:
            self._has_flushed.wait(timeout_s)

    @property
    def stuck_count(self) -> int:
        """Cells that the ledger cannot take: each was logged, and keeps its place."""
        return len(self._stuck)

    def _write(self, packed: bytes) -> bytes:
        """The records that are in the ledger now; a bad one is found by halving and left."""
        incarnation = self._segment.incarnation
        settled = decode_cells(packed, incarnation, self._names.engine_number)
        uses, names = self._new_uses(settled.rows), self._names.waiting()
        try:
            with self._database.write() as connection:
                add_names(connection, names)
                write_flush(connection, settled, self._now_ms(), may_be_known=self._may_be_known)
                mark_used(connection, uses)
        except DatabaseUnavailable:
            self._may_be_known = True  # the commit may have been made and its answer lost
            raise
        except (IntegrityError, LookupError) as error:
            if not self._may_be_known:
                self._may_be_known = True
                return self._write(packed)
            if len(packed) == CELL_BYTES:
                self._leave(packed, error)
                return b""
            half = len(packed) // CELL_BYTES // 2 * CELL_BYTES
            return self._write(packed[:half]) + self._write(packed[half:])
        self.when_posted(settled.rows)
        self.model_uses_ms.update(
            dict.fromkeys((row.model for row in settled.rows), monotonic_ms())
        )
        for row in settled.rows:
            self.billed_nanos[CLASSES[row.service_class]] += row.amount_nanos
        self._may_be_known = False
        self._last_uses.update(uses)
        self._names.mark_written(names)
        return packed

    def _new_uses(self, rows: list[UsageRow]) -> dict[int, int]:
        """Keys and the minute of their last use, in seconds, where that is news."""
        uses: dict[int, int] = {}
        for row in rows:
            minute_s = row.ended_at_ms // 60_000 * 60
            if minute_s > uses.get(row.key_id, self._last_uses.get(row.key_id, 0)):
                uses[row.key_id] = minute_s
        return uses

    def _leave(self, record: bytes, error: Exception) -> None:
        self._stuck.add(record)
        ticket = int.from_bytes(record[:8], "little")
        reason = " ".join(str(error).split())[:500]
        logger.critical("the ledger cannot take a cell", extra={"ticket": ticket, "error": reason})

    def _run(self) -> None:
        while not self._thread.ending.is_set():
            pause_s = FLUSH_S
            self._names.waiting()  # a model that leaves before the next flush keeps its name
            try:
                if self.flush() >= CELLS_AT_ONCE:
                    continue  # there is more
                self._say_well()
            except DatabaseUnavailable as error:
                self._say_behind(error)
                pause_s = RETRY_S
            except Exception:  # a worker loop: money waits in its cells while this is looked at
                logger.exception("a flush failed")
                self.failures += 1
                pause_s = RETRY_S
            self._thread.ending.wait(pause_s)
        try:
            self.flush_all()
        except DatabaseUnavailable as error:
            logger.warning("left with settled cells: %s", error.message)

    def _say_behind(self, error: DatabaseUnavailable) -> None:
        self.failures += 1
        if not self.behind_since_ms:
            self.behind_since_ms = monotonic_ms()
            logger.error("the ledger waits: %s", error.message)

    def _say_well(self) -> None:
        if self.behind_since_ms:
            waited_ms = monotonic_ms() - self.behind_since_ms
            self.behind_since_ms = 0
            logger.warning("the ledger is up to date again", extra={"waited_ms": waited_ms})
