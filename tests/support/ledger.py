"""Accounts, keepers and sums for tests of the ledger: they build and read, facts stand in tests."""

import gc
from collections.abc import Iterable

from sqlalchemy import Engine, event, literal, select, union_all

from tests.support.memory_cells import NOW_MS, MemoryCells
from tokenmill.accounts.store import insert_account
from tokenmill.billing import store
from tokenmill.billing.store import NewCredit
from tokenmill.control.ledger_keeper import CellSegment, LedgerKeeper
from tokenmill.database.connection import Database
from tokenmill.database.tables import (
    transfers,
    usage_days,
    usage_hours,
    usage_past_days,
    usage_past_hours,
    usage_rows,
)

_SUMS = {
    "usage_hours": (usage_hours, usage_past_hours),
    "usage_days": (usage_days, usage_past_days),
}


class Crash(BaseException):
    """The process ends here: nothing catches this."""


class FewNames:
    """One model, number 77, and engines whose number is their slot and a thousand."""

    def __init__(self) -> None:
        self._waiting = {77: "meta-llama/Llama-3.1-8B-Instruct", 1_000: "vllm-8000"}

    def engine_number(self, slot: int) -> int:
        return slot + 1_000

    def waiting(self) -> dict[int, str]:
        return dict(self._waiting)

    def mark_written(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._waiting.pop(number, None)


def make_accounts(database: Database, count: int) -> list[int]:
    """New accounts; their numbers."""
    with database.write() as connection:
        return [
            insert_account(connection, f"account {number}", "free", 1).id for number in range(count)
        ]


def make_keeper(database: Database, cells: CellSegment) -> LedgerKeeper:
    """A keeper that has just started."""
    return LedgerKeeper(database, cells, FewNames(), now_ms=lambda: NOW_MS)


def give(database: Database, cells: MemoryCells, account_id: int, nanos: int, name: str) -> bool:
    """A top-up as control makes it: written down, then put into the segment. False: known."""
    credit = NewCredit(
        account_id=account_id,
        reference=name,
        kind="top_up",
        amount_nanos=nanos,
        note="",
        created_at_s=1,
    )
    with database.write() as connection:
        number = store.insert_credit(connection, credit)
    if number is None:
        return False
    cells.credit(account_id, nanos, reference=number, wall_ms=NOW_MS)
    return True


def balances(database: Database) -> dict[str, int]:
    """What is in each book."""
    with database.read() as connection:
        return store.list_balances(connection)


def total(database: Database, table: str) -> tuple[int, int]:
    """Rows and nanos of usage in one of the tables that hold it; sums with those of the past."""
    with database.read() as connection:
        if table == "transfers":
            wanted = select(transfers.c.requests, transfers.c.amount_nanos)
            rows = connection.execute(wanted.where(transfers.c.kind == "usage")).all()
        elif table in _SUMS:
            held = [select(each.c.requests, each.c.amount_nanos) for each in _SUMS[table]]
            rows = connection.execute(union_all(*held)).all()
        else:
            rows = connection.execute(select(literal(1), usage_rows.c.amount_nanos)).all()
    return sum(row[0] for row in rows), sum(row[1] for row in rows)


class CrashPoint:
    """Crashes the `at`-th statement of a database, before or after it ran; counts from 1."""

    def __init__(self, engine: Engine, at: int, *, after: bool) -> None:
        self._engine = engine
        self._name = "after_cursor_execute" if after else "before_cursor_execute"
        self._left = at
        self.has_crashed = False

    def __enter__(self) -> "CrashPoint":
        event.listen(self._engine, self._name, self._count)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(self._engine, self._name, self._count)
        if self.has_crashed:
            gc.collect()  # a process that ends leaves no cursor behind that locks SQLite's file

    def _count(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        self._left -= not statement.startswith("BEGIN")  # nothing can be lost there
        if self._left == 0 and not self.has_crashed:
            self.has_crashed = True
            raise Crash
