"""Redis's own clock jumps by hours: nobody is locked out, a limit gives at most a minute's quota
more for each jump ahead, and what requests hold stays held."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ledger import make_accounts
from tests.support.postgresql import PostgresqlServer
from tests.support.purse_house import House
from tests.support.redis_server import RedisServer, TestPurses, redis_server
from tests.support.waiting import eventually
from tests.support.wall_clock import WallClock
from tokenmill.billing.views import AddFunds
from tokenmill.billing.wallets import LedgerRoad, Wallets
from tokenmill.control import purse_keeper
from tokenmill.database.upgrade import open_database
from tokenmill.purses.values import Answer, read_answer

ACCOUNT = 1
HOUR_S = 3_600
PER_MIN = 30
DOLLAR = 10**9


@pytest.fixture
def clock(tmp_path: Path) -> WallClock:
    return WallClock(tmp_path)


@pytest.fixture
def server(clock: WallClock) -> Iterator[RedisServer]:
    with redis_server(environment=clock.environment) as running:
        yield running


@pytest.fixture
def purses(server: RedisServer) -> TestPurses:
    made = TestPurses(server, server.fresh_settings())
    made.put(ACCOUNT, DOLLAR)
    return made


def take(purses: TestPurses) -> Answer:
    return read_answer(purses.run(ACCOUNT, "take", PER_MIN, 0))


def takes(purses: TestPurses) -> tuple[int, Answer]:
    """Permits that there are now, and what who wants one more is told. Some seconds may refill a
    few."""
    count = 0
    while (told := take(purses)).word == "ok":
        count += 1
        assert count < 1_000
    return count, told


def test_a_jump_ahead_refills_a_bucket_once_and_a_jump_back_nothing(
    purses: TestPurses, clock: WallClock
) -> None:
    began = time.monotonic()
    got, _ = takes(purses)
    for wrong_by_s in (-HOUR_S, -3 * HOUR_S, -2 * HOUR_S, HOUR_S, 0, -30):
        clock.be_wrong_by(wrong_by_s)
        count, told = takes(purses)
        got += count
        assert (told.word, told.wait_ms <= 60_000 + 60_000 // PER_MIN) == ("requests", True)
    jumps_ahead = 2
    refilled = PER_MIN * (time.monotonic() - began) / 60
    assert got <= PER_MIN * (1 + jumps_ahead) + refilled + 1


def test_permits_come_back_after_a_jump_back(purses: TestPurses, clock: WallClock) -> None:
    takes(purses)
    clock.be_wrong_by(-HOUR_S)
    told = take(purses)
    assert told.wait_ms <= 60_000 // PER_MIN
    eventually(lambda: take(purses).word == "ok", "a permit is there", within_s=20)


def test_a_purse_that_is_closed_opens_though_the_clock_went_back(
    purses: TestPurses, clock: WallClock
) -> None:
    purses.run(ACCOUNT, "open", DOLLAR, 0, 0, 5_000_000)
    clock.be_wrong_by(-HOUR_S)
    told = take(purses)
    assert (told.word, told.wait_ms <= 5_000) == ("closed", True)
    eventually(lambda: take(purses).word == "ok", "it is open", within_s=20)


async def test_what_requests_hold_stays_held_and_what_was_left_behind_is_found(
    server: RedisServer,
    clock: WallClock,
    postgresql: PostgresqlServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A house is believed gone by Redis's clock, and a request old: both only if it still looks
    so a sweep later."""
    monkeypatch.setattr(purse_keeper, "GRACE_S", 600)
    settings = server.fresh_settings(closed_ms=1_000, house_lost_s=300)
    with postgresql.empty_database() as url:
        database = open_database(url, tmp_path)
        make_accounts(database, 2)
        Wallets(database, LedgerRoad(database)).add(1, AddFunds(amount_nanos=DOLLAR, reference="x"))
        here, there = (House(database, server.url, settings, each) for each in (1, 2))
        for house in (here, there):
            house.keeper.look()
        await asyncio.sleep(1.05)
        await there.run(1, 500)
        await here.run(1, 40)
        word, _ = await here.admit(1, 3)  # and never gets a cell
        assert word == "ok"
        for wrong_by_s in (HOUR_S, -HOUR_S):
            clock.be_wrong_by(wrong_by_s)
            assert here.keeper.sweep() == 0
            there.keeper.look()  # it lives
            here.keeper.look()
            assert here.keeper.sweep() == (1 if wrong_by_s > 0 else 0)
            assert here.available(1) == DOLLAR - 540
        here.check()
        for house in (here, there):
            house.keeper.stop(1)
        database.close()
