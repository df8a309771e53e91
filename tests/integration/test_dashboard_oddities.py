"""What nobody should ask of the dashboard's routes, and what they say to it."""

from typing import Any

import pytest

from tests.support.dashboard import Tenant
from tokenmill.control.documentation.endpoints import whole_document

WRONG: list[tuple[str, str, dict[str, Any] | None, str]] = [
    # method, path, body, the field that is named
    ("POST", "/keys", {"name": ""}, "name"),
    ("POST", "/keys", {"nmae": "x"}, "nmae"),
    ("POST", "/keys", {"kind": "root"}, "kind"),
    ("POST", "/keys", {"scopes": ["admin"]}, "scopes[0]"),
    ("POST", "/keys", {"models": [""]}, "models[0]"),
    ("POST", "/keys", {"expires_in_s": -1}, "expires_in_s"),
    ("POST", "/accounts", {"name": "x", "tier": "gold"}, "tier"),
    ("POST", "/accounts", {}, "name"),
    ("POST", "/accounts", {"name": "house"}, "name"),
    ("PATCH", "/accounts/1", {"requests_per_min": -1}, "requests_per_min"),
    ("POST", "/accounts/1/funds", {"amount_nanos": 0, "reference": "x"}, "amount_nanos"),
    ("POST", "/accounts/1/funds", {"amount_nanos": 1.5, "reference": "x"}, "amount_nanos"),
    ("POST", "/accounts/1/funds", {"amount_nanos": 10**16, "reference": "x"}, "amount_nanos"),
    ("POST", "/accounts/1/funds", {"amount_nanos": 1}, "reference"),
    ("POST", "/accounts/1/funds", {"amount_nanos": 1, "reference": ""}, "reference"),
    ("POST", "/accounts/1/refunds", {"amount_nanos": 1, "reference": "x", "a": 1}, "a"),
    ("GET", "/usage?from=yesterday", None, "from"),
    ("GET", "/usage?from=2023-11-02&to=2023-11-01", None, "from"),
    ("GET", "/usage?by=week", None, "by"),
    ("GET", "/usage?group=colour", None, "group"),
    ("GET", "/usage?class=fast", None, "class"),
    ("GET", "/usage?key=x", None, "key"),
    ("GET", "/usage?format=xml", None, "format"),
    ("GET", "/transactions?limit=0", None, "limit"),
    ("GET", "/transactions?limit=1001", None, "limit"),
    ("GET", "/requests?before=soon", None, "before"),
    ("GET", "/wallet?acount=1", None, "acount"),
    ("POST", "/engines/x/assign", {"account": 1}, "account"),
]


@pytest.mark.parametrize(("method", "path", "body", "param"), WRONG)
def test_a_wrong_field_is_named(
    operator: Tenant, method: str, path: str, body: dict[str, Any] | None, param: str
) -> None:
    answer = operator.ask(method, path, json=body)
    assert answer.status_code in (400, 409), answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["param"] == param


NUMBERS = [
    (method, path.replace(name, "{}"))
    for path, item in whole_document()["paths"].items()
    for method in item
    for name in ("{key_id}", "{account_id}")
    if path.startswith("/api/dashboard") and name in path and method != "servers"
] + [
    ("get", f"/api/dashboard/{route}={{}}")
    for route in (
        "account?account",
        "limits?account",
        "wallet?account",
        "transactions?account",
        "transactions?before",
        "usage?account",
        "usage?key",
        "requests?account",
        "requests?before",
    )
]


@pytest.mark.parametrize(("method", "place"), NUMBERS)
@pytest.mark.parametrize("number", [2**63, 10**30])
def test_a_number_that_no_database_holds_is_refused(
    operator: Tenant, method: str, place: str, number: int
) -> None:
    path = place.format(number).removeprefix("/api/dashboard")
    body = None if method in ("get", "delete") else {"reason": "x"}
    answer = operator.ask(method.upper(), path, json=body)
    assert answer.status_code in (400, 404), answer.text
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/accounts", {"GET", "OPTIONS", "POST"}),
        ("/accounts/1", {"GET", "OPTIONS", "PATCH"}),
        ("/keys", {"GET", "OPTIONS", "POST"}),
        ("/wallet", {"GET", "OPTIONS"}),
    ],
)
def test_options_names_every_method_of_a_path(
    operator: Tenant, path: str, methods: set[str]
) -> None:
    answer = operator.ask("OPTIONS", path)
    assert answer.status_code == 204
    assert set(answer.headers["allow"].split(", ")) == methods


@pytest.mark.parametrize("path", ["wallet?account=1&account=1", "requests?before=1&before=2"])
def test_a_parameter_that_is_given_twice_is_refused(operator: Tenant, path: str) -> None:
    answer = operator.ask("GET", f"/{path}")
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["param"] == path.partition("?")[2].partition("=")[0]
    assert "twice" in error["message"]
