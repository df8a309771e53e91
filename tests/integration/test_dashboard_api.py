"""The dashboard's routes: what they answer, what they refuse, and whom they know."""

import itertools
import time
from typing import Any

import pytest

from tests.support.dashboard import Dashboard, Tenant
from tests.support.ledger import make_keeper
from tests.support.memory_cells import NOW_MS, MemoryCells, Request
from tokenmill.control.documentation.dashboard_routes import OPERATIONS
from tokenmill.control.documentation.endpoints import whole_document

_INCARNATIONS = itertools.count(1)


def bill(dashboard: Dashboard, account_id: int, count: int = 3, **fields: Any) -> int:
    """Settled requests of the account in the ledger; what they cost."""
    cells = MemoryCells(next(_INCARNATIONS))
    request = Request(account_id=account_id, **fields)
    for _ in range(count):
        cells.settle(request)
    make_keeper(dashboard.database, cells).flush_all()
    return count * request.amount_nanos


def test_a_new_account_is_free_and_owns_nothing(acme: Tenant) -> None:
    account = acme.ask("GET", "/account").json()
    assert (account["name"], account["tier"]) == ("acme", "free")
    assert account["limits"]["requests_per_min"] == {"max": 20, "set_by": "tier"}
    assert account["limits"]["tokens_per_min"] == {"max": 40_000, "set_by": "tier"}
    wallet = acme.ask("GET", "/wallet").json()
    assert wallet["balance"] == wallet["available"] == {"nanos": 0, "dollars": "0.00"}
    assert acme.ask("GET", "/transactions").json() == {"data": [], "next_before": None}


@pytest.mark.parametrize(
    ("tier", "requests", "tokens"),
    [
        ("standard", 60, 150_000),
        ("pro", 200, 500_000),
        ("premium", 200, 500_000),  # another word for pro
        ("internal", None, None),
    ],
)
def test_tiers_change_the_limits(
    acme: Tenant, operator: Tenant, tier: str, requests: int | None, tokens: int | None
) -> None:
    changed = operator.ask("PATCH", f"/accounts/{acme.id}", json={"tier": tier})
    assert changed.status_code == 200, changed.text
    limits = acme.ask("GET", "/limits").json()
    assert limits["requests_per_min"]["max"] == requests
    assert limits["tokens_per_min"]["max"] == tokens


def test_an_account_may_have_limits_of_its_own(acme: Tenant, operator: Tenant) -> None:
    path = f"/accounts/{acme.id}"
    operator.ask("PATCH", path, json={"requests_per_min": 7, "tokens_per_min": 0})
    limits = acme.ask("GET", "/limits").json()
    assert limits["requests_per_min"] == {"max": 7, "set_by": "account"}
    assert limits["tokens_per_min"] == {"max": None, "set_by": "account"}
    operator.ask("PATCH", path, json={"requests_per_min": None, "tier": "pro"})
    limits = acme.ask("GET", "/limits").json()
    assert limits["requests_per_min"] == {"max": 200, "set_by": "tier"}
    assert limits["tokens_per_min"] == {"max": None, "set_by": "account"}


def test_an_account_may_have_prices_of_its_own(acme: Tenant, operator: Tenant) -> None:
    path = f"/accounts/{acme.id}"
    wish = {"prices": {"org/model": "80/240", "*": "90/45/90"}}
    assert operator.ask("PATCH", path, json=wish).json()["prices"] == wish["prices"]
    assert acme.ask("GET", path).json()["prices"] == wish["prices"]
    listed = operator.ask("GET", "/accounts").json()["data"]
    assert [each["prices"] for each in listed if each["id"] == acme.id] == [wish["prices"]]
    changed = operator.ask("PATCH", path, json={"prices": {"*": None, "org/model": "70/70"}})
    assert changed.json()["prices"] == {"org/model": "70/70"}
    assert operator.ask("PATCH", path, json={"tier": "pro"}).json()["prices"] != {}


@pytest.mark.parametrize(
    "prices",
    [
        {"m": "cheap"},
        {"m": "-1/2"},
        {"m": "1.5/2"},
        {"m": "1"},
        {"m": "9999999999999/1"},
        {"": "1/2"},
        {"a\nb": "1/2"},
        {"m": 5},
        {f"m{number}": "1/2" for number in range(101)},
    ],
)
def test_what_is_no_price_is_refused_by_name(
    acme: Tenant, operator: Tenant, prices: dict[str, Any]
) -> None:
    answer = operator.ask("PATCH", f"/accounts/{acme.id}", json={"prices": prices})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"].startswith("prices")
    assert operator.ask("GET", f"/accounts/{acme.id}").json()["prices"] == {}


def test_the_life_of_a_key(acme: Tenant) -> None:
    wish = {"name": "ci", "models": ["b", "a"], "scopes": ["inference"], "expires_in_s": 3_600}
    made = acme.ask("POST", "/keys", json=wish)
    assert made.status_code == 201
    secret, key = made.json()["secret"], made.json()["key"]
    assert secret.startswith("pk_live_")
    assert (key["kind"], key["models"], key["scopes"]) == ("api", ["a", "b"], ["inference"])
    assert secret not in acme.ask("GET", "/keys").text
    rotated = acme.ask("POST", f"/keys/{key['id']}/rotate", json={"overlap_s": 60}).json()
    assert (rotated["key"]["models"], rotated["key"]["name"]) == (["a", "b"], "ci")
    revoked = acme.ask("DELETE", f"/keys/{key['id']}")
    assert (revoked.status_code, revoked.json()["state"]) == (200, "revoked")
    states = [each["state"] for each in acme.ask("GET", "/keys").json()["data"]]
    assert states == ["live", "revoked", "live"]


def test_a_revoked_token_opens_nothing(acme: Tenant) -> None:
    made = acme.make("dashboard")
    assert acme.ask("GET", "/keys", made.secret).status_code == 200
    acme.ask("DELETE", f"/keys/{made.key.id}")
    refused = acme.ask("GET", "/keys", made.secret)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize("given", ["", "Bearer ", "Basic abc", "Bearer dt_live_x", "Bearer ' OR 1"])
def test_what_is_no_token_is_a_401(dashboard: Dashboard, given: str) -> None:
    headers = {"authorization": given} if given else {}
    answer = dashboard.client.get("/api/dashboard/wallet", headers=headers)
    assert answer.status_code == 401
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_a_token_says_when_it_was_used_last(acme: Tenant) -> None:
    began_s = time.time()
    assert acme.ask("GET", "/keys").json()["data"][0]["last_used_at_s"] > began_s - 61
    unused = acme.make("dashboard").key.id
    used = {key["id"]: key["last_used_at_s"] for key in acme.ask("GET", "/keys").json()["data"]}
    assert used.pop(unused) == 0
    [last] = used.values()
    assert (last % 60, began_s - 60 < last <= time.time()) == (0, True)


def test_an_api_key_reads_with_its_scope_and_changes_nothing(acme: Tenant) -> None:
    reader = acme.make(scopes=("usage",)).secret
    other = acme.make(scopes=("inference",)).secret
    for path in ("/usage", "/wallet", "/limits", "/transactions", "/requests", "/keys"):
        assert acme.ask("GET", path, reader).status_code == 200
        assert acme.ask("GET", path, other).status_code == 403
    refused = acme.ask("POST", "/keys", reader, json={})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "permission_denied")


def test_funds_come_once_for_a_reference(acme: Tenant, operator: Tenant) -> None:
    path = f"/accounts/{acme.id}/funds"
    wish = {"amount_nanos": 25_000_000_000, "reference": "invoice 7", "note": "thanks"}
    first = operator.ask("POST", path, json=wish)
    assert (first.status_code, first.json()["state"]) == (201, "posted")
    assert operator.ask("POST", path, json=wish).json() == first.json()
    assert acme.ask("GET", "/wallet").json()["balance"]["dollars"] == "25.00"
    other = operator.ask("POST", path, json=wish | {"amount_nanos": 1})
    error = other.json()["error"]
    assert (other.status_code, error["code"], error["param"]) == (
        409,
        "reference_taken",
        "reference",
    )
    [line] = acme.ask("GET", "/transactions").json()["data"]
    assert (line["kind"], line["reference"], line["note"]) == ("top_up", "invoice 7", "thanks")
    assert line["balance"]["nanos"] == 25_000_000_000


def test_a_refund_is_at_most_what_was_billed(
    dashboard: Dashboard, acme: Tenant, operator: Tenant
) -> None:
    costs = bill(dashboard, acme.id)
    path = f"/accounts/{acme.id}/refunds"
    too_much = operator.ask("POST", path, json={"amount_nanos": costs + 1, "reference": "a"})
    error = too_much.json()["error"]
    assert (too_much.status_code, error["code"], error["param"]) == (
        422,
        "refund_too_large",
        "amount_nanos",
    )
    assert (
        operator.ask("POST", path, json={"amount_nanos": costs, "reference": "b"}).json()["kind"]
        == "refund"
    )
    again = operator.ask("POST", path, json={"amount_nanos": 1, "reference": "c"})
    assert again.status_code == 422
    assert acme.ask("GET", "/wallet").json()["balance"]["nanos"] == 0


def test_transactions_are_paged(acme: Tenant, operator: Tenant) -> None:
    for number in range(5):
        wish = {"amount_nanos": number + 1, "reference": f"{number}", "kind": "grant"}
        operator.ask("POST", f"/accounts/{acme.id}/funds", json=wish)
    seen: list[int] = []
    page = acme.ask("GET", "/transactions?limit=2").json()
    while True:
        seen += [line["amount"]["nanos"] for line in page["data"]]
        if page["next_before"] is None:
            break
        page = acme.ask("GET", f"/transactions?limit=2&before={page['next_before']}").json()
    assert seen == [5, 4, 3, 2, 1]


def test_usage_equals_the_ledger_to_the_nano(dashboard: Dashboard, acme: Tenant) -> None:
    costs = bill(dashboard, acme.id, 3, model=5, prompt_tokens=7, price_nanos=3)
    costs += bill(dashboard, acme.id, 2, ended_ms=NOW_MS + 86_400_000, endpoint=2, status=502)
    days = "from=2023-11-01&to=2023-12-01"
    report = acme.ask("GET", f"/usage?{days}&group=class,model").json()
    assert [(line["start"], line["class"], line["requests"]) for line in report["data"]] == [
        ("2023-11-14", "realtime", 3),
        ("2023-11-15", "embeddings", 2),
    ]
    assert report["total"]["cost_nanos"] == costs
    assert report["total"]["failed_requests"] == 2
    lines = acme.ask("GET", "/transactions").json()["data"]
    assert -sum(line["amount"]["nanos"] for line in lines) == costs
    for by in ("total", "month", "day", "hour"):
        grouped = acme.ask("GET", f"/usage?{days}&by={by}&group=key,endpoint").json()
        assert grouped["total"] == report["total"]
        assert sum(line["cost_nanos"] for line in grouped["data"]) == costs


def test_usage_as_csv_has_the_same_total(dashboard: Dashboard, acme: Tenant) -> None:
    costs = bill(dashboard, acme.id)
    answer = acme.ask("GET", "/usage?from=2023-11-01&to=2023-12-01&group=key&format=csv")
    assert answer.headers["content-type"].startswith("text/csv")
    head, line, total = answer.text.splitlines()
    assert head.startswith("start,key,key_name,requests,")
    assert line.startswith("2023-11-14,1,")
    assert total.split(",")[-2] == str(costs)


def test_the_life_of_a_request(dashboard: Dashboard, acme: Tenant, operator: Tenant) -> None:
    bill(dashboard, acme.id, 1, request_id=bytes(range(12)))
    name = "req_000102030405060708090a0b"
    for tenant in (acme, operator):
        found = tenant.ask("GET", f"/requests/{name}").json()
        assert (found["model"], found["engine"]) == (
            "meta-llama/Llama-3.1-8B-Instruct",
            "vllm-8000",
        )
        assert (found["id"], found["cost_nanos"], found["status"]) == (name, 3_000, 200)
        assert (found["reserved_nanos"], found["first_byte_after_ms"]) == (6_000, 40)
    [line] = acme.ask("GET", "/transactions").json()["data"]
    assert found["transfer_id"] == line["id"]
    assert acme.ask("GET", "/requests").json()["data"] == [found]


def test_the_document_describes_every_route_and_no_other(dashboard: Dashboard) -> None:
    described = {(one.method.upper(), one.path) for one in OPERATIONS}
    served = {
        (method, route.path.removeprefix("/api/dashboard").replace(":int", "").replace(":str", ""))
        for route in dashboard.client.app.routes
        if route.path.startswith("/api/dashboard")
        for method in route.methods - {"OPTIONS", "HEAD"}
    }
    assert served == described
    assert {"/api/dashboard/wallet", "/api/dashboard/keys"} <= whole_document()["paths"].keys()


def test_what_belongs_to_another_account_is_not_there(dashboard: Dashboard, acme: Tenant) -> None:
    """Every route of the document that can name somebody's thing, asked with a stranger's token."""
    stranger = dashboard.tenant("stranger")
    key = acme.make().key
    bill(dashboard, acme.id, 1, request_id=bytes(range(12)))
    names = {
        "account_id": acme.id,
        "key_id": key.id,
        "request_id": "req_000102030405060708090a0b",
        "name": "engine",
    }
    bodies = {
        "AddFunds": {"amount_nanos": 1, "reference": "x"},
        "RefundFunds": {"amount_nanos": 1, "reference": "x"},
    }
    asked = 0
    for path, item in whole_document()["paths"].items():
        if not path.startswith("/api/dashboard"):
            continue
        for method, operation in item.items():
            if method == "servers":
                continue
            parameters = {each["name"]: each["in"] for each in operation["parameters"]}
            is_named = {"account", "account_id", "key_id", "request_id"} & parameters.keys()
            short = path.removeprefix("/api/dashboard").format(**names)
            content = operation.get("requestBody", {}).get("content", {})
            wish = str(content.get("application/json", {}).get("schema")).rpartition("/")[2][:-2]
            query = {"account": acme.id} if parameters.get("account") == "query" else {}
            answer = stranger.ask(method, short, params=query, json=bodies.get(wish, {}))
            assert answer.status_code == (404 if is_named else 403), (method, path, answer.text)
            asked += bool(is_named)
    assert asked >= 15
    assert [each["state"] for each in acme.ask("GET", "/keys").json()["data"]] == ["live"] * 2
    assert acme.ask("GET", "/transactions").json()["data"][0]["kind"] == "usage"


def test_operators_see_every_account(acme: Tenant, operator: Tenant) -> None:
    assert {each["name"] for each in operator.ask("GET", "/accounts").json()["data"]} == {
        "acme",
        "house",
    }
    for path in ("/account", "/wallet", "/usage", "/keys", "/transactions", "/limits"):
        assert operator.ask("GET", f"{path}?account={acme.id}").status_code == 200
        assert operator.ask("GET", f"{path}?account=999").status_code in (200, 404)
    made = operator.ask("POST", "/accounts", json={"name": "new"})
    assert (made.status_code, made.json()["tier"]) == (201, "free")
    assert operator.ask("POST", "/accounts/999/funds", json={}).status_code == 400


def test_only_operators_make_operators(acme: Tenant, operator: Tenant) -> None:
    assert acme.ask("POST", "/keys", json={"kind": "operator"}).status_code == 403
    made = operator.ask("POST", "/keys", json={"kind": "operator"}).json()
    assert (made["key"]["kind"], made["secret"][:8]) == ("operator", "dt_live_")
    mine = acme.ask("POST", "/keys", json={"kind": "dashboard"}).json()
    assert acme.ask("GET", "/wallet", mine["secret"]).status_code == 200


def test_the_command_line_asks_the_same_routes_without_a_token(
    dashboard: Dashboard, acme: Tenant
) -> None:
    client = dashboard.client
    assert client.get(f"/control/dashboard/wallet?account={acme.id}").status_code == 200
    missing = client.get("/control/dashboard/wallet")
    assert (missing.status_code, missing.json()["error"]["param"]) == (400, "account")
    outside = client.get(
        f"/control/dashboard/wallet?account={acme.id}", headers={"x-tokenmill-relayed": "1"}
    )
    assert outside.status_code == 404
