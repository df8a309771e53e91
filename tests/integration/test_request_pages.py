"""Settled requests by the page: each is on one of them, however many ended at once."""

import random

import pytest

from tests.support.ledger import make_accounts, make_keeper
from tests.support.memory_cells import NOW_MS, MemoryCells, Request
from tokenmill.database.connection import Database
from tokenmill.usage.requests import RequestReader

AT_ONCE = (1, 5, 2, 1, 1, 3)
"""How many ended in each of some milliseconds."""


@pytest.mark.parametrize("count_max", [1, 2, 3, 12, 13, 50])
def test_pages_have_each_request_once_the_last_ended_first(
    database: Database, count_max: int
) -> None:
    [account, other], cells, chance = make_accounts(database, 2), MemoryCells(), random.Random(7)
    for later_ms, count in enumerate(AT_ONCE):
        for owner in (account,) * count + (other,):
            cells.settle(
                Request(
                    account_id=owner,
                    ended_ms=NOW_MS + later_ms,
                    request_id=chance.randbytes(12),
                )
            )
    make_keeper(database, cells).flush_all()
    reader, found, before = RequestReader(database), [], None
    for _ in range(2 * sum(AT_ONCE)):
        page = reader.recent(account, before_ms=before, count_max=count_max)
        found += page.data
        before = page.next_before
        if before is None:
            break
    assert before is None
    assert len({each.id for each in found}) == len(found) == sum(AT_ONCE)
    ends = [each.ended_at_ms for each in found]
    assert ends == sorted(ends, reverse=True)
