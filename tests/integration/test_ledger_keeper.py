"""The keeper's flush: cells into the ledger once, whatever dies, on SQLite and on PostgreSQL."""

import logging
import threading
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.support.ledger import (
    Crash,
    CrashPoint,
    balances,
    give,
    make_accounts,
    make_keeper,
    total,
)
from tests.support.memory_cells import NOW_MS, MemoryCells, Request
from tests.support.postgresql import PostgresqlServer, outage
from tests.support.waiting import eventually
from tokenmill.control import ledger_keeper
from tokenmill.database.connection import Database
from tokenmill.database.errors import DatabaseUnavailable
from tokenmill.database.tables import keys, transfers, usage_rows
from tokenmill.database.upgrade import open_database

USAGE_TABLES = ("transfers", "usage_days", "usage_hours", "usage_rows")


def settle_some(cells: MemoryCells, accounts: list[int]) -> int:
    """A few requests of every class and account, at 100 nanos a token; what they cost."""
    costs = 0
    for number in range(12):
        request = Request(
            account_id=accounts[number % len(accounts)],
            service_class=number % 3,
            prompt_tokens=number,
            ended_ms=NOW_MS + number * 900_000,
        )
        cells.settle(request)
        costs += request.amount_nanos
    return costs


def check(database: Database, cells: MemoryCells, costs: int, count: int) -> None:
    """All books are zero together, usage is the ledger, words are the customers' books."""
    books = balances(database)
    assert sum(books.values()) == 0
    assert {total(database, table) for table in USAGE_TABLES} == {(count, costs)}
    assert {f"customer:{each}": nanos for each, nanos in cells.available.items()} == {
        name: nanos for name, nanos in books.items() if name.startswith("customer:")
    }


def test_settled_cells_become_the_ledger_and_are_freed(database: Database) -> None:
    accounts, cells = make_accounts(database, 3), MemoryCells()
    assert give(database, cells, accounts[0], 10**9, "invoice 1")
    costs = settle_some(cells, accounts)
    assert make_keeper(database, cells).flush_all() == 13
    assert cells.settled == {}
    check(database, cells, costs, 12)


def test_a_flush_is_one_transfer_for_each_account_and_class(database: Database) -> None:
    [account] = make_accounts(database, 1)
    cells = MemoryCells()
    for service_class in (0, 0, 1):
        cells.settle(Request(account_id=account, service_class=service_class))
    cells.settle(Request(account_id=account, endpoint=2))
    make_keeper(database, cells).flush()
    with database.read() as connection:
        rows = connection.execute(transfers.select().order_by(transfers.c.id)).all()
        pointed = connection.execute(
            usage_rows.select()
            .order_by(usage_rows.c.ticket)
            .with_only_columns(usage_rows.c.transfer_id)
        ).scalars()
        ids = list(pointed)
    assert [(row.service_class, row.requests, row.amount_nanos) for row in rows] == [
        ("realtime", 2, 6_000),
        ("batch_1h", 1, 3_000),
        ("embeddings", 1, 3_000),
    ]
    assert [row.balance_nanos for row in rows] == [-6_000, -9_000, -12_000]
    assert ids == [rows[0].id, rows[0].id, rows[1].id, rows[2].id]


def test_a_replay_changes_nothing(database: Database) -> None:
    accounts, cells = make_accounts(database, 2), MemoryCells()
    give(database, cells, accounts[0], 5_000, "x")
    costs = settle_some(cells, accounts)
    again = dict(cells.settled)
    keeper = make_keeper(database, cells)
    keeper.flush_all()
    for next_keeper in (keeper, make_keeper(database, cells)):
        cells.settled = dict(again)
        assert next_keeper.flush_all() == 13
        assert cells.settled == {}
        check(database, cells, costs, 12)


def test_the_same_ticket_of_another_segment_is_another_request(database: Database) -> None:
    [account] = make_accounts(database, 1)
    for incarnation in (1, 2):
        cells = MemoryCells(incarnation)
        cells.settle(Request(account_id=account))
        make_keeper(database, cells).flush_all()
    assert total(database, "usage_rows") == (2, 6_000)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_at_any_statement_loses_and_doubles_nothing(
    database: Database, after: bool
) -> None:
    """A keeper dies at its n-th statement, the next one takes over, for every n there is."""
    accounts, cells = make_accounts(database, 3), MemoryCells()
    costs = count = 0
    statement = 0
    has_crashed = True
    while has_crashed:
        statement += 1
        give(database, cells, accounts[0], 1_000, f"top-up {statement}")
        costs, count = costs + settle_some(cells, accounts), count + 12
        point = CrashPoint(database._engine, statement, after=after)
        with point:
            try:
                make_keeper(database, cells).flush_all()
            except Crash:
                assert len(cells.settled) == 13
        has_crashed = point.has_crashed
        make_keeper(database, cells).flush_all()
        check(database, cells, costs, count)
    assert statement > 8


def test_a_crash_after_the_commit_writes_nothing_twice(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts, cells = make_accounts(database, 3), MemoryCells()
    costs = settle_some(cells, accounts)

    def die(packed: bytes) -> int:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(cells, "free_cells", die)
        with pytest.raises(Crash):
            make_keeper(database, cells).flush()
    assert len(cells.settled) == 12
    make_keeper(database, cells).flush_all()
    check(database, cells, costs, 12)


def test_a_cell_of_an_unknown_account_holds_up_no_other(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    accounts, cells = make_accounts(database, 3), MemoryCells()
    costs = settle_some(cells, accounts)
    bad = cells.settle(Request(account_id=999))
    stray = cells.credit(accounts[0], 77, reference=12_345, wall_ms=NOW_MS)
    keeper = make_keeper(database, cells)
    assert keeper.flush_all() == 12
    assert (set(cells.settled), keeper.stuck_count) == ({bad, stray}, 2)
    messages = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert len(messages) == 2
    costs += settle_some(cells, accounts)
    assert keeper.flush_all() == 12
    assert total(database, "usage_rows") == (24, costs)
    assert sum(balances(database).values()) == 0


def test_a_key_remembers_the_minute_of_its_last_use(database: Database) -> None:
    [account] = make_accounts(database, 1)
    with database.write() as connection:
        for number in (1, 2):
            connection.execute(
                keys.insert().values(
                    account_id=account,
                    name="k",
                    shown="",
                    digest=bytes([number]) * 32,
                    scopes=1,
                    is_local=False,
                    created_at_s=0,
                    expires_at_s=0,
                    revoked_at_s=0,
                )
            )
    cells = MemoryCells()
    for ended_ms in (NOW_MS, NOW_MS + 120_000, NOW_MS + 60_000):
        cells.settle(Request(account_id=account, key_id=1, ended_ms=ended_ms))
    make_keeper(database, cells).flush()
    with database.read() as connection:
        used = connection.execute(keys.select().order_by(keys.c.id)).all()
    minute_s = NOW_MS // 60_000 * 60
    assert [row.last_used_at_s for row in used] == [minute_s + 120, 0]


def test_the_thread_flushes_by_itself_and_at_its_end(database: Database) -> None:
    accounts, cells = make_accounts(database, 3), MemoryCells()
    keeper = make_keeper(database, cells)
    keeper.start()
    costs = settle_some(cells, accounts)
    eventually(lambda: not cells.settled, "the cells are in the ledger")
    keeper.stop(10)
    check(database, cells, costs, 12)


def test_a_locked_database_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from tokenmill.database import connection as connection_module

    monkeypatch.setattr(
        connection_module, "_PRAGMAS", ("PRAGMA busy_timeout = 1", "PRAGMA journal_mode = WAL")
    )
    monkeypatch.setattr(ledger_keeper, "RETRY_S", 0.01)
    database = open_database("", tmp_path)
    accounts, cells = make_accounts(database, 3), MemoryCells()
    costs = settle_some(cells, accounts)
    keeper = make_keeper(database, cells)
    with open_database("", tmp_path).write():
        keeper.start()
        eventually(lambda: keeper.failures > 2, "it tries again and again")
        assert len(cells.settled) == 12
        assert keeper.behind_since_ms > 0
    eventually(lambda: not cells.settled, "the cells are in the ledger")
    eventually(lambda: keeper.behind_since_ms == 0, "it says so")
    keeper.stop(10)
    check(database, cells, costs, 12)
    said = [record.message for record in caplog.records if "ledger waits" in record.message]
    assert len(said) == 1
    database.close()


def test_a_postgresql_that_goes_and_comes_back_is_waited_for(
    postgresql: PostgresqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut in mid-flush, whenever that is: the commit may or may not have been made."""
    monkeypatch.setattr(ledger_keeper, "RETRY_S", 0.01)
    with postgresql.empty_database() as url:
        database = open_database(url, tmp_path)
        accounts, cells = make_accounts(database, 3), MemoryCells()
        keeper = make_keeper(database, cells)
        keeper.start()
        costs = count = 0
        for _ in range(3):
            for _ in range(5):
                costs, count = costs + settle_some(cells, accounts), count + 12
            with outage(url, url):
                failures = keeper.failures
                costs, count = costs + settle_some(cells, accounts), count + 12
                eventually(lambda before=failures: keeper.failures > before, "it tries")
                assert cells.settled
            eventually(lambda: not cells.settled, "the cells are in the ledger")
        keeper.stop(10)
        check(database, cells, costs, count)
        database.close()


def test_a_full_disk_is_waited_for(tmp_path: Path) -> None:
    database = open_database("", tmp_path)
    accounts, cells = make_accounts(database, 3), MemoryCells()
    keeper = make_keeper(database, cells)
    costs = settle_some(cells, accounts)
    keeper.flush_all()
    with database.read() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        connection.execute(text(f"PRAGMA max_page_count = {pages}"))
    rounds = 1
    with pytest.raises(DatabaseUnavailable, match="disk is full"):
        while True:
            costs, rounds = costs + settle_some(cells, accounts), rounds + 1
            keeper.flush_all()
    assert len(cells.settled) == 12
    with database.read() as connection:
        connection.execute(text("PRAGMA max_page_count = 1000000"))
    keeper.flush_all()
    check(database, cells, costs, rounds * 12)
    database.close()


def test_two_houses_on_one_database_do_not_wait_for_each_other_for_ever(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """Both bill the same accounts at once, in opposite orders."""
    accounts = make_accounts(database, 6)
    costs = [0, 0]

    def bill(side: int) -> None:
        own = open_database(database_url, tmp_path)
        cells = MemoryCells(side)
        keeper = make_keeper(own, cells)
        for _ in range(10):
            costs[side] += settle_some(cells, accounts[:: 1 if side else -1])
            keeper.flush_all()
        own.close()

    threads = [threading.Thread(target=bill, args=(side,)) for side in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {total(database, table) for table in USAGE_TABLES} == {(240, sum(costs))}
    assert sum(balances(database).values()) == 0
