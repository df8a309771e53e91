"""Three houses of two workers each that share a PostgreSQL and a Redis: one limit, one wallet, and
keys that are known and refused everywhere."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.test_money import ask, billed
from tests.support.chat import LONG, PATH, body, start_streams
from tests.support.house import House, run_house
from tests.support.paced_engine import PacedEngine
from tests.support.ports import fresh_port
from tests.support.postgresql import PostgresqlServer
from tests.support.redis_server import RedisServer, redis_server
from tests.support.tcp_proxy import TcpProxy, tcp_proxy
from tests.support.waiting import eventually

WORDS = 2
PRICE = 1_000
COST = WORDS * PRICE
PRICES = {
    "TOKENMILL_PRICES_PROMPT_NANOS": "0",
    "TOKENMILL_PRICES_CACHED_NANOS": "0",
    "TOKENMILL_PRICES_COMPLETION_NANOS": str(PRICE),
    "TOKENMILL_REDIS_CLOSED_MS": "1500",
}
PATIENT = {"TOKENMILL_REDIS_ANSWER_MS": "5000", "TOKENMILL_REDIS_CONNECT_MS": "5000"}
pytestmark = pytest.mark.timeout(300)

StartHouses = Callable[..., list[House]]


@pytest.fixture
def start_houses(
    folder: Path, engine: PacedEngine, postgresql: PostgresqlServer
) -> Iterator[StartHouses]:
    """Starts houses on one new database and a Redis."""
    with ExitStack() as running:
        environment = {"TOKENMILL_DATABASE_URL": running.enter_context(postgresql.empty_database())}

        def start(count: int, redis_url: str, **more: str) -> list[House]:
            mine = {"TOKENMILL_REDIS_URL": redis_url, **more}
            houses = []
            for number in range(count):
                (folder / str(number)).mkdir()
                flags = ("--engine", engine.url, "--workers", "2")
                house = run_house(
                    folder / str(number), *flags, environment={**PRICES, **environment, **mine}
                )
                houses.append(running.enter_context(house))
            for house in houses:
                eventually(lambda house=house: status(house, house.key) == 200, "it admits")
            return houses

        yield start


def chat(house: House, secret: str, words: int = WORDS, **fields: Any) -> httpx.Response:
    """A request; each time on another connection, so that any worker may take it."""
    headers = {"authorization": f"Bearer {secret}"}
    return httpx.post(f"{house.url}{PATH}", json=body(words) | fields, headers=headers, timeout=30)


def client_of(house: House, secret: str) -> httpx.Client:
    return httpx.Client(base_url=house.url, headers=bearer(secret), timeout=30)


def status(house: House, secret: str) -> int:
    return chat(house, secret, 1).status_code


def statuses(houses: list[House], secret: str, count: int) -> list[int]:
    """What `count` requests over all houses at once are answered."""
    with ThreadPoolExecutor(24) as pool:
        work = [pool.submit(chat, houses[n % len(houses)], secret) for n in range(count)]
        return [each.result().status_code for each in work]


def make_account(house: House, name: str, nanos: int, tier: str = "internal") -> str:
    """A new account with money; the secret of its key."""
    ask(house, "accounts", "create", name, "--tier", tier)
    ask(house, "wallet", "add", name, f"{nanos / 1e9:.9f}", "--reference", "x")
    secret: str = ask(house, "keys", "create", "--account", name, "--name", name)["secret"]
    return secret


def check_books(house: House) -> None:
    found = ask(house, "ledger", "verify")
    assert found["is_right"], found


def test_many_houses_are_one(start_houses: StartHouses, redis: RedisServer) -> None:
    """Keys, the limit and the wallet, in one run: houses take seconds to start."""
    houses = start_houses(3, redis.url, **PATIENT, TOKENMILL_REDIS_PREFIX=prefix_of(redis))
    here, *others = houses
    payments = 30
    rich = make_account(here, "acme", payments * COST)
    limited = make_account(here, "slow", 10**9, "free")
    for house in others:
        eventually(lambda house=house: knows(house, rich, limited), "both keys open")

    found = statuses(houses, rich, payments + 30)
    assert (found.count(200), found.count(402)) == (payments, 30)
    seen = [ask(house, "wallet", "show", "acme") for house in houses]
    assert [(each["available"]["nanos"], each["held"]["nanos"]) for each in seen] == [(0, 0)] * 3

    check_one_bucket(houses, limited, 20)

    ask(here, "keys", "revoke", "acme", "--yes")
    for house in houses:
        eventually(lambda house=house: status(house, rich) == 401, "it is refused")
        check_books(house)


def prefix_of(redis: RedisServer) -> str:
    prefix: str = redis.fresh_settings().prefix
    return prefix


def knows(house: House, *secrets: str) -> bool:
    """Whether the keys open there; costs no permit."""
    return all(
        httpx.get(f"{house.url}/v1/key", headers=bearer(each)).is_success for each in secrets
    )


def check_one_bucket(houses: list[House], secret: str, limit: int) -> None:
    """All houses together give what one bucket gives: exactly, from when it was empty on. Before
    that it may be full again where requests are slow to come."""

    def ask_one(number: int) -> tuple[int, float]:
        answer = chat(houses[number % len(houses)], secret).status_code
        return answer, time.monotonic()

    began = time.monotonic()
    with ThreadPoolExecutor(24) as pool:
        found = list(pool.map(ask_one, range(3 * limit)))
    found.append(ask_one(0))
    while found[-1][0] == 200:
        found.append(ask_one(0))
    ended = time.monotonic()
    assert {answer for answer, _ in found} == {200, 429}
    empty = min(at for answer, at in found if answer == 429)
    last = max(at for answer, at in found if answer == 200)
    least, most = limit + limit * (last - empty) / 60, limit + limit * (ended - began) / 60
    assert least - 1 <= sum(answer == 200 for answer, _ in found) <= most
    seen = httpx.get(f"{houses[1].url}/v1/key", headers=bearer(secret)).json()
    assert seen["limits"]["requests_per_min"]["limit"] == limit


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


@pytest.fixture
def proxied() -> Iterator[tuple[RedisServer, TcpProxy]]:
    """A Redis that only these houses use, behind a proxy that tests turn against them."""
    with redis_server() as server, tcp_proxy(server.port) as proxy:
        yield server, proxy


def test_redis_away_slow_emptied_and_back(
    start_houses: StartHouses, engine: PacedEngine, proxied: tuple[RedisServer, TcpProxy]
) -> None:
    """Streams that run are finished and billed; what is asked meanwhile is refused in time."""
    server, proxy = proxied
    url = f"redis://127.0.0.1:{proxy.port}"
    here, there = start_houses(2, url, TOKENMILL_REDIS_ANSWER_MS="2500")
    secret = make_account(here, "acme", 10**9)
    eventually(lambda: status(there, secret) == 200, "the key opens")
    before = settled(here, "acme")

    with ExitStack() as clients:
        streams = [
            stream
            for house in (here, there)
            for stream in start_streams(clients.enter_context(client_of(house, secret)), 1, LONG)
        ]
        assert holds(server) == 2
        for fault in (stuck, cut_off):
            with fault(proxy):
                for house in (here, there):
                    began = time.monotonic()
                    refused = chat(house, secret)
                    assert time.monotonic() - began < 10
                    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
                    assert refused.json()["error"]["type"] == "service_unavailable"
                    assert httpx.get(f"{house.url}/health").status_code == 503
                    assert httpx.get(f"{house.url}/livez").status_code == 200
        server.client.flushall()
        engine.pause_s = 0
        for stream in streams:
            assert stream.wait().is_whole
    for house in (here, there):
        eventually(lambda house=house: status(house, secret) == 200, "it admits again")
    assert before - settled(here, "acme") == (2 * LONG + 2) * PRICE
    for house in (here, there):
        check_books(house)


def test_killed_workers_leave_nothing_held(start_houses: StartHouses, redis: RedisServer) -> None:
    """Their requests are billed what came of them, and their purse gets the rest back."""
    [house] = start_houses(1, redis.url, **PATIENT, TOKENMILL_REDIS_PREFIX=prefix_of(redis))
    secret = make_account(house, "acme", 10**9)
    with client_of(house, secret) as client:
        streams = start_streams(client, 6, LONG)
        for victim in house.children("gateway.worker"):
            os.kill(victim, signal.SIGKILL)
        assert not any(stream.wait().is_whole for stream in streams)
    left = settled(house, "acme")
    # What the purse says is spent is in the ledger a flush later.
    used = eventually(lambda: usage_of(house, 6), "six requests are in the ledger")
    assert left == 10**9 - used["cost_nanos"]
    assert 6 * PRICE <= used["cost_nanos"] < 6 * LONG * PRICE
    eventually(lambda: status(house, secret) == 200, "it admits")
    check_books(house)


def usage_of(house: House, requests: int) -> Any:
    used = ask(house, "usage", "acme")["total"]
    return used if used["requests"] == requests else None


def settled(house: House, name: str) -> int:
    """What is available once nothing is held."""

    def look() -> int | None:
        wallet = ask(house, "wallet", "show", name)
        return wallet["available"]["nanos"] if wallet["held"]["nanos"] == 0 else None

    return eventually(look, "nothing is held", within_s=30)


def holds(server: RedisServer) -> int:
    """Requests that run, over all accounts."""
    keys = server.client.keys("tokenmill:{*}")
    return sum(int(server.client.hget(key, "in_flight") or 0) for key in keys)


class stuck:  # noqa: N801 - a fault, used as a context
    """Nothing comes back from Redis."""

    def __init__(self, proxy: TcpProxy) -> None:
        self._proxy = proxy

    def __enter__(self) -> None:
        self._proxy.is_stuck = True

    def __exit__(self, *_: object) -> None:
        self._proxy.is_stuck = False


class cut_off(stuck):  # noqa: N801
    """No connection is taken."""

    def __enter__(self) -> None:
        self._port, self._proxy.target_port = self._proxy.target_port, 1
        self._proxy.cut()

    def __exit__(self, *_: object) -> None:
        self._proxy.target_port = self._port


def test_a_house_that_starts_before_its_redis_refuses_until_that_is_there(
    folder: Path, engine: PacedEngine, postgresql: PostgresqlServer
) -> None:
    """No hang and no guess: money is refused with a time, all else goes on."""
    port = fresh_port()
    with postgresql.empty_database() as url:
        environment = PRICES | {
            "TOKENMILL_DATABASE_URL": url,
            "TOKENMILL_REDIS_URL": f"redis://127.0.0.1:{port}",
        }
        with run_house(folder, "--engine", engine.url, environment=environment) as house:
            for _ in range(3):
                refused = chat(house, house.key)
                assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (503, True)
                assert refused.elapsed.total_seconds() < 10
            assert not any(engine.made)  # requests have ids, probes have none
            models = httpx.get(f"{house.url}/v1/models", headers=bearer(house.key))
            assert models.status_code == 200
            with redis_server(port=port):
                eventually(lambda: status(house, house.key) == 200, "it admits", within_s=30)
                eventually(lambda: billed(house)["cost_nanos"] == PRICE, "it is billed")
                check_books(house)
