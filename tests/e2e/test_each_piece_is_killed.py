"""Three houses in front of six engines, on one Redis and one PostgreSQL, under a steady load: each
piece is killed in turn. What clients saw of it is printed as a table."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.test_many_houses import (
    PATIENT,
    PRICE,
    PRICES,
    bearer,
    check_books,
    make_account,
    settled,
)
from tests.e2e.test_money import ask
from tests.support.fleet_load import Entry, FleetLoad
from tests.support.house import House, run_house
from tests.support.paced_engine import PacedEngine
from tests.support.postgresql import OwnServer, mortal_server
from tests.support.redis_server import redis_server
from tests.support.tcp_proxy import tcp_proxy
from tests.support.waiting import eventually

HOUSES, ENGINES, CLIENTS, WORDS = 3, 6, 9, 8
AWAY_S = 1.5
"""How long what was killed is away, where nobody but the test brings it back."""

WELL = 3 * CLIENTS
"""Answers in a row after which all is well again."""

FUNDS = 10**12


@dataclass(frozen=True)
class Kill:
    """What happened to the clients after one death."""

    piece: str
    asked: int
    turned: int
    errors: Counter[str]
    last_error_s: float  # how long after the death the last request began that failed

    def row(self) -> str:
        errors = ", ".join(f"{count} {what}" for what, count in sorted(self.errors.items()))
        recovery = f"{self.last_error_s:.1f} s" if self.last_error_s else "–"
        return f"| {self.piece} | {self.asked} | {self.turned} | {errors or '–'} | {recovery} |"


class Fleet:
    """All pieces, and how each is killed and comes back."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self.engines = [PacedEngine(0.01) for _ in range(ENGINES)]
        stack.callback(lambda: [engine.stop() for engine in self.engines])
        self.postgresql: OwnServer = stack.enter_context(mortal_server())
        self.redis = stack.enter_context(redis_server())
        self._proxy = stack.enter_context(tcp_proxy(self.redis.port))
        self.houses = [self.start_house(number) for number in range(HOUSES)]

    def start_house(self, number: int) -> House:
        folder = self._folder / str(number)
        folder.mkdir(exist_ok=True)
        # A dead Redis refuses at once; one that is slow because the machine is, is waited for.
        environment = (
            PRICES
            | PATIENT
            | {
                "TOKENMILL_DATABASE_URL": self.postgresql.url,
                "TOKENMILL_REDIS_URL": f"redis://127.0.0.1:{self._proxy.port}",
            }
        )
        flags = [flag for engine in self.engines for flag in ("--engine", engine.url)]
        house = run_house(folder, *flags, command="serve", environment=environment)
        return self._stack.enter_context(house)

    def engine(self) -> None:
        """Its connections are cut and new ones refused; then it is back at its address."""
        port = int(self.engines[0].url.rpartition(":")[2])
        self.engines[0].leave()
        time.sleep(AWAY_S)
        self.engines[0] = PacedEngine(0.01, port)

    def worker(self) -> None:
        self.houses[0].kill_child("gateway.worker")

    def control(self) -> None:
        self.houses[0].kill_child("control")

    def house(self) -> None:
        """All its processes; then it is started again where it was."""
        for process_id in self.houses[0].family():
            os.kill(process_id, signal.SIGKILL)
        self.houses[0].process.wait()
        self.houses[0] = self.start_house(0)

    def redis_server(self) -> None:
        """With all its data; an empty one takes its place."""
        self.redis.stop()
        time.sleep(AWAY_S)
        self.redis = self._stack.enter_context(redis_server())
        self._proxy.target_port = self.redis.port

    def database(self) -> None:
        self.postgresql.kill()
        time.sleep(AWAY_S)
        self.postgresql.start()


@pytest.fixture
def fleet(folder: Path) -> Iterator[Fleet]:
    with ExitStack() as stack:
        yield Fleet(folder, stack)


def kill(load: FleetLoad, piece: str, deed: Callable[[], None], fleet: Fleet) -> Kill:
    """Does it while all is well, and waits until all is well again."""
    eventually(lambda: load.is_well(WELL), "all is well", within_s=60)
    first = len(load.diary)
    died_s = time.monotonic()
    deed()
    load.urls = [house.url for house in fleet.houses]
    back_s = time.monotonic()

    def is_over() -> bool:
        is_heard = load.is_over_since(back_s)  # whoever waited through it has been told, too
        return is_heard and load.whole_since(back_s) >= WELL and load.is_well(WELL)

    eventually(is_over, f"all is well after {piece}", within_s=90)
    entries = load.diary[first:]
    failed = [one for one in entries if one.outcome != "whole"]
    last_s = max((one.began_s - died_s for one in failed), default=0.0)
    return Kill(
        piece=piece,
        asked=len(entries),
        turned=sum(one.turned > 0 for one in entries),
        errors=Counter(f"{one.outcome}: {one.detail}" for one in failed),
        last_error_s=max(last_s, 0.0),
    )


@pytest.mark.timeout(300)
def test_each_piece_is_killed_in_turn(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    here = fleet.houses[0]
    secret = make_account(here, "acme", FUNDS)
    for house in fleet.houses:
        eventually(lambda house=house: knows(house, secret), "the key opens")
    pieces = {
        "one of six engines": fleet.engine,
        "a worker of one house": fleet.worker,
        "control of one house": fleet.control,
        "one of three houses": fleet.house,
        "Redis, with its data": fleet.redis_server,
        "PostgreSQL": fleet.database,
    }
    urls = [house.url for house in fleet.houses]
    load = FleetLoad(urls, secret, clients=CLIENTS, words=WORDS)
    with load.running():
        kills = [kill(load, piece, deed, fleet) for piece, deed in pieces.items()]
    table = "\n".join(one.row() for one in kills)
    with capsys.disabled():
        print(f"\n| killed | asked | by another house | errors | last one began after |\n{table}")
    check_what_clients_saw(dict(zip(pieces, kills, strict=True)))
    check_bill(fleet, load.diary)


def knows(house: House, secret: str) -> bool:
    with house.client() as client:
        return client.get("/v1/key", headers=bearer(secret)).is_success


def check_what_clients_saw(kills: dict[str, Kill]) -> None:
    """Which errors there may be at all. None of them is a silent end."""
    allowed = {
        # Streams that had begun; a request that was lost twice: its first engine and a kept
        # connection of the next.
        "one of six engines": {"cut: engine_error", "refused: 502 engine_error"},
        "a worker of one house": {"broke"},
        "control of one house": set(),
        "one of three houses": {"broke"},
        "Redis, with its data": {"refused: 503 overloaded", "refused: 503 service_unavailable"},
        "PostgreSQL": set(),
    }
    for piece, seen in kills.items():
        for error in seen.errors:
            assert "silent" not in error, piece
            is_allowed = error in allowed[piece] or error.partition(":")[0] in allowed[piece]
            assert is_allowed, f"{piece}: {seen.errors}"
    assert kills["one of six engines"].errors["refused: 502 engine_error"] <= CLIENTS


def check_bill(fleet: Fleet, diary: list[Entry]) -> None:
    """Billed is what clients received; of an answer that was cut, at most all of it."""
    # What purses say is spent is in the ledger a flush later. One that could not be told of a
    # flush, for what died took the news with it, counts those requests twice until it is swept.
    look = lambda: usage_that_was_spent(fleet.houses[0])  # noqa: E731
    used = eventually(look, "usage is what was spent", within_s=60)
    for house in fleet.houses:
        check_books(house)
    least = sum(one.words for one in diary)
    most = sum(WORDS for one in diary if one.outcome != "refused")
    assert least <= used / PRICE <= most


def usage_that_was_spent(house: House) -> int | None:
    used: int = ask(house, "usage", "acme")["total"]["cost_nanos"]
    return used if used == FUNDS - settled(house, "acme") else None
