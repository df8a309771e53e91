"""Engines over HTTP: what operators add, drain, give away and remove, and who may not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.dashboard import Dashboard, Tenant, open_dashboard
from tokenmill._native import Segment
from tokenmill.control.documentation.dashboard_routes import OPERATIONS
from tokenmill.control.documentation.endpoints import whole_document
from tokenmill.control.engine_register import HouseEngines
from tokenmill.control.joined_engines import JoinedEngines
from tokenmill.control.keeper import Keeper, KeeperSettings
from tokenmill.database.connection import Database
from tokenmill.engines.address import parse_address
from tokenmill.engines.rules import Patience
from tokenmill.engines.store import list_entries, list_owners
from tokenmill.engines.targets import Target
from tokenmill.models.fleet import Fleet
from tokenmill.settings import JoinSettings

URL = "http://10.0.0.7:8000"
NAMED = "http://10.0.0.1:8000"
CHANGES = [
    ("/engines", {"url": URL}),
    ("/engines/remove", {"engine": "named"}),
    ("/engines/drain", {"engine": "named"}),
    ("/engines/undrain", {"engine": "named"}),
    ("/engines/named/assign", {"account": "acme"}),
]


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    """One that does not look: what operators say of engines is kept whether one answers or not."""
    segment = Segment.create(
        str(tmp_path / "hot.segment"), keys_max=8, workers_max=2, engines_max=8
    )
    named = Target(name="named", address=parse_address(NAMED), origin="named")
    settings = KeeperSettings(
        state=tmp_path,
        targets=(named,),
        interval_ms=100,
        look_ms=100,
        patience=Patience(start_ms=1_000),
        engines_max=8,
        aliases={},
    )
    return Keeper(settings, segment, Fleet())


@pytest.fixture
def dashboard(tmp_path: Path, database: Database, keeper: Keeper) -> Iterator[Dashboard]:
    segment = Segment.attach(str(tmp_path / "hot.segment"))
    engines = HouseEngines(keeper, database, segment, {})
    joined = JoinedEngines(keeper, database, JoinSettings(), lambda name: 0)
    with open_dashboard(database, tmp_path, engines, joined) as opened:
        yield opened


def post(tenant: Tenant, path: str, body: Any, status: int = 200) -> Any:
    answer = tenant.ask("POST", path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def refused(tenant: Tenant, path: str, body: Any, status: int) -> dict[str, Any]:
    """The error, which has the envelope's four keys and no more."""
    error: dict[str, Any] = post(tenant, path, body, status)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def test_the_life_of_an_engine(operator: Tenant, database: Database) -> None:
    added = post(operator, "/engines", {"url": URL + "/v1", "name": "seven", "api_key": "s3cret"})
    assert (added["name"], added["url"], added["origin"]) == ("seven", URL, "added")
    assert [each["name"] for each in operator.ask("GET", "/engines").json()["data"]] == [
        "named",
        "seven",
    ]
    for name in ("seven", URL):
        for _ in range(2):  # said twice is said once
            assert post(operator, "/engines/drain", {"engine": name})["is_draining"]
    with database.read() as connection:
        [entry] = list_entries(connection)
    assert (entry.name, entry.api_key, entry.is_added, entry.is_draining) == (
        "seven",
        "s3cret",
        True,
        True,
    )
    for _ in range(2):
        assert not post(operator, "/engines/undrain", {"engine": "seven"})["is_draining"]
    assert post(operator, "/engines/remove", {"engine": URL})["name"] == "seven"
    assert refused(operator, "/engines/remove", {"engine": "seven"}, 404)["code"] == "not_found"
    with database.read() as connection:
        assert list_entries(connection) == []


def test_an_engine_is_given_to_an_account_and_taken_back(
    operator: Tenant, acme: Tenant, database: Database
) -> None:
    for _ in range(2):
        given = post(operator, "/engines/named/assign", {"account": "acme"})
        assert given["account"] == "acme"
    with database.read() as connection:
        assert list_owners(connection)["named"].account_id == acme.id
    assert post(operator, "/engines/named/assign", {})["account"] == ""
    assert refused(operator, "/engines/named/assign", {"account": "nobody"}, 404)


def test_an_engines_key_is_shown_to_nobody(operator: Tenant) -> None:
    answer = operator.ask("POST", "/engines", json={"url": URL, "api_key": "s3cret"})
    assert "s3cret" not in answer.text
    assert "s3cret" not in operator.ask("GET", "/engines").text


@pytest.mark.parametrize(("path", "body"), CHANGES)
def test_only_operators_may(
    dashboard: Dashboard, acme: Tenant, path: str, body: dict[str, str]
) -> None:
    error = refused(acme, path, body, 403)
    assert (error["type"], error["code"]) == ("permission_error", "permission_denied")
    for secret in (acme.make(scopes=("usage",)).secret, acme.make(scopes=("inference",)).secret):
        assert acme.ask("POST", path, secret, json=body).status_code == 403
    bare = dashboard.client.post(f"/api/dashboard{path}", json=body)
    assert (bare.status_code, bare.json()["error"]["code"]) == (401, "invalid_api_key")
    assert acme.ask("GET", "/engines").status_code == 403
    assert acme.ask("GET", "/engines", acme.token.swapcase()).status_code == 401


WRONG = [
    ("/engines", {}, "url"),
    ("/engines", {"url": ""}, "url"),
    ("/engines", {"url": 5}, "url"),
    ("/engines", {"url": "x" * 501}, "url"),
    ("/engines", {"url": "ftp://10.0.0.7"}, "url"),
    ("/engines", {"url": "http://user:pw@10.0.0.7"}, "url"),
    ("/engines", {"url": "http://10.0.0.7/admin"}, "url"),
    ("/engines", {"url": "http://10.0.0.7:99999"}, "url"),
    ("/engines", {"url": URL, "name": "no spaces"}, "name"),
    ("/engines", {"url": URL, "name": "x" * 201}, "name"),
    ("/engines", {"url": URL, "api_key": "k" * 1_001}, "api_key"),
    ("/engines", {"url": URL, "urls": []}, "urls"),
    ("/engines/remove", {}, "engine"),
    ("/engines/remove", {"engine": ""}, "engine"),
    ("/engines/drain", {"engine": None}, "engine"),
    ("/engines/drain", {"engine": "named", "wait": 1}, "wait"),
    ("/engines/undrain", {"name": "named"}, "name"),
    ("/engines/named/assign", {"account": 5}, "account"),
]


@pytest.mark.parametrize(("path", "body", "param"), WRONG)
def test_a_wrong_field_is_named(
    operator: Tenant, path: str, body: dict[str, Any], param: str
) -> None:
    error = refused(operator, path, body, 400)
    assert (error["type"], error["param"]) == ("invalid_request", param)
    assert "pw" not in error["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"named"', b"null", b"\xff\xfe", b"[" * 9_999])
@pytest.mark.parametrize("path", [path for path, _ in CHANGES])
def test_a_body_that_is_no_object_is_refused(operator: Tenant, path: str, body: bytes) -> None:
    answer = operator.ask("POST", path, content=body)
    assert answer.status_code == 400, answer.text
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


JOIN = "/engines/join"


def test_only_a_token_for_engines_registers_one(operator: Tenant, acme: Tenant) -> None:
    """And it opens nothing else; only an operator makes it."""
    assert refused(acme, "/keys", {"kind": "engine"}, 403)["code"] == "permission_denied"
    made = post(operator, "/keys", {"kind": "engine", "name": "gpu"}, 201)
    assert (made["key"]["kind"], made["secret"][:8]) == ("engine", "dt_live_")
    for token in (operator.token, acme.token, acme.make(scopes=("usage",)).secret):
        assert acme.ask("POST", JOIN, token, json={"url": URL}).status_code == 403
    assert acme.ask("POST", JOIN, "dt_live_x", json={"url": URL}).status_code == 401
    engine = made["secret"]
    for path in ("/engines", "/usage", "/wallet", "/keys", "/account", "/limits"):
        assert acme.ask("GET", path, engine).status_code == 403
    for path, body in CHANGES:
        assert acme.ask("POST", path, engine, json=body).status_code == 403
    operator.ask("DELETE", f"/keys/{made['key']['id']}")
    assert acme.ask("POST", JOIN, engine, json={"url": URL}).status_code == 401


NO_ADDRESSES = [
    "unix:/run/engine.sock",
    "http://127.0.0.1:8000",  # this gateway's own machine
    "http://[::1]:8000",
    "http://localhost:8000",
    "http://gpu-7:8000",  # a name, without a certificate
    "http://169.254.169.254",  # where clouds keep credentials
    "http://[::ffff:169.254.169.254]",
    "http://0.0.0.0:8000",
    "http://224.0.0.1:8000",
    "http://8.8.8.8:8000",
    "https://name.invalid:8000",
    "http://2130706433:8000",  # 127.0.0.1 in disguise
    "http://0x7f.1:8000",
    "gopher://10.0.0.1",
    "http://10.0.0.1:8000/admin",
    "http://10.0.0.1:8000@169.254.169.254",
]


@pytest.mark.parametrize("url", NO_ADDRESSES)
def test_an_engine_registers_only_where_it_may(operator: Tenant, keeper: Keeper, url: str) -> None:
    token = operator.make("engine").secret
    answer = operator.ask("POST", JOIN, token, json={"url": url})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "url"), answer.text
    assert [known.target.name for known in keeper.known] == ["named"]


def test_what_is_not_there_or_taken_is_said(operator: Tenant) -> None:
    for path in ("/engines/remove", "/engines/drain", "/engines/undrain"):
        error = refused(operator, path, {"engine": "nobody"}, 404)
        assert "named" in error["message"], "it says which there are"
    assert refused(operator, "/engines/nobody/assign", {}, 404)
    assert refused(operator, "/engines", {"url": NAMED}, 409)["code"] == "conflict"
    assert refused(operator, "/engines", {"url": URL, "name": "named"}, 409)
    assert "settings" in refused(operator, "/engines/remove", {"engine": "named"}, 409)["message"]
    post(operator, "/engines", {"url": URL})
    assert refused(operator, "/engines", {"url": URL}, 409)["code"] == "conflict"


def test_the_document_says_what_is_answered(operator: Tenant) -> None:
    """The statuses of good answers, and that every refusal above is among the documented ones."""
    paths = whole_document()["paths"]
    bodies = dict(CHANGES) | {"/engines/remove": {"engine": URL}}
    for one in OPERATIONS:
        if not one.path.startswith("/engines") or one.method != "post" or one.path == JOIN:
            continue
        path = one.path.replace("{name}", "named")
        body = {} if path.endswith("assign") else bodies[path]
        answer = operator.ask("POST", path, json=body)
        documented = paths[f"/api/dashboard{one.path}"]["post"]["responses"]
        assert str(answer.status_code) in documented, (one.path, answer.status_code)
        assert {"400", "401", "403", "404", "409"} <= documented.keys()
