"""What is not inference is passed to control, and only what may be."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.gateway import Gateway, running_gateway
from tests.support.scripted_upstream import Close, Raw, ScriptedUpstream, whole
from tokenmill.settings import BodyBounds

PAGE = Raw(
    b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncache-control: no-cache\r\n"
    b"x-request-id: theirs\r\ncontent-length: 5\r\n\r\nhello"
)


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream(tmp_path / "control.sock") as server:
        server.always(*whole({"made": True}, 201))
        yield server


@pytest.fixture
async def gateway(tmp_path: Path, control: ScriptedUpstream) -> AsyncIterator[Gateway]:
    assert control.path
    bounds = BodyBounds(body_bytes_max=100)
    async with running_gateway(tmp_path, "http://127.0.0.1:1", bounds=bounds) as running:
        yield running


async def test_status_headers_and_body_pass_both_ways(
    gateway: Gateway, control: ScriptedUpstream
) -> None:
    headers = {"x-custom": "yes", "authorization": "Bearer abc"}
    answer = await gateway.client.put("/thing?a=1&b=%20", content=b"body", headers=headers)
    assert (answer.status_code, answer.json()) == (201, {"made": True})
    (request,) = control.requests
    assert (request.method, request.target) == ("PUT", "/thing?a=1&b=%20")
    assert request.body == b"body"
    assert request.headers["x-custom"] == "yes"
    assert request.headers["x-tokenmill-relayed"] == "1"
    assert request.headers["x-request-id"] == answer.headers["x-request-id"]
    assert answer.headers["cache-control"] == "no-store"
    assert re.search(r"upstream;dur=(?!0\.000)", answer.headers["server-timing"])


async def test_control_decides_about_caching_and_we_about_the_id(
    gateway: Gateway, control: ScriptedUpstream
) -> None:
    control.play(PAGE)
    answer = await gateway.client.get("/docs")
    assert answer.text == "hello"
    assert answer.headers.get_list("cache-control") == ["no-cache"]
    assert answer.headers.get_list("x-request-id") != ["theirs"]


async def test_a_client_cannot_speak_for_the_gateway(
    gateway: Gateway, control: ScriptedUpstream
) -> None:
    headers = {"x-tokenmill-relayed": "0", "x-tokenmill-account": "1"}
    await gateway.client.get("/docs", headers=headers)
    (request,) = control.requests
    assert request.headers["x-tokenmill-relayed"] == "1"
    assert "x-tokenmill-account" not in request.headers


@pytest.mark.parametrize(
    "target",
    [
        "/control/keys",
        "/CONTROL/keys",
        "//control/keys",
        "/%63ontrol/keys",
        "/%2563ontrol/keys",
        "/docs/../control/keys",
        "/docs/%2e%2e/control/keys",
        "/docs%2f..%2fcontrol/keys",
        "/docs\\..\\control",
    ],
)
async def test_private_routes_are_out_of_reach(
    gateway: Gateway, control: ScriptedUpstream, target: str
) -> None:
    request = f"GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    answer = await gateway.exchange(request.encode())
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400"))
    assert not control.requests


async def test_bodies_for_control_are_bounded(gateway: Gateway, control: ScriptedUpstream) -> None:
    answer = await gateway.client.post("/thing", content=b"x" * 101)
    assert answer.status_code == 413
    assert not control.requests


async def test_without_control_the_answer_is_503(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, "http://127.0.0.1:1") as gateway:
        answer = await gateway.client.get("/docs")
    assert (answer.status_code, answer.json()["error"]["type"]) == (503, "service_unavailable")


async def test_an_answer_that_breaks_off_does_not_look_whole(
    gateway: Gateway, control: ScriptedUpstream
) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n"
    control.play(Raw(head + b"5\r\nhello\r\n"), Close())
    answer = await gateway.exchange(b"GET /docs HTTP/1.1\r\nhost: x\r\n\r\n")
    assert b"hello" in answer
    assert not answer.endswith(b"0\r\n\r\n")
