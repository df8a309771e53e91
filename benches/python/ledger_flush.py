"""How many settled cells a second the keeper takes to the ledger.

`python benches/python/ledger_flush.py [--database-url URL] [--cells N] [--accounts N]` fills cells
in memory, flushes them into a new database, and prints wall and CPU time, the rate of each, and how
late an event loop of the same process was meanwhile. What it does not say: what freeing cells of
the real segment costs, and what a slow disk does to a commit.
"""

import argparse
import asyncio
import json
import platform
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.support.ledger import make_accounts, make_keeper, total  # noqa: E402
from tests.support.memory_cells import NOW_MS, MemoryCells, Request  # noqa: E402
from tokenmill.database.upgrade import open_database  # noqa: E402

TICK_S = 0.005


def main() -> None:
    """Measures, prints, and writes a results file where one is named."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--database-url", default="")
    parser.add_argument("--cells", type=int, default=60_000)
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--flush", type=int, default=2_000, help="cells that wait at once")
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(given, Path(folder))
    text = json.dumps(found, indent=2)
    print(text)
    if given.results:
        given.results.write_text(text + "\n")


def measure(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The figures of one run."""
    database = open_database(given.database_url, folder)
    accounts, cells = make_accounts(database, given.accounts), MemoryCells()
    keeper = make_keeper(database, cells)
    chance = random.Random(1)
    wall_s = cpu_s = 0.0
    lateness: list[float] = []
    for start in range(0, given.cells, given.flush):
        for number in range(start, start + given.flush):
            cells.settle(
                Request(
                    account_id=chance.choice(accounts),
                    key_id=chance.randrange(3),
                    service_class=chance.randrange(2),
                    completion_tokens=chance.randrange(1_000),
                    ended_ms=NOW_MS + number,
                    request_id=chance.randbytes(12),
                )
            )
        began, cpu = time.perf_counter(), time.process_time()
        lateness += asyncio.run(flush_beside_a_loop(keeper.flush_all))
        wall_s += time.perf_counter() - began
        cpu_s += time.process_time() - cpu
    rows, _ = total(database, "usage_rows")
    assert rows == given.cells
    database.close()
    lateness.sort()
    return {
        "bench": "ledger_flush",
        "database": "postgresql" if given.database_url else "sqlite",
        "machine": f"{platform.machine()}, shared, other load on it",
        "cells": given.cells,
        "cells_a_flush": given.flush,
        "accounts": given.accounts,
        "wall_s": round(wall_s, 2),
        "cpu_s": round(cpu_s, 2),
        "cells_per_s": round(given.cells / wall_s),
        "cells_per_cpu_s": round(given.cells / cpu_s),
        "event_loop_late_ms_median": round(lateness[len(lateness) // 2] * 1000, 2),
        "event_loop_late_ms_p99": round(lateness[len(lateness) * 99 // 100] * 1000, 2),
    }


async def flush_beside_a_loop(flush: Any) -> list[float]:
    """How late the loop's timers were while another thread flushed."""
    late: list[float] = []
    task = asyncio.create_task(asyncio.to_thread(flush))
    while not task.done():
        due = time.perf_counter() + TICK_S
        await asyncio.sleep(TICK_S)
        late.append(time.perf_counter() - due)
    await task
    return late or [0.0]


if __name__ == "__main__":
    main()
