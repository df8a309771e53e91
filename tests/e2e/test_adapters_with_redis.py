"""LoRA adapters of houses that share a Redis: what waits for a load, or for another one after its
engine lost the adapter, holds one reservation and pays once; one account's adapter is its alone."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.test_adapters import ADAPTERS, Fleet, error_of, said
from tests.e2e.test_adapters_of_houses import two_houses
from tests.e2e.test_many_houses import (
    PATIENT,
    PRICE,
    PRICES,
    bearer,
    check_books,
    make_account,
    prefix_of,
    settled,
)
from tests.e2e.test_money import ask
from tests.support.postgresql import PostgresqlServer
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually
from tokenmill.adapters.views import AdapterView, ChosenAdapter

FUNDS = 10**9
COST = 2 * PRICE
"""Of an answer: two tokens."""


def holds(redis: RedisServer, prefix: str) -> list[int]:
    """What each request that runs holds in its purse, in nanos."""
    purses = [redis.client.hgetall(key) for key in redis.client.keys(f"{prefix}:{{*}}")]
    requests = [
        value.split(b"|")
        for purse in purses
        for field, value in purse.items()
        if field.startswith(b"h:")
    ]
    return [int(nanos) for what, _, nanos, *_ in requests if what == b"H"]


def knows(fleet: Fleet, secret: str, name: str) -> bool:
    with fleet.house.client() as client:
        answer = client.get(f"/v1/models/{name}", headers=bearer(secret))
    return answer.status_code == 200


@pytest.mark.timeout(180)
def test_an_accounts_adapter_is_loaded_lost_and_paid_once_over_two_houses(
    folder: Path, postgresql: PostgresqlServer, redis: RedisServer
) -> None:
    prefix = prefix_of(redis)
    mine = {"TOKENMILL_REDIS_URL": redis.url, "TOKENMILL_REDIS_PREFIX": prefix}
    shared = PRICES | PATIENT | mine
    with two_houses(folder, postgresql, 2, shared) as (here, there, engines):
        secret = make_account(here.house, "acme", FUNDS)
        here.name("bot", account="acme")
        for fleet in (here, there):
            eventually(lambda fleet=fleet: knows(fleet, secret, "bot"), "it is known", within_s=30)
            assert error_of(fleet.ask("bot")) == (404, "model_not_found")
        go_on = threading.Event()
        for engine in engines:
            engine.before_load = lambda: go_on.wait(60)
        with ThreadPoolExecutor(2) as clients:
            first = clients.submit(here.ask, "bot", secret)
            [one] = eventually(lambda: holds(redis, prefix) or None, "it waits and holds")
            assert one > 0
            second = clients.submit(there.ask, "bot", secret, stream=True)
            eventually(lambda: holds(redis, prefix) == [one] * 2, "so does the other house's")
            go_on.set()
            for answer in (first, second):
                assert said(answer.result()).startswith("I am ")
            [holder] = [engine for engine in engines if engine.adapters]
            assert len(holder.loads) == 1

            go_on.clear()
            holder.adapters.clear()  # which nobody has noticed
            again = clients.submit(there.ask, "bot", secret)
            eventually(lambda: len(holder.loads) == 2, "it is loaded again")
            eventually(lambda: holds(redis, prefix) == [one], "it alone holds")
            go_on.set()
            assert said(again.result()).startswith("I am ")
        assert settled(here.house, "acme") == FUNDS - 3 * COST
        usage = lambda: ask(there.house, "usage", "acme")["total"]["requests"]  # noqa: E731
        eventually(lambda: usage() == 3, "three requests are in the ledger")
        check_books(here.house)
        there.control.post(f"{ADAPTERS}/remove", ChosenAdapter("bot"), AdapterView)
        for fleet in (here, there):
            gone = lambda fleet=fleet: not knows(fleet, secret, "bot")  # noqa: E731
            eventually(gone, "it is gone in both houses", within_s=30)
