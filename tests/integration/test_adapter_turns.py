"""Houses of one database take turns at an engine: together they keep its room, and one that died in
its turn holds the others up no longer than a turn lasts."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

from tests.integration.test_keeper import make_keeper, running, target, until
from tests.support.adapter_engine import BASE, AdapterEngine, adapter_engines
from tests.support.ports import fresh_port
from tokenmill._native import Segment
from tokenmill.adapters.rules import Adapter
from tokenmill.adapters.store import end_turn, take_turn
from tokenmill.adapters.views import LoadWish
from tokenmill.clock import wall_ms
from tokenmill.control.adapter_keeper import AdapterKeeper
from tokenmill.control.adapter_turns import AdapterTurns
from tokenmill.database.address import find_address
from tokenmill.database.connection import Database
from tokenmill.settings import AdapterSettings

URL = "http://gpu:8000"
ADAPTERS = [Adapter(name=name, base=BASE, path=f"/{name}") for name in ("a", "b", "c", "d")]


def take(database: Database, house: int, now_ms: int, url: str = URL) -> bool:
    with database.write() as connection:
        return take_turn(connection, url, house, now_ms=now_ms, until_ms=now_ms + 1_000)


def test_a_turn_is_one_houses_until_it_ends_or_time_is_over(database: Database) -> None:
    assert take(database, 1, 0)
    assert take(database, 1, 10), "its own it may take again, as control does after a restart"
    assert not take(database, 2, 500)
    assert take(database, 2, 500, "http://other:8000")
    with database.write() as connection:
        end_turn(connection, URL, 2)
    assert not take(database, 2, 1_009), "another one's turn is nobody else's to end"
    assert take(database, 2, 1_010)
    assert not take(database, 1, 1_020)
    with database.write() as connection:
        end_turn(connection, URL, 2)
    assert take(database, 1, 1_020)


@contextlib.asynccontextmanager
async def house(
    folder: Path, name: str, database: Database, engine: AdapterEngine
) -> AsyncIterator[AdapterKeeper]:
    (folder / name).mkdir()
    path = str(folder / name / "s")
    segment = Segment.create(path, keys_max=8, workers_max=2, engines_max=8)
    port = int(engine.url.rpartition(":")[2])
    keeper = make_keeper(folder / name, segment, [target(port, "named", "gpu")])
    settings = AdapterSettings(resident_max=1, load_ms=20_000)
    turns = AdapterTurns(database, segment.incarnation, settings.load_ms)
    async with running(keeper):
        keeper.name_adapters(ADAPTERS)
        await until(lambda: any(one.is_loadable for one in keeper.fleet.routes), within_s=10)
        nothing = lambda _: 0  # noqa: E731
        yield AdapterKeeper(keeper, settings, nothing, nothing, house_turn=turns.turn)


async def test_two_houses_that_load_at_one_instant_keep_the_room(
    tmp_path: Path, shared_database: Database
) -> None:
    with adapter_engines(1) as [engine]:
        held: list[int] = []

        def load() -> None:
            time.sleep(0.2)  # so long that both would be at it
            held.append(len(engine.adapters))

        engine.before_load = load
        async with (
            house(tmp_path, "here", shared_database, engine) as here,
            house(tmp_path, "there", shared_database, engine) as there,
        ):
            wishes = [(here, "a"), (there, "b"), (here, "c"), (there, "d")]
            await asyncio.gather(*(one.ensure(LoadWish(name)) for one, name in wishes))
        assert sorted(engine.loads) == ["a", "b", "c", "d"]
        assert held == [0] * 4, "there was room each time"
        assert len(engine.adapters) == 1


async def test_a_turn_that_does_not_come_in_time_is_told(shared_database: Database) -> None:
    with shared_database.write() as connection:
        assert take_turn(connection, URL, 2, now_ms=wall_ms(), until_ms=wall_ms() + 600_000)
    async with AdapterTurns(shared_database, 1, 200).turn(URL) as is_mine:
        assert not is_mine
    assert not take(shared_database, 3, wall_ms()), "the other house's turn goes on"


async def test_nobody_waits_for_a_database_that_is_away() -> None:
    away = find_address(f"postgresql://nobody@127.0.0.1:{fresh_port()}/x", Path("/"))
    async with AdapterTurns(Database(away), 1, 20_000).turn(URL) as is_mine:
        assert is_mine
