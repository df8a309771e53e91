"""What an operator says of engines in one house, every house of the database does."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.test_keeper import make_keeper, running, until
from tests.support.strangers import canned, stranger, vllm_answers
from tokenmill._native import Segment
from tokenmill.accounts.store import insert_account
from tokenmill.control.engine_register import HouseEngines
from tokenmill.control.keeper import Keeper
from tokenmill.database.connection import Database
from tokenmill.engines.store import (
    Entry,
    Lease,
    assign_engine,
    list_entries,
    list_leases,
    list_owners,
    put_entry,
    put_lease,
)
from tokenmill.engines.views import AddEngine
from tokenmill.errors import NotFound

if TYPE_CHECKING:
    from sqlalchemy import Connection


@contextlib.asynccontextmanager
async def house(
    folder: Path, name: str, database: Database
) -> AsyncIterator[tuple[HouseEngines, Keeper]]:
    (folder / name).mkdir()
    segment = Segment.create(str(folder / name / "s"), keys_max=8, workers_max=2, engines_max=8)
    keeper = make_keeper(folder / name, segment, [])
    engines = HouseEngines(keeper, database, segment, {})
    async with running(keeper):
        following = asyncio.create_task(engines.follow())
        try:
            yield engines, keeper
        finally:
            following.cancel()


@pytest.mark.parametrize("what", ["entry", "lease", "assignment"])
def test_two_houses_may_say_the_same_of_an_engine_at_once(database: Database, what: str) -> None:
    with database.write() as connection:
        account = insert_account(connection, "acme", "free", 1).id
    lease = Lease(
        url="http://a:1", name="a", api_key="", key_id=1, is_leaving=False, expires_at_ms=1
    )
    says: dict[str, Callable[[Connection], None]] = {
        "entry": lambda one: put_entry(one, Entry(url="http://a:1", name="a", is_added=True)),
        "lease": lambda one: put_lease(one, lease),
        "assignment": lambda one: assign_engine(one, "a", account),
    }
    is_waiting = threading.Event()

    def say() -> None:
        with database.write() as other:
            says[what](other)

    with ThreadPoolExecutor(1) as house:
        with database.write() as connection:
            says[what](connection)
            saying = house.submit(lambda: (is_waiting.set(), say()))
            is_waiting.wait(10)
            time.sleep(0.1)  # it waits for us, in a lock of the database
        saying.result(30)
    with database.read() as connection:
        found = (list_entries(connection), list_leases(connection), list_owners(connection))
    assert sorted(map(len, found)) == [0, 0, 1]


def pools(keeper: Keeper) -> list[int]:
    return [len(pool) for pool in keeper.fleet.pools]


async def test_add_drain_assign_and_remove(tmp_path: Path, database: Database) -> None:
    async with (
        stranger(canned(vllm_answers())) as port,
        house(tmp_path, "a", database) as (here, _),
        house(tmp_path, "b", database) as (there, keeper),
    ):
        await here.add(AddEngine(f"http://127.0.0.1:{port}", "gpu"))
        await until(lambda: pools(keeper) == [1])
        await here.drain("gpu", is_draining=True)
        await until(lambda: pools(keeper) == [])
        assert [view.standing for view in there.views()] == ["draining"]
        await there.drain("gpu", is_draining=False)
        assert pools(keeper) == [1]
        with database.write() as connection:
            account = insert_account(connection, "acme", "free", 1).id
        await here.assign("gpu", "acme")
        await until(lambda: [view.account for view in there.views()] == ["acme"])
        await until(
            lambda: [one.account_id for one in keeper.fleet.routes] == [account], within_s=5
        )
        await here.remove("gpu")
        await until(lambda: there.views() == [])
        assert keeper.fleet.engines == ()

        # It is in no list and still the account's, until somebody gives it back.
        assert (await there.assign("gpu", None)).state == "gone"
        with database.read() as connection:
            assert list_owners(connection) == {}
        for account in (None, "acme"):
            with pytest.raises(NotFound):
                await there.assign("gpu", account)
        await here.add(AddEngine(f"http://127.0.0.1:{port}", "gpu"))
        await until(lambda: [one.account_id for one in keeper.fleet.routes] == [0])


async def test_looking_again_changes_nothing(tmp_path: Path, database: Database) -> None:
    async with (
        stranger(canned(vllm_answers())) as port,
        house(tmp_path, "a", database) as (here, keeper),
    ):
        await here.add(AddEngine(f"http://127.0.0.1:{port}", "gpu"))
        await until(lambda: pools(keeper) == [1])
        generation, known = keeper.fleet.generation, keeper.known[0]
        for _ in range(3):
            await here.look()
        assert keeper.fleet.generation == generation
        assert keeper.known == [known]
