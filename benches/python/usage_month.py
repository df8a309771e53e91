"""How long a month's usage report takes when millions of requests were billed.

`python benches/python/usage_month.py --rows 10000000 [--database-url URL]` makes that many rows in
a new database with its own means, sums them by the hour as the keeper does, and asks for reports of
a month: by day and model, by hour and key, as one total. Each is asked several times; the first one
counts too. A year of traffic over `--accounts` accounts, a tenth of it the first one's. Sums lie in
the order of their hours, as they do where keepers write them.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import text

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tokenmill.accounts.store import insert_account  # noqa: E402
from tokenmill.database.connection import Database  # noqa: E402
from tokenmill.database.tables import usage_rows  # noqa: E402
from tokenmill.database.upgrade import open_database  # noqa: E402
from tokenmill.usage.reports import UsageReader  # noqa: E402
from tokenmill.usage.requests import RequestReader  # noqa: E402
from tokenmill.usage.views import UsageQuery  # noqa: E402

BEGIN_MS = 1_735_689_600_000  # 2025-01-01
YEAR_MS = 365 * 86_400_000
ROWS_AT_ONCE = 500_000
MIX = 2_654_435_761  # spreads numbers that count up
QUERIES = {
    "by day and model": {"by": "day", "group": "model,class"},
    "by hour and key": {"by": "hour", "group": "key"},
    "total": {"by": "total"},
}
ASKED = 5
MAKING_S = 7_200


def main() -> None:
    """Makes the rows, asks, prints, and writes a results file where one is named."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--database-url", default="")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--accounts", type=int, default=50)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    if given.database_url:
        from tokenmill.database import postgresql

        postgresql.ANSWER_S = MAKING_S  # making ten million rows takes longer than any of ours
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        database = open_database(given.database_url, Path(folder))
        began = time.perf_counter()
        make_rows(database, given.rows, given.accounts)
        found = {
            "bench": "usage_month",
            "database": database.address.kind,
            "machine": f"{platform.machine()}, 2 cores, shared, other load on it",
            "rows": given.rows,
            "accounts": given.accounts,
            "made_in_s": round(time.perf_counter() - began),
            **ask(database),
        }
        database.close()
    words = json.dumps(found, indent=2)
    print(words)
    if given.results:
        given.results.write_text(words + "\n")


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
    """Milliseconds of each report of June, and of a page of requests."""
    reader = UsageReader(database)
    with database.read() as connection:
        hours = connection.execute(text("SELECT count(*) FROM usage_hours")).scalar_one()
    found: dict[str, Any] = {"usage_hours": hours, "ms": {}, "cpu_ms_of_asking": {}}
    for name, query in QUERIES.items():
        asked = UsageQuery(from_="2025-06-01", to="2025-07-01", **query)  # type: ignore[arg-type]
        times, processor = [], []
        for _ in range(ASKED):
            began, cpu = time.perf_counter(), time.process_time()
            report = reader.report(1, asked)
            times.append(round((time.perf_counter() - began) * 1000, 1))
            processor.append(round((time.process_time() - cpu) * 1000, 1))
        found["ms"][name] = times
        found["cpu_ms_of_asking"][name] = min(processor)
        found["requests_in_the_month"] = report.total.requests
    began = time.perf_counter()
    RequestReader(database).recent(1)
    found["ms"]["the last 50 requests"] = [round((time.perf_counter() - began) * 1000, 1)]
    return found


if __name__ == "__main__":
    main()
