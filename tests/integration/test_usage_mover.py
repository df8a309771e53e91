"""Sums of days that are over move to where an account's lie side by side: none is lost on the way,
none is seen twice, and a report then reads few blocks."""

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from tests.support.ledger import Crash, CrashPoint, make_accounts, make_keeper, total
from tests.support.memory_cells import NOW_MS, MemoryCells, Request
from tests.support.relays import until
from tokenmill.billing.verification import verify_ledger
from tokenmill.control import usage_mover
from tokenmill.control.usage_mover import move_for_ever, move_past
from tokenmill.database.connection import Database
from tokenmill.usage import store as usage_store
from tokenmill.usage.past import LATE_S, past_ends_s, try_to_be_the_mover
from tokenmill.usage.reports import UsageReader
from tokenmill.usage.rules import DAY_S
from tokenmill.usage.views import UsageQuery, UsageReport

BEGIN_S = NOW_MS // 1000 // DAY_S * DAY_S
DAYS = 3
END_S = BEGIN_S + DAYS * DAY_S
ACCOUNTS = 10


@pytest.fixture
def database(shared_database: Database) -> Database:
    """Of PostgreSQL: SQLite keeps sums in the order of accounts by itself."""
    return shared_database


@pytest.fixture
def used(database: Database) -> list[int]:
    """Accounts that had requests all over some days, as keepers write them: by the hour."""
    ids, cells, chance = make_accounts(database, ACCOUNTS), MemoryCells(), random.Random(3)
    keeper = make_keeper(database, cells)
    for hour in range(24 * DAYS):
        for _ in range(2 * ACCOUNTS):
            cells.settle(
                Request(
                    account_id=chance.choice(ids),
                    key_id=chance.randrange(3),
                    completion_tokens=chance.randrange(1_000),
                    ended_ms=1000 * (BEGIN_S + hour * 3_600 + chance.randrange(3_600)),
                    request_id=chance.randbytes(12),
                )
            )
        if hour % 6 == 5:
            keeper.flush_all()
    return ids


def move(database: Database, before_s: int) -> bool:
    return asyncio.run(move_past(database, before_s, between_s=0))


def reports(database: Database, account_id: int) -> list[UsageReport]:
    """By the hour and, in a span that begins and ends in the middle of a day, by the day."""
    reader = UsageReader(database, now_s=lambda: END_S)
    span = {"from_": str(BEGIN_S + 7_200), "to": str(END_S - 7_200)}
    return [
        reader.report(account_id, UsageQuery(by=by, group="key,model", **span))
        for by in ("hour", "day", "total")
    ]


def count(database: Database, table: str) -> int:
    with database.read() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def blocks(database: Database, table: str, account_id: int) -> int:
    """How many blocks the account's sums lie in."""
    found = f"SELECT count(DISTINCT (ctid::text::point)[0]) FROM {table} WHERE account_id = :id"
    with database.read() as connection:
        return int(connection.execute(text(found), {"id": account_id}).scalar_one())


def test_reports_are_the_same_and_read_few_blocks(
    database: Database, used: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [reports(database, each) for each in used[:3]]
    scattered = blocks(database, "usage_hours", used[0])
    hours, days = count(database, "usage_hours"), count(database, "usage_days")
    monkeypatch.setattr(usage_mover, "SUMS_AT_ONCE", 300)
    assert move(database, END_S - DAY_S)
    assert [reports(database, each) for each in used[:3]] == before
    assert verify_ledger(database, []).is_right
    left = (count(database, "usage_hours"), count(database, "usage_days"))
    assert 0 < left[0] < hours / 2 and 0 < left[1] < days / 2, "the last day is where it was"
    moved = (count(database, "usage_past_hours"), count(database, "usage_past_days"))
    assert (left[0] + moved[0], left[1] + moved[1]) == (hours, days)
    assert scattered > 8
    assert blocks(database, "usage_past_hours", used[0]) <= 4


def test_what_comes_late_is_added_and_moves_too(database: Database, used: list[int]) -> None:
    [account, *_], cells = used, MemoryCells(incarnation=2)
    assert move(database, END_S)
    assert count(database, "usage_hours") == count(database, "usage_days") == 0
    before = reports(database, account)
    late = Request(account_id=account, key_id=1, ended_ms=1000 * BEGIN_S + 40_000_000)
    for _ in range(3):
        cells.settle(late)
        make_keeper(database, cells).flush_all()
        with database.read() as connection:
            billed = usage_store.billed_nanos(connection, account)
        assert verify_ledger(database, []).is_right
        after = reports(database, account)
        for one, other in zip(before, after, strict=True):
            assert other.total.cost_nanos == one.total.cost_nanos + late.amount_nanos
            assert other.total.requests == one.total.requests + 1
        assert move(database, END_S)
        assert reports(database, account) == after
        with database.read() as connection:
            assert usage_store.billed_nanos(connection, account) == billed
        before = after
    assert count(database, "usage_hours") == 0


@pytest.mark.parametrize("after", [False, True])
def test_a_mover_that_dies_at_any_statement_loses_nothing(
    database: Database, used: list[int], monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    monkeypatch.setattr(usage_mover, "SUMS_AT_ONCE", 300)
    before, engine = reports(database, used[0]), database._engine
    for at in (1, 2, 5):
        with CrashPoint(engine, at, after=after) as point, pytest.raises(Crash):
            move(database, END_S)
        assert point.has_crashed
        assert reports(database, used[0]) == before
    assert move(database, END_S)
    assert reports(database, used[0]) == before
    assert verify_ledger(database, []).is_right


def test_a_keeper_that_adds_meanwhile_and_two_movers_lose_nothing(
    database: Database, used: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_mover, "SUMS_AT_ONCE", 300)
    cells, chance = MemoryCells(incarnation=2), random.Random(4)
    keeper, reader = make_keeper(database, cells), UsageReader(database, now_s=lambda: END_S)
    asked = UsageQuery(from_=str(BEGIN_S), to=str(END_S), by="hour")
    known = {each: reader.report(each, asked).total.requests for each in used[:3]}
    with ThreadPoolExecutor() as threads:
        movers = [threads.submit(move, database, END_S) for _ in range(2)]
        while not all(each.done() for each in movers):
            for _ in range(20):
                late_ms = 1000 * (BEGIN_S + chance.randrange(DAYS * DAY_S))
                one = Request(account_id=chance.choice(used), key_id=1, ended_ms=late_ms)
                cells.settle(one)
                if one.account_id in known:
                    known[one.account_id] += 1
            keeper.flush_all()
            for each, requests in known.items():
                assert reader.report(each, asked).total.requests == requests
        assert any(each.result() for each in movers)
    while not move(database, END_S):
        pass
    assert verify_ledger(database, []).is_right
    assert total(database, "usage_hours") == total(database, "usage_rows")


def test_one_house_moves_at_a_time(database: Database, used: list[int]) -> None:
    with database.write() as connection:
        assert try_to_be_the_mover(connection)
        assert move(database, END_S) is False
    assert count(database, "usage_past_hours") == 0
    assert move(database, END_S) is True
    assert count(database, "usage_hours") == 0


async def test_each_day_moves_when_it_is_over(
    database: Database, used: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = END_S - DAY_S + LATE_S
    monkeypatch.setattr(usage_mover, "wall_s", lambda: now_s)
    monkeypatch.setattr(usage_mover, "PAUSE_S", 0.05)
    before, sums = reports(database, used[0]), count(database, "usage_hours")
    moving = asyncio.create_task(move_for_ever(database))
    await until(lambda: count(database, "usage_past_hours") > 0, 30)
    assert count(database, "usage_hours") > sums / 9, "the last day is not over"
    now_s = END_S + LATE_S
    await until(lambda: count(database, "usage_hours") == 0, 30)
    moving.cancel()
    assert reports(database, used[0]) == before


@pytest.mark.parametrize(
    ("now_s", "ends_s"),
    [
        (END_S + LATE_S, END_S),
        (END_S + LATE_S - 1, END_S - DAY_S),
        (END_S + DAY_S, END_S),
    ],
)
def test_a_day_is_of_the_past_an_hour_after_its_end(now_s: int, ends_s: int) -> None:
    assert past_ends_s(now_s) == ends_s
