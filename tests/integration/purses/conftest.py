"""Houses of one installation: a Redis, a PostgreSQL, and an account with a dollar."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ledger import make_accounts
from tests.support.postgresql import PostgresqlServer
from tests.support.purse_house import DOLLAR, House, MakeHouse
from tests.support.redis_server import RedisServer
from tokenmill.billing.views import AddFunds
from tokenmill.billing.wallets import LedgerRoad, Wallets
from tokenmill.control import purse_keeper
from tokenmill.database.connection import Database
from tokenmill.database.upgrade import open_database
from tokenmill.settings import RedisSettings


@pytest.fixture
def database(postgresql: PostgresqlServer, tmp_path: Path) -> Iterator[Database]:
    with postgresql.empty_database() as url:
        opened = open_database(url, tmp_path)
        make_accounts(opened, 2)
        Wallets(opened, LedgerRoad(opened)).add(1, AddFunds(amount_nanos=DOLLAR, reference="x"))
        yield opened
        opened.close()


@pytest.fixture
def make_house(
    database: Database, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeHouse]:
    """Houses of one installation; a request may be left alone for a moment only."""
    monkeypatch.setattr(purse_keeper, "GRACE_S", 0)
    common = redis.fresh_settings(closed_ms=1_000, house_lost_s=60)
    made: list[House] = []

    def make(incarnation: int, url: str = redis.url, settings: RedisSettings = common) -> House:
        made.append(House(database, url, settings, incarnation))
        return made[-1]

    yield make
    for house in made:
        house.keeper.stop(1)
