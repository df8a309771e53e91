"""What every answer has, whatever it is."""

import json
import re
from typing import Any

import pytest

from tokenmill.errors import InvalidRequest, ModelLoading, NotFound
from tokenmill.inference.exchange import Exchange


class Client:
    """The other side: what it was sent."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    async def send(self, message: Any) -> None:
        self.messages.append(message)

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.messages[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(each.get("body", b"") for each in self.messages)


def timing_of(client: Client) -> str:
    return client.headers[b"server-timing"].decode()


async def nothing() -> Any:
    raise AssertionError("nothing is read here")


def exchange(
    client: Client, *headers: tuple[bytes, bytes], method: str = "POST", query: bytes = b""
) -> Exchange:
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": "/v1/models",
        "query_string": query,
        "headers": [(b"host", b"x"), *headers],
    }
    return Exchange(scope, nothing, client.send)


async def test_an_answer_has_an_id_a_length_and_is_not_stored() -> None:
    client = Client()
    await exchange(client).answer(200, [], b"{}")
    assert re.fullmatch(rb"req_[0-9a-f]{24}", client.headers[b"x-request-id"])
    assert client.headers[b"cache-control"] == b"no-store"
    assert client.headers[b"content-length"] == b"2"
    assert b"connection" not in client.headers
    assert client.body == b"{}"


@pytest.mark.parametrize("given", [b"abc", b"A-1_b.C", b"x" * 128])
async def test_a_sane_id_of_the_client_is_its_own(given: bytes) -> None:
    client = Client()
    request = exchange(client, (b"x-request-id", given))
    await request.answer(200, [], b"")
    assert client.headers[b"x-request-id"] == given
    assert request.engine_id.encode() != given  # two clients may use the same one


@pytest.mark.parametrize("given", [b"", b"x" * 129, b"a b", b"a\xff", b"<b>", b"a;b"])
async def test_an_odd_id_is_replaced(given: bytes) -> None:
    client = Client()
    await exchange(client, (b"x-request-id", given)).answer(200, [], b"")
    assert client.headers[b"x-request-id"].startswith(b"req_")


async def test_head_gets_the_headers_alone() -> None:
    client = Client()
    await exchange(client, method="HEAD").answer(200, [], b"{}")
    assert (client.headers[b"content-length"], client.body) == (b"2", b"")


async def test_a_request_with_transfer_encoding_ends_its_connection() -> None:
    client = Client()
    await exchange(client, (b"transfer-encoding", b"chunked")).answer(200, [], b"")
    assert client.headers[b"connection"] == b"close"


async def test_a_refusal_is_the_envelope_with_its_headers() -> None:
    client = Client()
    await exchange(client).refuse(ModelLoading("Wait.", retry_after_ms=500))
    assert client.messages[0]["status"] == 503
    assert client.headers[b"retry-after-ms"] == b"500"
    assert json.loads(client.body)["error"]["code"] == "model_loading"


async def test_timing_says_where_the_time_went() -> None:
    client = Client()
    request = exchange(client)
    request.key_ns = request.began_ns + 2_000_000
    request.body_ns = request.key_ns + 50_000_000
    request.decoded_ns = request.body_ns + 1_000_000
    request.routed_ns = request.decoded_ns + 1_000_000
    request.upstream_ns = 7_000_000
    await request.answer(200, [], b"")
    assert timing_of(client).startswith(
        "key;dur=2.000, decode;dur=1.000, route;dur=1.000, upstream;dur=7.000"
    )


async def test_timing_is_told_of_a_request_that_got_no_further_than_its_headers() -> None:
    client = Client()
    await exchange(client).refuse(NotFound())
    steps = dict(each.split(";dur=") for each in timing_of(client).split(", "))
    assert float(steps.pop("gateway")) > 0
    assert steps == dict.fromkeys(("key", "decode", "route", "upstream"), "0.000")


async def test_timing_of_a_refused_schema_has_no_route() -> None:
    client = Client()
    request = exchange(client)
    request.key_ns = request.body_ns = request.began_ns
    request.decoded_ns = request.body_ns + 1_000_000
    request.grammar_ns = 3_000_000
    await request.refuse(InvalidRequest("No grammar."))
    steps = dict(each.split(";dur=") for each in timing_of(client).split(", "))
    assert (steps["route"], steps["grammar"]) == ("0.000", "3.000")


async def test_a_missing_host_is_refused_and_ends_the_connection() -> None:
    request = exchange(Client())
    del request.headers[b"host"]
    with pytest.raises(InvalidRequest):
        request.check_headers()
    assert request.must_close


@pytest.mark.parametrize("name", [b"authorization", b"host", b"content-type", b"x-request-id"])
def test_headers_that_may_come_once_only(name: bytes) -> None:
    request = exchange(Client(), (name, b"a"), (name, b"b"))
    with pytest.raises(InvalidRequest):
        request.check_headers()


def test_other_headers_may_come_twice() -> None:
    exchange(Client(), (b"accept", b"a"), (b"accept", b"b")).check_headers()


@pytest.mark.parametrize(
    ("query", "value"),
    [
        (b"", None),
        (b"api_key=a", "a"),
        (b"x=1&api_key=a%2Bb", "a+b"),
        (b"api_key=", ""),
        (b"api_key=a&api_key=b", "a"),
        (b"my_api_key=a", None),
    ],
)
def test_query_parameters(query: bytes, value: str | None) -> None:
    assert exchange(Client(), query=query).query("api_key") == value
