"""All of an installation is restarted under load, piece by piece: three real engines, then two
houses that share a Redis and a PostgreSQL, each as a whole. No request fails."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.e2e.test_each_piece_is_killed import FUNDS, knows, usage_that_was_spent
from tests.e2e.test_many_houses import PATIENT, PRICE, PRICES, check_books, make_account
from tests.e2e.test_money import ask
from tests.e2e.test_rolling_restart import command
from tests.support.embedded_engine import Engine, demo_model, running_engine
from tests.support.fleet_load import FleetLoad
from tests.support.house import House, run_house
from tests.support.postgresql import PostgresqlServer
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

CLIENTS, WORDS = 6, 8
WELL = 3 * CLIENTS


class Fleet:
    """Two houses and three embedded engines; each piece can be started anew."""

    def __init__(self, folder: Path, environment: dict[str, str], stack: ExitStack) -> None:
        self._folder, self._environment = folder, environment
        self._pieces: dict[str, ExitStack] = {}
        stack.callback(lambda: [piece.close() for piece in self._pieces.values()])
        self.engines: list[Engine] = []
        for number in range(3):
            self.engines.append(self.start_engine(number))
        self.houses = [self.start_house(number) for number in range(2)]

    def start_engine(self, number: int, port: int = 0) -> Engine:
        piece = self._pieces[f"engine {number}"] = ExitStack()
        return piece.enter_context(running_engine(model=demo_model(), port=port))

    def start_house(self, number: int) -> House:
        piece = self._pieces[f"house {number}"] = ExitStack()
        folder = self._folder / str(number)
        folder.mkdir(exist_ok=True)
        flags = [flag for engine in self.engines for flag in ("--engine", engine.url)]
        house = run_house(folder, *flags, command="serve", environment=self._environment)
        return piece.enter_context(house)

    def restart_engine(self, number: int) -> None:
        """As an operator does it: drained at one house, which tells the other one."""
        port, url = self.engines[number].port, self.engines[number].url
        command(self.houses[0], "drain", url, "--wait", "60")
        self._pieces[f"engine {number}"].close()
        self.engines[number] = self.start_engine(number, port)
        command(self.houses[0], "undrain", url)
        for house in self.houses:
            look = lambda house=house: set(house.standings().values())  # noqa: E731
            eventually(lambda look=look: look() <= {"serving", "warming"}, "all serve", within_s=60)

    def restart_house(self, number: int, load: FleetLoad) -> None:
        """Whoever stands in front is told before, and what it sent before has come in, as by a
        pod's `preStop`, which waits."""
        load.urls = [house.url for at, house in enumerate(self.houses) if at != number]
        told_s = time.monotonic()
        eventually(lambda: load.has_heard_since(told_s), "what was sent came in", within_s=60)
        assert self.houses[number].stop() == 0
        self.houses[number] = self.start_house(number)
        load.urls = [house.url for house in self.houses]


@contextmanager
def running_fleet(folder: Path, environment: dict[str, str]) -> Iterator[Fleet]:
    with ExitStack() as stack:
        yield Fleet(folder, environment, stack)


@pytest.mark.timeout(300)
def test_each_engine_and_each_whole_house_is_restarted_and_no_request_fails(
    folder: Path,
    postgresql: PostgresqlServer,
    redis: RedisServer,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with postgresql.empty_database() as database_url, ExitStack() as stack:
        shared = {
            "TOKENMILL_DATABASE_URL": database_url,
            "TOKENMILL_REDIS_URL": redis.url,
            "TOKENMILL_REDIS_PREFIX": redis.fresh_settings().prefix,
        }
        fleet = stack.enter_context(running_fleet(folder, PRICES | PATIENT | shared))
        secret = make_account(fleet.houses[0], "acme", FUNDS)
        for house in fleet.houses:
            eventually(lambda house=house: knows(house, secret), "the key opens")
        urls = [house.url for house in fleet.houses]
        load = FleetLoad(urls, secret, clients=CLIENTS, words=WORDS)
        with load.running():
            for number in range(3):
                eventually(lambda: load.is_well(WELL), "all is well", within_s=60)
                fleet.restart_engine(number)
            for number in range(2):
                eventually(lambda: load.is_well(WELL), "all is well", within_s=60)
                fleet.restart_house(number, load)
            done = len(load.diary)
            eventually(lambda: len(load.diary) > done + WELL, "all serve", within_s=60)
        failed = Counter(
            f"{one.outcome} {one.detail}" for one in load.diary if one.outcome != "whole"
        )
        with capsys.disabled():
            print(f"\n{len(load.diary)} requests, {failed.total()} failed {dict(failed)}")
        assert not failed
        here = fleet.houses[0]
        used = eventually(lambda: usage_that_was_spent(here), "usage is what was spent")
        assert used <= len(load.diary) * WORDS * PRICE
        assert ask(here, "usage", "acme")["total"]["requests"] == len(load.diary)
        check_books(here)
