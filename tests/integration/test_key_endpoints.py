"""The routes of keys as control serves them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from tokenmill._native import KeyEntry, KeyRefusal, Segment
from tokenmill.control.app import RELAYED_HEADER, create_app
from tokenmill.database.upgrade import open_database
from tokenmill.keys.endpoints import key_routes
from tokenmill.keys.loading import start_keys
from tokenmill.keys.registry import KeyRegistry


@pytest.fixture
def control(segment: Segment, tmp_path: Path) -> Iterator[TestClient[Any]]:
    """Control's app with keys alone."""
    database = open_database("", tmp_path)
    start_keys(database, segment, tmp_path)
    routes = key_routes(KeyRegistry(database, segment, tmp_path))
    with TestClient(create_app(admin=[routes], public=[])) as client:
        yield client
    database.close()


def test_the_life_of_a_key(control: TestClient[Any], segment: Segment) -> None:
    answer = control.post("/control/keys", json={"name": "ci", "scopes": ["usage"]})
    assert answer.status_code == 201
    made = answer.json()
    found = segment.find_key(made["secret"].encode(), 0)
    assert isinstance(found, KeyEntry)
    number = made["key"]["id"]
    assert [key["name"] for key in control.get("/control/keys").json()] == ["local", "ci"]
    rotated = control.post(f"/control/keys/{number}/rotate", json={"overlap_s": 60})
    assert rotated.status_code == 201
    assert rotated.json()["key"]["name"] == "ci"
    revoked = control.post(f"/control/keys/{number}/revoke")
    assert (revoked.status_code, revoked.json()["state"]) == (200, "revoked")
    assert segment.find_key(made["secret"].encode(), 0) == KeyRefusal.REVOKED
    live = control.get("/control/keys?live=true").json()
    assert [key["id"] for key in live] == [1, rotated.json()["key"]["id"]]


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/control/keys/99/revoke", None, 404, "key_not_found"),
        ("/control/keys/99/rotate", {}, 404, "key_not_found"),
        ("/control/keys", {"account": "acme"}, 404, "account_not_found"),
        ("/control/keys", {"scopes": ["admin"]}, 400, "invalid_request"),
        ("/control/keys", {"name": ""}, 400, "invalid_request"),
        ("/control/keys", {"nmae": "ci"}, 400, "invalid_request"),
        ("/control/keys", {"expires_in_s": -1}, 400, "invalid_request"),
        ("/control/keys/local/revoke", None, 404, "not_found"),
    ],
)
def test_refusals(
    control: TestClient[Any], path: str, body: dict[str, Any] | None, status: int, code: str
) -> None:
    answer = control.post(path, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_a_key_that_is_over_is_a_conflict(control: TestClient[Any]) -> None:
    number = control.post("/control/keys", json={}).json()["key"]["id"]
    control.post(f"/control/keys/{number}/revoke")
    answer = control.post(f"/control/keys/{number}/rotate", json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "key_is_over")


def test_nothing_of_it_is_there_for_the_outside(control: TestClient[Any]) -> None:
    for path in ("/control/keys", "/control/keys/1/revoke"):
        answer = control.post(path, json={}, headers={RELAYED_HEADER: "1"})
        assert answer.status_code == 404
