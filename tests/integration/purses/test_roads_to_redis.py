"""Between purses and their Redis: one that is slow, that answers nobody, that is a replica or
becomes one, and the ways to reach it."""

import asyncio
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.memory_cells import Request
from tests.support.ports import fresh_port
from tests.support.postgresql import CERTIFICATES
from tests.support.purse_house import DOLLAR, FREE, MakeHouse, looks, opened
from tests.support.redis_server import RedisServer, redis_server
from tests.support.tcp_proxy import tcp_proxy
from tests.support.waiting import eventually
from tokenmill.accounts.store import insert_account, list_accounts
from tokenmill.database.connection import Database
from tokenmill.purses.errors import PursesAway
from tokenmill.purses.values import Terms, Wish
from tokenmill.purses.worker_purses import WorkerPurses


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
        settings = redis.fresh_settings(closed_ms=1_000, answer_ms=2_000, connect_ms=2_000)
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


def test_a_new_account_has_a_purse_though_redis_was_away(
    make_house: MakeHouse, database: Database, redis: RedisServer
) -> None:
    with tcp_proxy(redis.port) as proxy:
        settings = redis.fresh_settings(answer_ms=2_000, connect_ms=2_000, closed_ms=1_000)
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
    tls_port = fresh_port()
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
        settings = redis.fresh_settings(closed_ms=1_000, answer_ms=2_000)
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
