"""Adapters over HTTP: what operators name and remove, who may not, and what every house learns."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_keeper import make_keeper
from tests.support.dashboard import Dashboard, Tenant, open_dashboard
from tokenmill._native import Segment
from tokenmill.adapters.rules import Adapter
from tokenmill.adapters.store import insert_adapter, list_adapters
from tokenmill.control.adapter_keeper import AdapterKeeper
from tokenmill.control.adapter_register import HouseAdapters
from tokenmill.control.keeper import Keeper
from tokenmill.database.connection import Database
from tokenmill.settings import AdapterSettings

GOOD = {"name": "org/bot-1", "base": "base", "path": "/adapters/bot"}


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    path = str(tmp_path / "hot.segment")
    return make_keeper(tmp_path, Segment.create(path, keys_max=8, workers_max=2, engines_max=8), [])


def register(keeper: Keeper, database: Database) -> HouseAdapters:
    loader = AdapterKeeper(keeper, AdapterSettings(), lambda _: 0, lambda _: 0)
    return HouseAdapters(keeper, loader, database, named_max=2)


@pytest.fixture
def dashboard(tmp_path: Path, database: Database, keeper: Keeper) -> Iterator[Dashboard]:
    with open_dashboard(database, tmp_path, adapters=register(keeper, database)) as opened:
        yield opened


def post(tenant: Tenant, path: str, body: Any, status: int = 200) -> Any:
    answer = tenant.ask("POST", path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_the_life_of_an_adapter(operator: Tenant, database: Database, keeper: Keeper) -> None:
    added = post(operator, "/adapters", GOOD)
    assert {key: added[key] for key in GOOD} == GOOD
    assert (added["engines"], added["created"] > 0) == ([], True)
    assert "no engine" in added["detail"]
    assert list(keeper.adapters) == ["org/bot-1"]
    assert operator.ask("GET", "/adapters").json()["data"] == [added]
    post(operator, "/adapters", GOOD, 409)
    post(operator, "/adapters", GOOD | {"name": "second"})
    assert (
        "adapters.named_max"
        in post(operator, "/adapters", GOOD | {"name": "third"}, 409)["error"]["message"]
    )
    assert post(operator, "/adapters/remove", {"name": "org/bot-1"}) == added
    post(operator, "/adapters/remove", {"name": "org/bot-1"}, 404)
    with database.read() as connection:
        assert [each.name for each in list_adapters(connection)] == ["second"]


def test_an_adapter_of_one_account(operator: Tenant, acme: Tenant, keeper: Keeper) -> None:
    added = post(operator, "/adapters", GOOD | {"account": "acme"})
    assert (added["name"], added["account"]) == (GOOD["name"], "acme")
    (adapter,) = keeper.adapters.values()
    assert (adapter.account, adapter.account_id > 0) == ("acme", True)
    error = post(operator, "/adapters", GOOD | {"name": "b", "account": "nobody"}, 404)["error"]
    assert "no account called 'nobody'" in error["message"]
    reserved = GOOD | {"name": adapter.engine_name}
    assert post(operator, "/adapters", reserved, 400)["error"]["param"] == "name"
    assert acme.ask("GET", "/adapters").status_code == 403


@pytest.mark.parametrize("path", ["/adapters", "/adapters/remove"])
def test_only_operators_may(dashboard: Dashboard, acme: Tenant, path: str) -> None:
    assert post(acme, path, GOOD, 403)["error"]["code"] == "permission_denied"
    assert acme.ask("GET", "/adapters").status_code == 403
    assert dashboard.client.post(f"/api/dashboard{path}", json=GOOD).status_code == 401


WRONG = [
    ("/adapters", GOOD | {"name": ""}, "name"),
    ("/adapters", GOOD | {"name": "no spaces"}, "name"),
    ("/adapters", GOOD | {"name": "x" * 201}, "name"),
    ("/adapters", GOOD | {"name": "base"}, "name"),
    ("/adapters", GOOD | {"base": ""}, "base"),
    ("/adapters", GOOD | {"path": "relative"}, "path"),
    ("/adapters", GOOD | {"path": "/" + "x" * 1_000}, "path"),
    ("/adapters", GOOD | {"rank": 8}, "rank"),
    ("/adapters", GOOD | {"account": ""}, "account"),
    ("/adapters", {"name": "a", "base": "b"}, "path"),
    ("/adapters/remove", {}, "name"),
]


@pytest.mark.parametrize(("path", "body", "param"), WRONG)
def test_a_wrong_field_is_named(operator: Tenant, path: str, body: Any, param: str) -> None:
    error = post(operator, path, body, 400)["error"]
    assert (error["type"], error["param"]) == ("invalid_request", param)


def test_a_text_of_the_wrong_form_is_told_the_right_one(operator: Tenant) -> None:
    error = post(operator, "/adapters", GOOD | {"path": "relative"}, 400)["error"]
    assert error["message"].startswith("`path` is not of the right form. It must be a string of")
    assert " that matches ^/" in error["message"]


async def test_other_houses_learn_of_it(database: Database, keeper: Keeper) -> None:
    following = asyncio.create_task(register(keeper, database).follow())
    try:
        with database.write() as connection:
            assert insert_adapter(connection, Adapter(name="a", base="b", path="/c"))
        for _ in range(100):
            await asyncio.sleep(0.05)
            if keeper.adapters:
                break
        assert list(keeper.adapters) == ["a"]
    finally:
        following.cancel()
