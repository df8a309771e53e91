"""Reports read whole days from their own sums: they say the same as the hours do."""

import random

import pytest
from sqlalchemy import text

from tests.support.ledger import make_accounts, make_keeper
from tests.support.memory_cells import NOW_MS, MemoryCells, Request
from tokenmill.database.connection import Database
from tokenmill.usage.reports import UsageReader
from tokenmill.usage.rules import DAY_S, HOUR_S, HourKey, day_sums
from tokenmill.usage.views import Period, UsageQuery

NOW_S = NOW_MS // 1000
DAYS = 5
BEGIN_S = NOW_S // DAY_S * DAY_S


@pytest.fixture
def account(database: Database) -> int:
    """An account with requests at times all over some days."""
    ids, cells, chance = make_accounts(database, 2), MemoryCells(), random.Random(5)
    for _ in range(800):
        cells.settle(
            Request(
                account_id=chance.choice(ids),
                key_id=chance.randrange(3),
                service_class=chance.randrange(2),
                completion_tokens=chance.randrange(1_000),
                ended_ms=1000 * (BEGIN_S + chance.randrange(DAYS * DAY_S)),
                request_id=chance.randbytes(12),
            )
        )
    make_keeper(database, cells).flush_all()
    return ids[0]


def test_any_span_is_the_sum_of_its_hours(database: Database, account: int) -> None:
    reader, chance = UsageReader(database, now_s=lambda: NOW_S), random.Random(6)
    periods: tuple[Period, ...] = ("day", "month", "total")
    for number in range(60):
        begin = BEGIN_S + HOUR_S * chance.randrange(24 * (DAYS - 1))
        end = begin + HOUR_S * (1 + chance.randrange(24 * DAYS))
        span = {"from_": str(begin), "to": str(end)}
        by = periods[number % 3]
        report = reader.report(account, UsageQuery(by=by, group="key,class", **span))
        hours = reader.report(account, UsageQuery(by="hour", group="key,class", **span))
        assert report.total == hours.total
        lines = [(line.start, line.key, line.class_) for line in report.data]
        assert len(set(lines)) == len(lines)
        assert sum(line.requests for line in report.data) == hours.total.requests
        if by == "day":
            assert [line[0] for line in lines] == sorted(line[0] for line in lines)


def test_a_report_of_days_reads_no_hours(database: Database, account: int) -> None:
    with database.write() as connection:
        connection.execute(text("DELETE FROM usage_hours"))
    asked = UsageQuery(from_=str(BEGIN_S), to=str(BEGIN_S + DAYS * DAY_S), by="day")
    report = UsageReader(database, now_s=lambda: NOW_S).report(account, asked)
    assert len(report.data) == DAYS
    assert report.total.requests > 300


def test_sums_of_hours_become_sums_of_their_days() -> None:
    def key(hour_s: int, key_id: int = 1) -> HourKey:
        return HourKey(1, hour_s, key_id, 2, 0, 0)

    hours = {
        key(0): [1, 0, 1, 1, 0, 10],
        key(DAY_S - HOUR_S): [2, 1, 1, 1, 0, 20],
        key(DAY_S): [4, 0, 1, 1, 0, 40],
        key(DAY_S, 9): [8, 0, 1, 1, 0, 80],
    }
    assert day_sums(hours) == {
        key(0): [3, 1, 2, 2, 0, 30],
        key(DAY_S): [4, 0, 1, 1, 0, 40],
        key(DAY_S, 9): [8, 0, 1, 1, 0, 80],
    }
    assert hours[key(0)] == [1, 0, 1, 1, 0, 10], "what came in is as it was"
