"""Control's side of the purses: what dies, is lost or is late ends with purses that are the ledger
and what is under way."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import RedisError

from tests.support.ledger import FewNames, make_accounts
from tests.support.memory_cells import NOW_MS, MemoryCells, Request, held_record
from tests.support.postgresql import CERTIFICATES, PostgresqlServer, free_port, mortal_server
from tests.support.redis_server import RedisServer, redis_server
from tests.support.tcp_proxy import tcp_proxy
from tests.support.waiting import eventually
from tokenmill.accounts.store import insert_account, list_accounts
from tokenmill.billing.views import AddFunds
from tokenmill.billing.wallets import LedgerRoad, Wallets
from tokenmill.control import purse_keeper
from tokenmill.control.ledger_keeper import LedgerKeeper
from tokenmill.control.purse_checks import check_purses
from tokenmill.control.purse_keeper import PurseKeeper
from tokenmill.control.purse_road import PurseRoad
from tokenmill.database.connection import Database
from tokenmill.database.errors import DatabaseUnavailable
from tokenmill.database.upgrade import open_database
from tokenmill.purses.connection import connect
from tokenmill.purses.errors import PursesAway
from tokenmill.purses.values import Terms, Wish
from tokenmill.purses.worker_purses import WorkerPurses
from tokenmill.settings import RedisSettings
from tokenmill.usage.rules import UsageRow

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


@pytest.fixture
def database(postgresql: PostgresqlServer, tmp_path: Path) -> Iterator[Database]:
    with postgresql.empty_database() as url:
        opened = open_database(url, tmp_path)
        make_accounts(opened, 2)
        Wallets(opened, LedgerRoad(opened)).add(1, AddFunds(amount_nanos=DOLLAR, reference="x"))
        yield opened
        opened.close()


MakeHouse = Callable[..., House]


@pytest.fixture
def make_house(
    database: Database, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeHouse]:
    """Houses of one installation; a request may be left alone for a moment only."""
    monkeypatch.setattr(purse_keeper, "GRACE_S", 0)
    common = redis.fresh_settings(closed_ms=1_000, house_lost_s=5)
    made: list[House] = []

    def make(incarnation: int, url: str = redis.url, settings: RedisSettings = common) -> House:
        made.append(House(database, url, settings, incarnation))
        return made[-1]

    yield make
    for house in made:
        house.keeper.stop(1)


def opened(make_house: MakeHouse, *incarnations: int, **options: Any) -> list[House]:
    """Houses that have looked and admit."""
    houses = [make_house(each, **options) for each in incarnations]
    for house in houses:
        house.keeper.look()
    time.sleep(1.05)  # purses are closed for a second
    return houses


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
    settings = redis.fresh_settings(closed_ms=1_000, house_lost_s=5)
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


async def test_a_replica_that_lost_the_last_writes_is_not_believed(
    make_house: MakeHouse, database: Database
) -> None:
    with ExitStack() as running:
        first = running.enter_context(redis_server())
        replica = running.enter_context(
            redis_server(
                "--replicaof", f"127.0.0.1 {first.port}", "--repl-ping-replica-period", "1"
            )
        )
        proxy = running.enter_context(tcp_proxy(first.port))
        eventually(
            lambda: replica.client.info("replication")["master_link_status"] == "up", "it follows"
        )
        url = f"redis://127.0.0.1:{proxy.port}"
        here, there = opened(make_house, 1, 2, url=url)
        seen = await here.run(1, DOLLAR // 2)
        first.client.wait(1, 5_000)
        replica.client.replicaof("NO", "ONE")  # what comes now is lost
        lost = await there.run(1, DOLLAR // 4)
        assert here.available(1) == DOLLAR // 4
        first.stop()
        proxy.target_port = replica.port
        proxy.cut()
        with pytest.raises(PursesAway):
            await here.admit(1, 1)
        eventually(lambda: looks(here), "it looks")
        assert (await here.admit(1, 1))[0] == "closed"
        eventually(lambda: looks(there), "it looks")
        await asyncio.sleep(1.05)
        assert here.available(1) == DOLLAR // 4
        cost = here.cells.end(1, seen) + there.cells.end(1, lost)
        here.ledger.flush_all()
        there.ledger.flush_all()
        assert here.available(1) == DOLLAR - cost
        here.check()


def looks(house: House) -> bool:
    try:
        house.keeper.look()
    except (OSError, RedisError, DatabaseUnavailable):
        return False
    return True


async def test_a_primary_that_became_a_replica_is_left(make_house: MakeHouse) -> None:
    """Its connections live on, and take no writes."""
    with redis_server() as first, redis_server() as second, tcp_proxy(first.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}"
        [here] = opened(make_house, 1, url=url)
        here.keeper.start()
        purses = WorkerPurses(url, here.settings, 1)
        assert await is_admitted(purses, "a")
        proxy.target_port = second.port
        first.client.replicaof("127.0.0.1", second.port)
        assert not await is_admitted(purses, "b")
        async with asyncio.timeout(20):
            while not await is_admitted(purses, "c"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert here.available(1) == DOLLAR - 1
        await purses.close()


async def is_admitted(purses: WorkerPurses, digit: str) -> bool:
    try:
        answer = await purses.admit(1, FREE, Wish(digit * 24, 1, 0, enforce=True))
    except PursesAway:
        return False
    return answer.word == "ok"


async def test_a_slow_redis_is_not_waited_for(make_house: MakeHouse, redis: RedisServer) -> None:
    with tcp_proxy(redis.port) as proxy:
        settings = redis.fresh_settings(closed_ms=1_000, answer_ms=300, connect_ms=300)
        url = f"redis://127.0.0.1:{proxy.port}"
        [here] = opened(make_house, 1, url=url, settings=settings)
        proxy.delay_s = 0.02
        assert (await here.admit(1, 1))[0] == "ok"
        proxy.delay_s = 60.0
        async with asyncio.timeout(30):
            with pytest.raises(PursesAway):
                await here.admit(1, 1)
        here.cells.settle(Request(account_id=1))
        here.ledger.flush_all()  # the ledger does not wait for Redis


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


def test_a_new_account_has_a_purse_though_redis_was_away(
    make_house: MakeHouse, database: Database, redis: RedisServer
) -> None:
    with tcp_proxy(redis.port) as proxy:
        settings = redis.fresh_settings(answer_ms=200, connect_ms=200, closed_ms=1_000)
        url = f"redis://127.0.0.1:{proxy.port}"
        [here] = opened(make_house, 1, url=url, settings=settings)
        [new] = make_new(database)
        proxy.is_stuck = True
        here.keeper.refresh(new)
        proxy.is_stuck = False
        eventually(lambda: looks(here) and here.keeper.find(new) is not None, "it is made")
        here.check()


def make_new(database: Database) -> list[int]:
    with database.read() as connection:
        known = {each.id for each in list_accounts(connection)}
    with database.write() as connection:
        insert_account(connection, "new", "free", 1)
        return [each.id for each in list_accounts(connection) if each.id not in known]


@pytest.mark.parametrize("address", ["password", "socket", "encrypted"])
async def test_other_ways_to_redis(make_house: MakeHouse, address: str, tmp_path: Path) -> None:
    """A password and a database of its own, a Unix socket, TLS."""
    socket, authority = tmp_path / "r.sock", CERTIFICATES / "authority.pem"
    tls_port = free_port()
    certificate = ("--tls-cert-file", str(CERTIFICATES / "engine.pem"))
    key = ("--tls-key-file", str(CERTIFICATES / "engine.key"), "--tls-auth-clients", "no")
    flags = {
        "password": ("--requirepass", "p@ss"),
        "socket": ("--unixsocket", str(socket)),
        "encrypted": ("--tls-port", str(tls_port), *certificate, *key),
    }
    password = "p@ss" if address == "password" else ""
    with redis_server(*flags[address], password=password) as server:
        url = {
            "password": f"redis://:p%40ss@127.0.0.1:{server.port}/2",
            "socket": f"unix://{socket}?db=1",
            "encrypted": f"rediss://localhost:{tls_port}?ssl_ca_certs={authority}",
        }[address]
        [here] = opened(make_house, 1, url=url)
        assert (await here.admit(1, 5))[0] == "ok"
        assert here.available(1) == DOLLAR - 5


async def test_an_answer_that_is_lost_costs_one_permit_and_holds_nothing_for_long(
    make_house: MakeHouse, redis: RedisServer
) -> None:
    with tcp_proxy(redis.port) as proxy:
        settings = redis.fresh_settings(closed_ms=1_000, answer_ms=500)
        url = f"redis://127.0.0.1:{proxy.port}"
        [here] = opened(make_house, 1, url=url, settings=settings)
        purses, limits = WorkerPurses(url, settings, 1), Terms(60, 60, 0)
        began = time.monotonic()
        first = await purses.take(1, limits)
        wish = Wish("ab" * 12, 500, 20, enforce=True)
        assert (await purses.admit(1, limits, Wish("cd" * 12, 1, 0, enforce=True))).word == "ok"
        for lost in (purses.take(1, limits), purses.admit(1, limits, wish)):
            proxy.is_stuck = True
            with pytest.raises(PursesAway):
                await lost
            proxy.is_stuck = False
            await purses.look(1, limits)  # over a connection of its own, after what was lost
        look = await purses.look(1, limits)
        await purses.close()
        assert look is not None
        refilled = int(time.monotonic() - began) + 1
        gone = first.requests_remaining - look.levels.requests_remaining
        assert 1 - refilled <= gone <= 1
        assert look.available_nanos == DOLLAR - 501
        await asyncio.sleep(1.1)
        assert [here.keeper.sweep(), here.keeper.sweep()] == [0, 2]
        assert here.available(1) == DOLLAR
        here.check()
