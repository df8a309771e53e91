"""Control's side of the purses: what dies, is lost or is late ends with purses that are the ledger
and what is under way."""

import asyncio
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.support.ledger import make_accounts
from tests.support.postgresql import mortal_server
from tests.support.purse_house import DOLLAR, House, MakeHouse, looks, opened
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually
from tokenmill.billing.views import AddFunds
from tokenmill.billing.wallets import LedgerRoad, Wallets
from tokenmill.control.purse_road import PurseRoad
from tokenmill.database.connection import Database
from tokenmill.database.errors import DatabaseUnavailable
from tokenmill.database.upgrade import open_database
from tokenmill.purses.errors import PursesAway
from tokenmill.usage.rules import UsageRow


async def test_what_is_held_settled_and_posted_over_two_houses(make_house: MakeHouse) -> None:
    here, there = opened(make_house, 1, 2)
    one, other = await here.run(1, DOLLAR // 2), await there.run(1, DOLLAR // 2)
    assert (await there.admit(1, 1))[0] == "balance"
    cost = here.cells.end(1, one) + there.cells.end(1, other)
    here.ledger.flush_all()
    there.ledger.flush_all()
    assert here.available(1) == there.available(1) == DOLLAR - cost
    here.check()


async def test_a_redis_that_was_emptied_is_made_from_the_ledger_and_the_cells(
    make_house: MakeHouse,
) -> None:
    here, there = opened(make_house, 1, 2)
    running = await there.run(1, DOLLAR // 4)
    cost = here.cells.end(1, await here.run(1, 7))
    for key in here.keeper._redis.keys(f"{here.settings.prefix}:*"):
        here.keeper._redis.delete(key)
    with pytest.raises(PursesAway):
        await here.admit(1, 1)
    here.keeper.look()
    assert (await here.admit(1, 1))[0] == "closed"
    there.keeper.look()
    await asyncio.sleep(1.05)
    assert (await here.admit(1, DOLLAR * 3 // 4))[0] == "balance"
    assert here.available(1) == DOLLAR - DOLLAR // 4 - cost
    here.ledger.flush_all()
    there.cells.end(1, running)
    there.ledger.flush_all()
    there.check()


async def test_posts_that_were_lost_are_found_by_a_sweep(make_house: MakeHouse) -> None:
    [here] = opened(make_house, 1)
    cost = here.cells.end(1, await here.run(1, 500))
    here.ledger.when_posted = lambda _: None
    here.ledger.flush_all()
    assert here.available(1) == DOLLAR - 500
    await asyncio.sleep(1.1)
    assert [here.keeper.sweep(), here.keeper.sweep()] == [0, 1]
    assert here.available(1) == DOLLAR - cost
    here.check()


async def test_what_a_dying_postgresql_kept_from_being_told_counts_once_when_it_is_back(
    redis: RedisServer, tmp_path: Path
) -> None:
    """It dies between the commit of a flush and the telling; the next line of the ledger, which
    holds that flush too, comes from another house."""
    settings = redis.fresh_settings(closed_ms=1_000, house_lost_s=60)
    with ExitStack() as stack:
        server = stack.enter_context(mortal_server())
        database = open_database(server.url, tmp_path)
        stack.callback(database.close)
        make_accounts(database, 2)
        Wallets(database, LedgerRoad(database)).add(1, AddFunds(amount_nanos=DOLLAR, reference="x"))
        houses = [House(database, redis.url, settings, incarnation) for incarnation in (1, 2)]
        here, there = houses
        for house in houses:
            stack.callback(house.keeper.stop, 1)
            house.keeper.look()
        await asyncio.sleep(1.05)
        costs = [house.cells.end(1, await house.run(1, 500)) for house in houses]

        def dies(rows: list[UsageRow]) -> None:
            server.kill()
            here.keeper.posted(rows)

        here.ledger.when_posted = dies
        assert here.ledger.flush_all() == 1
        with pytest.raises(DatabaseUnavailable):
            here.keeper.look()
        server.start()
        eventually(partial(looks, here), "it is told")
        assert there.ledger.flush_all() == 1
        assert here.available(1) == DOLLAR - sum(costs)
        here.check()


async def test_a_request_that_never_got_a_cell_is_let_go_and_one_that_runs_is_not(
    make_house: MakeHouse,
) -> None:
    [here] = opened(make_house, 1)
    await here.admit(1, 500)
    await here.run(1, 300)
    await asyncio.sleep(1.1)
    assert [here.keeper.sweep(), here.keeper.sweep()] == [0, 1]
    assert here.available(1) == DOLLAR - 300
    assert here.keeper.sweep() == 0


async def test_a_house_that_is_gone_holds_nothing_for_ever_and_is_billed_when_it_comes_back(
    make_house: MakeHouse,
) -> None:
    here, gone = opened(make_house, 1, 2)
    request = await gone.run(1, 500)
    await asyncio.sleep(1.1)
    assert here.keeper.sweep() == 0
    here.keeper._redis.delete(f"{here.settings.prefix}:house:2")  # its time is over
    assert [here.keeper.sweep(), here.keeper.sweep()] == [0, 1]
    assert here.available(1) == DOLLAR
    cost = gone.cells.end(1, request)
    gone.ledger.flush_all()
    assert here.available(1) == DOLLAR - cost
    here.check()


def test_a_credit_is_in_the_purse_at_once_and_posted_once(
    make_house: MakeHouse, database: Database
) -> None:
    here, there = opened(make_house, 1, 2)
    wallets = [Wallets(database, PurseRoad(database, each.keeper)) for each in (here, there)]
    made = wallets[0].add(1, AddFunds(amount_nanos=5, reference="y"))
    assert made.state == "posted"
    assert wallets[1].send_waiting() == 0
    assert wallets[1].view(1).available.nanos == DOLLAR + 5
    here.check()
