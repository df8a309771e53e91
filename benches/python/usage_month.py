"""How long a month's usage report takes when millions of requests were billed.

`python benches/python/usage_month.py --rows 10000000 [--store postgresql]` makes that many rows in
a new database with its own means, sums them by the hour as the keeper does, has sums of days that
are over moved as control does, and asks for reports of a month: by day and model, by hour and key,
as one total; and of the month whose last day is not over. Each is asked several times; the first
one counts too. Then each is asked as the first one of a house whose database was closed, or whose
server was started anew, with none of its files in the system's cache. A year of traffic over
`--accounts` accounts, a tenth of it the first one's; sums lie in the order of their hours at first,
as they do where keepers write them. `--not-moved` leaves them so.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import text

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.support.postgresql import OwnServer, find_programs  # noqa: E402
from tokenmill.accounts.store import insert_account  # noqa: E402
from tokenmill.control.usage_mover import move_past  # noqa: E402
from tokenmill.database import postgresql  # noqa: E402
from tokenmill.database.connection import Database  # noqa: E402
from tokenmill.database.tables import usage_rows  # noqa: E402
from tokenmill.database.upgrade import open_database  # noqa: E402
from tokenmill.usage.past import past_ends_s  # noqa: E402
from tokenmill.usage.reports import UsageReader  # noqa: E402
from tokenmill.usage.requests import RequestReader  # noqa: E402
from tokenmill.usage.views import UsageQuery  # noqa: E402

BEGIN_MS = 1_735_689_600_000  # 2025-01-01
YEAR_MS = 365 * 86_400_000
ROWS_AT_ONCE = 500_000
MIX = 2_654_435_761  # spreads numbers that count up
NOW_S = (BEGIN_MS + YEAR_MS) // 1000 - 43_200  # noon of the last day
JUNE = {"from_": "2025-06-01", "to": "2025-07-01"}
QUERIES = {
    "by day and model": {"by": "day", "group": "model,class", **JUNE},
    "by hour and key": {"by": "hour", "group": "key", **JUNE},
    "total": {"by": "total", **JUNE},
    "by hour and key, not over": {
        "by": "hour",
        "group": "key",
        "from_": "2025-12-01",
        "to": "2026-01-01",
    },
}
ASKED = 5
COLD_ROUNDS = 3
MAKING_S = 7_200
CLEANED_S = 300
DEAD_FEW = 100


class Store:
    """A database in a folder, of one of the two kinds, which can be closed to its last byte."""

    def __init__(self, folder: Path, server: OwnServer | None) -> None:
        self._folder = folder
        self._server = server

    def open(self) -> Database:
        """As a house opens it."""
        return open_database("" if self._server is None else self._server.url, self._folder)

    def make_cold(self) -> None:
        """Nothing of it is in any memory. The database was closed."""
        if self._server is not None:
            self._server.stop()
        for path in self._folder.rglob("*"):
            if path.is_file():
                _forget(path)
        if self._server is not None:
            self._server.start()


def _forget(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fdatasync(descriptor)  # what is not written yet cannot be dropped
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


@contextmanager
def new_store(kind: str, parent: Path | None) -> Iterator[Store]:
    """A store of that kind in a folder that goes at the end."""
    with tempfile.TemporaryDirectory(dir=parent) as name:
        folder = Path(name)
        if kind == "sqlite":
            yield Store(folder, None)
            return
        postgresql.ANSWER_S = MAKING_S  # making ten million rows takes longer than any of ours
        server = OwnServer(find_programs(), folder)
        server.start()
        try:
            yield Store(folder, server)
        finally:
            server.stop()


def main() -> None:
    """Makes the rows, asks, prints, and writes a results file where one is named."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--accounts", type=int, default=50)
    parser.add_argument("--not-moved", action="store_true")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    with new_store(given.store, given.folder) as store:
        database = store.open()
        made_s = timed(lambda: make_rows(database, given.rows, given.accounts))
        found = {
            "bench": "usage_month",
            "database": given.store,
            "machine": f"{platform.machine()}, 2 cores, shared",
            "rows": given.rows,
            "accounts": given.accounts,
            "made_in_s": round(made_s),
        }
        if given.store == "postgresql" and not given.not_moved:
            found["moved_in_s"] = round(timed(lambda: move(database)))
        found |= ask(database)
        database.close()
        found["cold_ms"] = ask_cold(store)
    words = json.dumps(found, indent=1)
    print(words)
    if given.results:
        given.results.write_text(words + "\n")


def timed(deed: Callable[[], object]) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    deed()
    return time.perf_counter() - began


def move(database: Database) -> None:
    """What control does once a day, for all days at once; the server cleans up after it."""
    assert asyncio.run(move_past(database, past_ends_s(NOW_S)))
    dead = "SELECT sum(n_dead_tup) FROM pg_stat_user_tables WHERE relname LIKE 'usage_%'"
    deadline = time.monotonic() + CLEANED_S
    while time.monotonic() < deadline:
        with database.read() as connection:
            if connection.execute(text(dead)).scalar_one() < DEAD_FEW:
                return
        time.sleep(2)
    print("the server has not cleaned up yet", file=sys.stderr)


def make_rows(database: Database, count: int, accounts: int) -> None:
    """Rows with the database's own numbers, and their sums."""
    is_sqlite = database.address.kind == "sqlite"
    with database.write() as connection:
        for number in range(accounts):
            insert_account(connection, f"account {number}", "pro", 1)
        for index in usage_rows.indexes:
            index.drop(connection)
    for start in range(1, count + 1, ROWS_AT_ONCE):
        end = min(start + ROWS_AT_ONCE, count + 1)
        series = (
            f"WITH RECURSIVE s(n) AS (SELECT {start} UNION ALL SELECT n + 1 FROM s"
            f" WHERE n < {end - 1}) "
            if is_sqlite
            else f"WITH s(n) AS (SELECT generate_series({start}, {end - 1})::bigint) "
        )
        identity = "CAST(substr(printf('%024d', n * 7), 1, 12) AS BLOB)"
        identity = identity if is_sqlite else "substr(decode(md5(n::text), 'hex'), 1, 12)"
        with database.write() as connection:
            parts = {"series": series, "identity": identity} | _numbers(accounts)
            connection.execute(text(_ROWS.format(**parts)))
        print(f"{end - 1:,} rows", file=sys.stderr, flush=True)
    with database.write() as connection:
        connection.execute(text(_HOURS))
        connection.execute(text(_DAYS))
        for index in usage_rows.indexes:
            index.create(connection)
        connection.execute(text("ANALYZE"))


def _numbers(accounts: int) -> dict[str, str]:
    step = YEAR_MS // 1_000_003
    mixed = f"(n * {MIX} % 1000003)"
    return {
        "ended": f"{BEGIN_MS} + {mixed} * {step}",
        "account": f"CASE WHEN n % 10 = 0 THEN 1 ELSE 1 + n * 7 % {accounts} END",
        "key": "1 + n % 5",
        "model": "1 + n / 3 % 8",
        "class": "n / 5 % 3",
    }


_ROWS = """{series}
INSERT INTO usage_rows (incarnation, ticket, transfer_id, account_id, key_id, model, engine,
    service_class, endpoint, status, flags, began_at_ms, ended_at_ms, first_byte_ms, duration_ms,
    prompt_tokens, completion_tokens, cached_tokens, prompt_price_nanos, completion_price_nanos,
    cached_price_nanos, reserved_nanos, amount_nanos, request_id)
SELECT 1, n, n / 20, {account}, {key}, {model}, 1, {class}, 0, 200, 3, {ended} - 900, {ended},
    40, 900, n % 900, n % 700, 0, 100, 100, 100, 500000, (n % 900 + n % 700) * 100, {identity}
FROM s
"""

_HOURS = """
INSERT INTO usage_hours (account_id, hour_s, key_id, model, service_class, endpoint, requests,
    failed_requests, prompt_tokens, completion_tokens, cached_tokens, amount_nanos)
SELECT account_id, ended_at_ms / 3600000 * 3600, key_id, model, service_class, endpoint,
    count(*), 0, sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens), sum(amount_nanos)
FROM usage_rows GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 2
"""

_DAYS = """
INSERT INTO usage_days (account_id, day_s, key_id, model, service_class, endpoint, requests,
    failed_requests, prompt_tokens, completion_tokens, cached_tokens, amount_nanos)
SELECT account_id, hour_s - hour_s % 86400, key_id, model, service_class, endpoint, sum(requests),
    sum(failed_requests), sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens),
    sum(amount_nanos)
FROM usage_hours GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 2
"""


def ask(database: Database) -> dict[str, Any]:
    """Milliseconds of each report, and of a page of requests."""
    reader = UsageReader(database)
    with database.read() as connection:
        hours = connection.execute(text(_HOURS_HELD)).scalar_one()
    found: dict[str, Any] = {"usage_hours": hours, "ms": {}, "cpu_ms_of_asking": {}}
    for name, query in QUERIES.items():
        asked = UsageQuery(**query)  # type: ignore[arg-type]
        times, processor = [], []
        for _ in range(ASKED):
            began, cpu = time.perf_counter(), time.process_time()
            report = reader.report(1, asked)
            times.append(round((time.perf_counter() - began) * 1000, 1))
            processor.append(round((time.process_time() - cpu) * 1000, 1))
        found["ms"][name] = times
        found["cpu_ms_of_asking"][name] = min(processor)
        found.setdefault("requests_in_the_month", report.total.requests)
    began = time.perf_counter()
    RequestReader(database).recent(1)
    found["ms"]["the last 50 requests"] = [round((time.perf_counter() - began) * 1000, 1)]
    return found


def ask_cold(store: Store) -> dict[str, list[list[float]]]:
    """The same with nothing in memory: of each round the first answer and the second."""
    found: dict[str, list[list[float]]] = {}
    for _ in range(COLD_ROUNDS):
        for name, query in QUERIES.items():
            store.make_cold()
            database = store.open()
            reader, asked = UsageReader(database), UsageQuery(**query)  # type: ignore[arg-type]
            times = [timed(partial(reader.report, 1, asked)) for _ in range(2)]
            found.setdefault(name, []).append([round(each * 1000, 1) for each in times])
            database.close()
    return found


_HOURS_HELD = "SELECT (SELECT count(*) FROM usage_hours) + (SELECT count(*) FROM usage_past_hours)"


if __name__ == "__main__":
    main()
