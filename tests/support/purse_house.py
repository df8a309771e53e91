"""A house's side of the purses for tests: its cells, its ledger keeper, its purse keeper, and
requests as a worker admits them."""

import time
from collections.abc import Callable
from typing import Any

from redis.exceptions import RedisError

from tests.support.ledger import FewNames
from tests.support.memory_cells import NOW_MS, MemoryCells, Request, held_record
from tokenmill.control.ledger_keeper import LedgerKeeper
from tokenmill.control.purse_checks import check_purses
from tokenmill.control.purse_keeper import PurseKeeper
from tokenmill.database.connection import Database
from tokenmill.database.errors import DatabaseUnavailable
from tokenmill.purses.connection import connect
from tokenmill.purses.values import Terms, Wish
from tokenmill.purses.worker_purses import WorkerPurses
from tokenmill.settings import RedisSettings

DOLLAR = 10**9
FREE = Terms(0, 0, 0)


class Cells(MemoryCells):
    """Cells with requests under way."""

    cells_max = 1_000

    def __init__(self, incarnation: int) -> None:
        super().__init__(incarnation)
        self.held: dict[str, bytes] = {}

    def hold(self, account_id: int, request_id: str, nanos: int) -> None:
        """The request is in a cell and runs."""
        self.held[request_id] = held_record(account_id, bytes.fromhex(request_id), nanos)

    def end(self, account_id: int, request_id: str) -> int:
        """The request has ended; what it cost."""
        self.held.pop(request_id, None)
        request = Request(account_id=account_id, request_id=bytes.fromhex(request_id))
        self.settle(request)
        return request.amount_nanos

    def held_cells(self, count_max: int, /) -> bytes:
        return b"".join(self.held.values())

    def account(self, account_id: int, /) -> None:
        return None


class House:
    """A house's ledger keeper, purse keeper and one worker's purses."""

    def __init__(
        self, database: Database, url: str, settings: RedisSettings, incarnation: int
    ) -> None:
        self.cells = Cells(incarnation)
        self.url, self.settings = url, settings
        self.ledger = LedgerKeeper(database, self.cells, FewNames(), now_ms=lambda: NOW_MS)
        self.keeper = PurseKeeper(
            connect(url, settings), settings, database, self.cells, self.ledger
        )
        self.ledger.when_posted = self.keeper.posted
        self.database = database
        self._count = 0

    async def admit(self, account_id: int, nanos: int) -> tuple[str, str]:
        """A request as a worker admits it: what the purse says, and its id."""
        self._count += 1
        request_id = f"{self.cells.incarnation:012x}{self._count:012x}"
        purses = WorkerPurses(self.url, self.settings, self.cells.incarnation)
        try:
            answer = await purses.admit(account_id, FREE, Wish(request_id, nanos, 0, enforce=True))
        finally:
            await purses.close()
        return answer.word, request_id

    async def run(self, account_id: int, nanos: int) -> str:
        """A request that is let in and gets its cell; its id."""
        word, request_id = await self.admit(account_id, nanos)
        assert word == "ok"
        self.cells.hold(account_id, request_id, nanos)
        return request_id

    def available(self, account_id: int) -> int:
        purse = self.keeper.find(account_id)
        assert purse is not None
        return purse.available_nanos

    def check(self) -> None:
        found = check_purses(self.database, self.keeper)
        assert found.is_right, found


MakeHouse = Callable[..., House]


def opened(make_house: MakeHouse, *incarnations: int, **options: Any) -> list[House]:
    """Houses that have looked and admit."""
    houses = [make_house(each, **options) for each in incarnations]
    for house in houses:
        house.keeper.look()
    time.sleep(1.05)  # purses are closed for a second
    return houses


def looks(house: House) -> bool:
    try:
        house.keeper.look()
    except (OSError, RedisError, DatabaseUnavailable):
        return False
    return True
