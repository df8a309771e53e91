"""What every database must do for ledger and usage: beside the exercises of `store_contract.py`."""

from tests.support.ledger import make_accounts, make_keeper, total
from tests.support.memory_cells import NOW_MS, MemoryCells, Request
from tokenmill.billing import rules, store
from tokenmill.billing.store import NewCredit
from tokenmill.billing.verification import verify_ledger
from tokenmill.control.usage_retention import DAY_MS, forget_some, mark_old_rows
from tokenmill.database.connection import Database
from tokenmill.usage import store as usage_store
from tokenmill.usage.reports import UsageReader
from tokenmill.usage.views import UsageQuery


def new_credit(account_id: int, reference: str = "x", nanos: int = 5) -> NewCredit:
    return NewCredit(
        account_id=account_id,
        reference=reference,
        kind="top_up",
        amount_nanos=nanos,
        note="Grüße",
        created_at_s=1,
    )


def a_credit_is_written_down_once_for_an_account_and_reference(database: Database) -> None:
    one, other = make_accounts(database, 2)
    with database.write() as connection:
        first = store.insert_credit(connection, new_credit(one))
        again = store.insert_credit(connection, new_credit(one, nanos=6))
        others = store.insert_credit(connection, new_credit(other))
    assert first is not None and others not in (None, first) and again is None
    with database.read() as connection:
        found = store.find_credit(connection, one, "x")
        waiting = store.credits_on_their_way(connection)
    assert found is not None
    assert (found.amount_nanos, found.note, found.transfer_id) == (5, "Grüße", None)
    assert [credit.id for credit in waiting] == [first, others]


def transfers_have_rising_numbers_and_the_balance_after_them(database: Database) -> None:
    one, other = make_accounts(database, 2)
    postings = [
        rules.credit_posting(one, "grant", 100),
        rules.usage_posting(one, "realtime", 30, 2),
        rules.credit_posting(other, "top_up", 7),
        rules.usage_posting(one, "batch_1h", 50, 1),
    ]
    with database.write() as connection:
        numbers = store.post(connection, postings, NOW_MS)
        assert store.post(connection, [], NOW_MS) == []
    assert numbers == sorted(numbers)
    with database.read() as connection:
        lines = store.list_transfers(connection, one, before_id=None, count_max=9)
        older = store.list_transfers(connection, one, before_id=lines[0].id, count_max=1)
        assert [store.balance_nanos(connection, each) for each in (one, other, 99)] == [20, 7, 0]
    assert [(line.kind, line.balance_nanos) for line in lines] == [
        ("usage", 20),
        ("usage", 70),
        ("grant", 100),
    ]
    assert older == lines[1:2]


def many_rows_at_once_are_all_there(database: Database) -> None:
    """More rows, accounts and keys than any statement takes as single parameters."""
    accounts, cells = make_accounts(database, 700), MemoryCells()
    costs = 0
    for number in range(2_100):
        request = Request(account_id=accounts[number % 700], key_id=number % 7)
        cells.settle(request)
        costs += request.amount_nanos
    make_keeper(database, cells).flush_all()
    for table in ("transfers", "usage_days", "usage_hours", "usage_rows"):
        assert total(database, table) == (2_100, costs)
    assert verify_ledger(database, []).is_right


def hours_add_up_and_are_reported_by_any_period(database: Database) -> None:
    [account] = make_accounts(database, 1)
    cells = MemoryCells()
    for hour in (0, 0, 1, 30, 24 * 40):
        cells.settle(Request(account_id=account, ended_ms=NOW_MS + hour * 3_600_000))
        make_keeper(database, cells).flush_all()
    reader = UsageReader(database, now_s=lambda: NOW_MS // 1000)
    starts = {}
    for by in ("total", "month", "day", "hour"):
        query = UsageQuery(from_="2023-11-01", to="2024-01-01", by=by)
        report = reader.report(account, query)
        assert (report.total.requests, report.total.cost_nanos) == (5, 15_000)
        starts[by] = [(line.start, line.requests) for line in report.data]
    assert starts["month"] == [("2023-11", 4), ("2023-12", 1)]
    assert starts["day"] == [("2023-11-14", 3), ("2023-11-16", 1), ("2023-12-24", 1)]
    assert starts["hour"][0] == ("2023-11-14T22:00:00Z", 2)
    assert starts["total"] == [("2023-11-01T00:00:00Z", 5)]


def old_rows_go_and_their_sums_stay(database: Database) -> None:
    [account] = make_accounts(database, 1)
    cells = MemoryCells()
    for _ in range(3):
        cells.settle(Request(account_id=account))
    make_keeper(database, cells).flush_all()
    later_ms = NOW_MS + 10 * DAY_MS
    mark_old_rows(database, 90, later_ms)
    assert forget_some(database) == 0
    with database.write() as connection:
        posting = rules.credit_posting(account, "grant", 1)
        store.post(connection, [posting], later_ms + 90 * DAY_MS)
    mark_old_rows(database, 90, later_ms + 90 * DAY_MS)
    assert forget_some(database) == 3
    assert total(database, "usage_rows") == (0, 0)
    assert total(database, "usage_hours") == (3, 9_000)
    assert total(database, "usage_days") == (3, 9_000)
    with database.read() as connection:
        assert usage_store.billed_nanos(connection, account) == 9_000
    assert verify_ledger(database, []).is_right


EXERCISES = (
    a_credit_is_written_down_once_for_an_account_and_reference,
    transfers_have_rising_numbers_and_the_balance_after_them,
    many_rows_at_once_are_all_there,
    hours_add_up_and_are_reported_by_any_period,
    old_rows_go_and_their_sums_stay,
)
