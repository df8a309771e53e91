"""Which pages may read answers, by setting."""

from typing import Any

from tokenmill.gateway.cors import Cors
from tokenmill.inference.exchange import Exchange


async def unused(*_: Any) -> Any:
    raise AssertionError("nothing is read or sent here")


def asking(*headers: tuple[bytes, bytes]) -> Exchange:
    scope = {"type": "http", "method": "OPTIONS", "path": "/", "headers": list(headers)}
    return Exchange(scope, unused, unused)


PAGE = asking((b"origin", b"https://a.example"), (b"access-control-request-method", b"POST"))


def test_nothing_is_allowed_where_nothing_is_set() -> None:
    assert not Cors(()).is_on
    assert Cors(()).preflight(PAGE, b"POST") == []


def test_a_named_origin_is_told_that_it_may() -> None:
    headers = dict(Cors(("https://a.example/",)).headers(PAGE))
    assert headers[b"access-control-allow-origin"] == b"https://a.example"
    assert headers[b"vary"] == b"origin"
    assert b"x-request-id" in headers[b"access-control-expose-headers"]


def test_another_origin_is_told_nothing_but_caches_are() -> None:
    assert Cors(("https://b.example",)).headers(PAGE) == [(b"vary", b"origin")]


def test_any_origin_by_a_star() -> None:
    headers = dict(Cors(("*",)).headers(PAGE))
    assert headers[b"access-control-allow-origin"] == b"*"
    assert b"vary" not in headers


def test_a_preflight_is_told_methods_and_headers() -> None:
    headers = dict(Cors(("*",)).preflight(PAGE, b"POST, OPTIONS"))
    assert headers[b"access-control-allow-methods"] == b"POST, OPTIONS"
    assert b"authorization" in headers[b"access-control-allow-headers"]
