"""The dashboard's routes, as the OpenAPI document describes them: read off the Structs they use.

A table of operations and what makes paths and schemas of it. A test compares it with the routes
that control really has.
"""

from typing import Any

import msgspec
from msgspec import Struct

from tokenmill.accounts.endpoints import OfAccount
from tokenmill.accounts.limits import LimitsView
from tokenmill.accounts.views import AccountList, AccountView, ChangeAccount, CreateAccount
from tokenmill.adapters.views import AdapterList, AdapterView, AddAdapter, ChosenAdapter
from tokenmill.billing.endpoints import TransferQuery
from tokenmill.billing.views import AddFunds, CreditView, RefundFunds, TransferList, WalletView
from tokenmill.control.dashboard_api import PUBLIC_PATH
from tokenmill.control.documentation.own_routes import AT_THE_ROOT
from tokenmill.engines.views import (
    AddEngine,
    Assignment,
    ChosenEngine,
    EngineList,
    EngineView,
    Joined,
    JoinWish,
)
from tokenmill.keys.views import KeyList, KeyView, MadeKey, NewKeyWish, RotateKey
from tokenmill.usage.endpoints import RequestQuery
from tokenmill.usage.views import RequestList, RequestView, UsageQuery, UsageReport

Json = dict[str, Any]

_PREFIX = "#/components/schemas/"
_PARAMETERS: dict[str, tuple[str, str, str]] = {
    # in the path: name of the parameter, its type, what it is
    "account_id": ("account_id", "integer", "The number of an account."),
    "key_id": ("key_id", "integer", "The number of a key."),
    "request_id": ("request_id", "string", "The id of a request: req_ and 24 characters."),
    "name": ("name", "string", "The name of an engine."),
}
_TAGS = ("account", "keys", "wallet", "usage", "operators")


class Operation(Struct, frozen=True, kw_only=True):
    """One method of one path."""

    method: str
    path: str
    tag: str
    summary: str
    answer: type[Struct]
    wish: type[Struct] | None = None
    query: type[Struct] | None = None
    status: int = 200
    errors: tuple[int, ...] = ()


def _read(
    path: str, tag: str, summary: str, answer: type[Struct], query: type[Struct] | None = None
) -> Operation:
    return Operation(method="get", path=path, tag=tag, summary=summary, answer=answer, query=query)


def _write(
    place: str, tag: str, summary: str, answer: type[Struct], wish: type[Struct] | None
) -> Operation:
    method, path = place.split()
    is_made = method == "post" and not path.startswith(("/engines", "/adapters"))
    return Operation(
        method=method,
        path=path,
        tag=tag,
        summary=summary,
        answer=answer,
        wish=wish,
        status=201 if is_made else 200,
        errors=(409, 422) if path.endswith(("funds", "refunds")) else (409,),
        query=OfAccount if path == "/keys" else None,
    )


OPERATIONS = (
    _read("/account", "account", "Your account and its tier", AccountView, OfAccount),
    _read("/limits", "account", "The limits in force", LimitsView, OfAccount),
    _read("/keys", "keys", "List keys", KeyList, OfAccount),
    _write("post /keys", "keys", "Make a key; its secret is shown once", MadeKey, NewKeyWish),
    _write("post /keys/{key_id}/rotate", "keys", "Replace a key", MadeKey, RotateKey),
    _write("delete /keys/{key_id}", "keys", "Revoke a key", KeyView, None),
    _read("/wallet", "wallet", "Balance, held and available", WalletView, OfAccount),
    _read("/transactions", "wallet", "Lines of the ledger", TransferList, TransferQuery),
    _read("/usage", "usage", "Usage and cost, as JSON or CSV", UsageReport, UsageQuery),
    _read("/requests", "usage", "Settled requests, newest first", RequestList, RequestQuery),
    _read("/requests/{request_id}", "usage", "The life of a request", RequestView),
    _read("/accounts", "operators", "List accounts", AccountList),
    _write("post /accounts", "operators", "Make an account", AccountView, CreateAccount),
    _read("/accounts/{account_id}", "operators", "An account", AccountView),
    _write(
        "patch /accounts/{account_id}",
        "operators",
        "Change tier and limits",
        AccountView,
        ChangeAccount,
    ),
    _write("post /accounts/{account_id}/funds", "operators", "Add funds", CreditView, AddFunds),
    _write(
        "post /accounts/{account_id}/refunds",
        "operators",
        "Refund what was billed",
        CreditView,
        RefundFunds,
    ),
    _read("/engines", "operators", "List engines", EngineList),
    _write(
        "post /engines/{name}/assign",
        "operators",
        "Give an engine to an account, or to all",
        EngineView,
        Assignment,
    ),
    _write("post /engines", "operators", "Add an engine", EngineView, AddEngine),
    _write("post /engines/join", "operators", "An engine registers itself", Joined, JoinWish),
    _write("post /engines/remove", "operators", "Remove an engine", EngineView, ChosenEngine),
    _write("post /engines/drain", "operators", "No new requests", EngineView, ChosenEngine),
    _write("post /engines/undrain", "operators", "New requests again", EngineView, ChosenEngine),
    _read("/adapters", "operators", "List LoRA adapters", AdapterList),
    _write("post /adapters", "operators", "Name an adapter", AdapterView, AddAdapter),
    _write("post /adapters/remove", "operators", "Remove an adapter", AdapterView, ChosenAdapter),
)

TAGS = [{"name": f"dashboard: {tag}"} for tag in _TAGS]

SECURITY: Json = {
    "dashboard": {"type": "http", "scheme": "bearer", "bearerFormat": "dt_live_…"},
}


def dashboard_paths() -> Json:
    """The paths, in the order of the table."""
    paths: Json = {}
    for one in OPERATIONS:
        item = paths.setdefault(PUBLIC_PATH + one.path, {"servers": AT_THE_ROOT})
        item[one.method] = _described(one)
    return paths


def dashboard_schemas() -> Json:
    """The schemas of bodies and answers."""
    types = {kind for one in OPERATIONS for kind in (one.answer, one.wish) if kind is not None}
    ordered = sorted(types, key=lambda kind: kind.__name__)
    _, components = msgspec.json.schema_components(ordered, ref_template=_PREFIX + "{name}")
    return {name: {"properties": {}} | schema for name, schema in components.items()}


def _described(one: Operation) -> Json:
    name = one.path.replace("{", "").replace("}", "").title()
    operation: Json = {
        "tags": [f"dashboard: {one.tag}"],
        "operationId": one.method + "".join(part for part in name if part.isalnum()),
        "summary": one.summary,
        "description": " ".join((one.answer.__doc__ or "").split()),
        "security": [{"dashboard": []}],
        "parameters": [*_in_path(one.path), *_in_query(one.query)],
        "responses": _responses(one),
    }
    if one.wish is not None:
        content = {"application/json": {"schema": {"$ref": _PREFIX + one.wish.__name__}}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _in_path(path: str) -> list[Json]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PARAMETERS[name][2],
            "schema": {"type": _PARAMETERS[name][1]},
        }
        for name in names
    ]


def _in_query(query: type[Struct] | None) -> list[Json]:
    if query is None:
        return []
    [reference], components = msgspec.json.schema_components([query], ref_template="{name}")
    properties = components[reference["$ref"]]["properties"]
    return [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in properties.items()
    ]


def _responses(one: Operation) -> Json:
    content: Json = {"application/json": {"schema": {"$ref": _PREFIX + one.answer.__name__}}}
    if one.answer is UsageReport:
        content["text/csv"] = {"schema": {"type": "string"}}
    headers = {
        "x-request-id": {"$ref": "#/components/headers/RequestId"},
        "server-timing": {"$ref": "#/components/headers/ServerTiming"},
    }
    good = {"description": one.summary, "headers": headers, "content": content}
    statuses = (400, 401, 403, 404, *one.errors, 500, 503)
    errors = {str(each): {"$ref": f"#/components/responses/Error{each}"} for each in statuses}
    return {str(one.status): good} | errors
