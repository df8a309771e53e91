"""Engines that register themselves: leases in a real database, engines on real sockets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.integration.test_keeper import EMBEDDED, make_keeper, running, target, until
from tests.support.postgresql import PostgresqlServer
from tests.support.strangers import answer, canned, stranger, vllm_answers
from tokenmill._native import Segment
from tokenmill.control import joined_engines
from tokenmill.control.joined_engines import JoinedEngines
from tokenmill.control.keeper import Keeper
from tokenmill.database.connection import Database
from tokenmill.database.upgrade import open_database
from tokenmill.engines.errors import NetworksInvalid
from tokenmill.engines.store import Lease, list_leases, put_lease
from tokenmill.engines.views import JoinWish
from tokenmill.errors import Conflict, InvalidRequest, ServiceUnavailable
from tokenmill.settings import JoinSettings

LOOPBACK = ("127.0.0.0/8",)
KEY, OTHER_KEY = 1, 2


class Clock:
    """The wall clock of all houses of a test."""

    def __init__(self) -> None:
        self.ms = 1_000_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture(autouse=True)
def folders(tmp_path: Path) -> None:
    """Each house has its own."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()


@pytest.fixture
def clock() -> Clock:
    return Clock()


class House:
    """A keeper of its own on the database that all share."""

    def __init__(self, keeper: Keeper, joined: JoinedEngines) -> None:
        self.keeper = keeper
        self.joined = joined

    @property
    def pools(self) -> list[int]:
        """How many engines each pool has."""
        return [len(pool) for pool in self.keeper.fleet.pools]

    def names(self) -> list[str]:
        return [known.target.name for known in self.keeper.known]


@contextlib.asynccontextmanager
async def house(
    folder: Path, database: Database, clock: Callable[[], int], engines_max: int = 8
) -> AsyncIterator[House]:
    segment = Segment.create(f"{folder}.segment", keys_max=8, workers_max=2, engines_max=8)
    keeper = make_keeper(folder, segment, [])
    settings = JoinSettings(networks=LOOPBACK, lease_ms=9_000, engines_max=engines_max)
    joined = JoinedEngines(keeper, database, settings, lambda name: 0, now_ms=clock)
    async with running(keeper):
        following = asyncio.create_task(joined.follow())
        try:
            yield House(keeper, joined)
        finally:
            following.cancel()


def at(port: int, **fields: object) -> JoinWish:
    return JoinWish(f"http://127.0.0.1:{port}", **fields)  # type: ignore[arg-type]


async def test_one_that_leaves_without_a_lease_gets_none(
    tmp_path: Path, database: Database, clock: Clock
) -> None:
    """It was never taken, or the house was away for so long that its lease is over."""
    async with (
        stranger(canned(vllm_answers())) as port,
        house(tmp_path / "a", database, clock) as here,
    ):
        left = await here.joined.join(at(port, is_leaving=True), KEY)
        assert left.in_flight == 0
        with database.read() as connection:
            assert (here.names(), list(list_leases(connection))) == ([], [])
        await here.joined.join(at(port), OTHER_KEY)
        await until(lambda: here.pools == [1])  # the address is free


async def test_the_life_of_a_lease(tmp_path: Path, database: Database, clock: Clock) -> None:
    """Registered with one house, known to both, renewed, left, and over."""
    async with (
        stranger(canned(vllm_answers())) as port,
        house(tmp_path / "a", database, clock) as here,
        house(tmp_path / "b", database, clock) as there,
    ):
        joined = await here.joined.join(at(port, name="gpu"), KEY)
        assert (joined.engine, joined.lease_ms, joined.renew_ms) == ("gpu", 9_000, 3_000)
        for each in (here, there):
            await until(lambda each=each: each.pools == [1], within_s=5)
        clock.ms += 8_000
        await there.joined.join(at(port, name="gpu"), KEY)  # any house renews it
        clock.ms += 8_000
        await asyncio.sleep(1.5 * joined_engines.LOOK_S)
        assert (here.pools, there.pools) == ([1], [1])

        await here.joined.join(at(port, name="gpu", is_leaving=True), KEY)
        assert (here.names(), here.pools) == (["gpu"], []), "it drains"
        await until(lambda: there.pools == [], within_s=5)
        assert there.keeper.fleet.engines[0].is_draining
        await here.joined.join(at(port, name="gpu"), KEY)
        assert here.pools == [1], "it changed its mind"

        clock.ms += 9_001
        for each in (here, there):
            await until(lambda each=each: each.names() == [], within_s=5)
            assert each.pools == []
        clock.ms += joined_engines.FORGOTTEN_MS
        await until(lambda: not leases(database), within_s=5)


def leases(database: Database) -> list[str]:
    with database.read() as connection:
        return [lease.name for lease in list_leases(connection)]


async def test_a_lease_outlives_control(tmp_path: Path, database: Database, clock: Clock) -> None:
    async with stranger(canned(vllm_answers())) as port:
        async with house(tmp_path / "a", database, clock) as here:
            await here.joined.join(at(port), KEY)
        async with house(tmp_path / "a", database, clock) as here:
            with database.read() as connection:
                here.joined.apply(list_leases(connection))
            assert here.names() == [f"127.0.0.1:{port}"]
            await until(lambda: here.pools == [1])


def test_houses_renew_one_lease_at_once(postgresql: PostgresqlServer, tmp_path: Path) -> None:
    def renewed(now_ms: int) -> Lease:
        return Lease(
            url="http://10.0.0.1:1",
            name="gpu",
            api_key="",
            key_id=KEY,
            is_leaving=False,
            expires_at_ms=now_ms,
        )

    with (
        postgresql.empty_database() as url,
        closing(open_database(url, tmp_path)) as here,
        closing(open_database(url, tmp_path)) as there,
    ):

        def renew(number: int) -> None:
            with (here if number % 2 else there).write() as connection:
                put_lease(connection, renewed(number))

        def kept() -> Lease:
            with here.read() as connection:
                [lease] = list_leases(connection)
            return lease

        renew(0)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(renew, range(1, 60)))
        lease = kept()
        assert lease == renewed(lease.expires_at_ms) != renewed(0)
        renew(60)
        assert kept() == renewed(60)


STRANGERS = {
    "no vLLM": canned({"/v1/models": answer({"object": "list", "data": []})}),
    "a web site": canned({"/": answer(b"hello")}),
    "locked": canned({"/version": answer({"version": "1"}), "/v1/models": answer({}, status=401)}),
}


@pytest.mark.parametrize("kind", STRANGERS)
async def test_what_is_no_engine_is_not_taken(
    tmp_path: Path, database: Database, clock: Clock, kind: str
) -> None:
    async with (
        stranger(STRANGERS[kind]) as port,
        house(tmp_path / "a", database, clock) as here,
    ):
        with pytest.raises(InvalidRequest, match="No engine was found") as refused:
            await here.joined.join(at(port), KEY)
        assert refused.value.param == "url"
        assert (here.names(), leases(database)) == ([], [])


async def test_where_nobody_listens_there_is_no_engine(
    tmp_path: Path, database: Database, clock: Clock
) -> None:
    async with house(tmp_path / "a", database, clock) as here:
        async with stranger(canned(vllm_answers())) as port:
            pass
        with pytest.raises(InvalidRequest, match="No engine was found"):
            await here.joined.join(at(port), KEY)


async def test_places_and_names_are_taken_once(
    tmp_path: Path, database: Database, clock: Clock
) -> None:
    async with (
        stranger(canned(vllm_answers())) as port,
        stranger(canned(EMBEDDED)) as other,
        house(tmp_path / "a", database, clock, engines_max=2) as here,
    ):
        here.keeper.add(target(1, "added", "mine"))
        with pytest.raises(Conflict, match="mine"):
            await here.joined.join(at(1), KEY)
        with pytest.raises(Conflict, match="called mine"):
            await here.joined.join(at(port, name="mine"), KEY)
        await here.joined.join(at(port, name="gpu"), KEY)
        with pytest.raises(Conflict, match="Another token"):
            await here.joined.join(at(port, name="gpu"), OTHER_KEY)
        with pytest.raises(Conflict, match="called gpu"):
            await here.joined.join(at(other, name="gpu"), KEY)
        await here.joined.join(at(other), OTHER_KEY)
        with pytest.raises(ServiceUnavailable, match="2 engines"):
            await here.joined.join(at(2), KEY)


def test_wrong_networks_are_named(tmp_path: Path, database: Database) -> None:
    keeper = make_keeper(
        tmp_path, Segment.create(str(tmp_path / "s"), keys_max=8, workers_max=2, engines_max=8), []
    )
    for wrong in ("10.0.0.1/8", "everywhere", "10.0.0.0/33"):
        with pytest.raises(NetworksInvalid, match=r"join\.networks"):
            JoinedEngines(keeper, database, JoinSettings(networks=(wrong,)), lambda name: 0)
