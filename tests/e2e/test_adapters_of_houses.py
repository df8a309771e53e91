"""Two houses before the same engines: what one loaded the other uses, both together keep the room,
and neither takes what the other needs."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.test_adapters import Fleet, said
from tests.support.adapter_engine import AdapterEngine, adapter_engines
from tests.support.house import run_house
from tests.support.postgresql import PostgresqlServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(180)


@contextlib.contextmanager
def two_houses(
    folder: Path,
    postgresql: PostgresqlServer,
    count: int,
    more: Mapping[str, str] | None = None,
    **settings: int,
) -> Iterator[tuple[Fleet, Fleet, list[AdapterEngine]]]:
    with (
        postgresql.empty_database() as url,
        adapter_engines(count) as engines,
        contextlib.ExitStack() as running,
    ):
        flags = [flag for engine in engines for flag in ("--engine", engine.url)]
        environment = {f"TOKENMILL_ADAPTERS_{name.upper()}": str(n) for name, n in settings.items()}
        environment |= {"TOKENMILL_DATABASE_URL": url, **(more or {})}
        fleets = []
        for name in ("here", "there"):
            (folder / name).mkdir()
            house = run_house(folder / name, *flags, command="serve", environment=environment)
            fleets.append(Fleet(running.enter_context(house), engines))
        here, there = fleets
        yield here, there, engines


def knows(fleet: Fleet, *names: str) -> bool:
    with fleet.house.client() as client:
        listed = {each["id"] for each in client.get("/v1/models").json()["data"]}
    return listed.issuperset(names)


def test_two_houses_load_an_adapter_on_one_engine(
    folder: Path, postgresql: PostgresqlServer
) -> None:
    with two_houses(folder, postgresql, 3) as (here, there, engines):
        names = [f"bot-{number}" for number in range(4)]
        for name in names:
            here.name(name)
        eventually(lambda: knows(there, *names), "the other house knows them")
        for engine in engines:
            engine.before_load = lambda: time.sleep(0.3)
        with ThreadPoolExecutor(8) as clients:
            asked = [
                (name, clients.submit(fleet.ask, name)) for name in names for fleet in (here, there)
            ]
            assert all(said(answer.result()) == f"I am {name}" for name, answer in asked)
        for name in names:
            assert len(here.holders(name)) == 1
            views = [fleet.view(name).engines for fleet in (here, there)]
            assert views[0] == views[1] != ()


def test_the_one_used_longest_ago_in_any_house_makes_room(
    folder: Path, postgresql: PostgresqlServer
) -> None:
    with two_houses(folder, postgresql, 1, resident_max=2) as (here, there, [engine]):
        for name in ("mine", "old", "new"):
            here.name(name)
        eventually(lambda: knows(there, "mine", "old", "new"), "the other house knows them")
        assert said(there.ask("old")) == "I am old"
        # So often, and for so long, that no look misses it, nor the look of the other house after.
        deadline = time.monotonic() + 12
        while time.monotonic() < deadline:
            assert said(here.ask("mine")) == "I am mine"
            time.sleep(0.2)
        assert said(there.ask("new")) == "I am new"
        assert sorted(engine.adapters) == ["mine", "new"]
        assert engine.unloads == ["old"]


def test_what_one_house_takes_from_an_engine_fails_no_request_of_the_other(
    folder: Path, postgresql: PostgresqlServer
) -> None:
    """Room for one, and two houses that ask for two: they take turns, and everyone is answered."""
    with two_houses(folder, postgresql, 1, resident_max=1) as (here, there, [engine]):
        for name in ("a", "b"):
            here.name(name)
        eventually(lambda: knows(there, "a", "b"), "the other house knows them")
        for _ in range(4):
            assert said(here.ask("a")) == "I am a"
            assert said(there.ask("b")) == "I am b"
        assert len(engine.adapters) == 1
