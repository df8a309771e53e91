"""Engines around a running house: found and missed, given to an account, kept over control's death.

The engine here answers in vLLM's manner; a real vLLM is tried in tests/integration.
"""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import StartHouse
from tests.support.house import House, house_command, house_environment, run_house
from tests.support.paced_engine import MODEL, PacedEngine, paced_engine
from tests.support.ports import fresh_port
from tests.support.waiting import eventually

NOTICED_S = 30.0
"""For a busy machine. What is promised, two seconds, is a matter of the settings."""

ASK = {"messages": [{"role": "user", "content": "Say something."}], "max_tokens": 2}


def engines(house: House, *arguments: str) -> Any:
    """The JSON that `tokenmill engines …` prints."""
    result = run_command(house, *arguments, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def run_command(house: House, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = house_command("engines", *arguments, "--state", str(house.state))
    return subprocess.run(
        command,
        env=house_environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def listed(client: httpx.Client) -> list[str]:
    return [model["id"] for model in client.get("/v1/models").json()["data"]]


@pytest.fixture
def port() -> int:
    return fresh_port()


@pytest.fixture
def discovering(folder: Path, port: int) -> Iterator[House]:
    """A house without an engine that looks for one on the port."""
    environment = {"TOKENMILL_DISCOVERY_ENABLED": "true", "TOKENMILL_DISCOVERY_PORTS": str(port)}
    with run_house(folder, command="serve", environment=environment, wants_model=False) as house:
        yield house


def test_an_engine_that_appears_is_served_and_one_that_goes_is_missed(
    discovering: House, port: int
) -> None:
    with discovering.client() as client:
        refusal = client.post("/v1/chat/completions", json=ASK)
        assert (refusal.status_code, refusal.json()["error"]["code"]) == (503, "no_engine")
        for _ in range(2):  # it may come back
            with paced_engine(port=port):
                eventually(lambda: listed(client) == [MODEL], "found", within_s=NOTICED_S)
                assert client.post("/v1/chat/completions", json=ASK).status_code == 200
                assert client.get("/health").status_code == 200
            eventually(lambda: listed(client) == [], "missed", within_s=NOTICED_S)
            assert client.get("/health").status_code == 503


def test_a_web_server_on_the_port_is_no_engine(discovering: House, port: int, folder: Path) -> None:
    (folder / "index.html").write_text("<h1>It works!</h1>")
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            eventually(lambda: is_open(port), "the server answers")
            # One look and a half later it would be there.
            with pytest.raises(AssertionError):
                eventually(lambda: engines(discovering, "list") or None, "", within_s=1.5)
        finally:
            server.terminate()


def is_open(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/").status_code == 200
    except httpx.HTTPError:
        return False


def test_a_gateway_is_never_its_own_engine(folder: Path, port: int) -> None:
    """It listens on a port where it looks for engines, and lists models there."""
    environment = {"TOKENMILL_DISCOVERY_ENABLED": "true", "TOKENMILL_DISCOVERY_PORTS": str(port)}
    with (
        paced_engine() as engine,
        run_house(
            folder, "--engine", engine.url, "--port", str(port), environment=environment
        ) as first,
    ):
        assert [engine["origin"] for engine in engines(first, "list")] == ["named"]
        (folder / "second").mkdir()
        with run_house(
            folder / "second", command="serve", environment=environment, wants_model=False
        ) as second:
            assert engines(second, "list") == []


def test_an_engine_given_to_an_account_is_there_for_it_alone(
    start_house: StartHouse, engine: PacedEngine
) -> None:
    house = start_house()
    add_account(house, "acme")
    (view,) = engines(house, "list")
    assert (view["state"], view["account"], view["models"]) == ("serving", "", [MODEL])
    with house.client() as client:
        (given,) = engines(house, "assign", view["name"], "acme")
        assert given["account"] == "acme"
        eventually(lambda: listed(client) == [], "not ours", within_s=NOTICED_S)
        assert client.get(f"/v1/models/{MODEL}").status_code == 404
        begun = engine.begun
        assert client.post("/v1/chat/completions", json=ASK | {"model": MODEL}).status_code != 200
        assert engine.begun == begun
        secret = make_key(house, "acme")
        hers = httpx.get(f"{house.url}/v1/models", headers={"authorization": f"Bearer {secret}"})
        assert [model["id"] for model in hers.json()["data"]] == [MODEL]

        house.kill_child("control")  # whose it is, is in the database
        back = eventually(lambda: engines_or_none(house), "control is back")
        assert listed(client) == [], (back, (house.state / "fleet.json").read_text())
        engines(house, "assign", view["name"], "--everyone")
        eventually(lambda: listed(client) == [MODEL], "everyone's", within_s=NOTICED_S)


def engines_or_none(house: House) -> Any:
    result = run_command(house, "list", "--json")
    return json.loads(result.stdout) if result.returncode == 0 else None


def add_account(house: House, name: str) -> None:
    with sqlite3.connect(house.state / "tokenmill.db") as database:
        database.execute(
            "INSERT INTO accounts (name, tier, created_at_s) VALUES (?, 'internal', 1)", (name,)
        )
    database.close()


def make_key(house: House, account: str) -> str:
    command = house_command("keys", "create", "--account", account, "--state", str(house.state))
    made = subprocess.run(
        [*command, "--json"], env=house_environment(), capture_output=True, timeout=30, check=True
    )
    return str(json.loads(made.stdout)["secret"])


def test_wrong_assignments_are_refused_in_words(start_house: StartHouse) -> None:
    house = start_house()
    (view,) = engines(house, "list")
    no_engine = run_command(house, "assign", "nope", "local")
    assert no_engine.returncode == 1
    assert view["name"] in no_engine.stderr  # which ones there are
    assert "no account" in run_command(house, "assign", view["name"], "nobody").stderr
    assert run_command(house, "assign", view["name"]).returncode == 2


def test_without_a_house_the_command_says_so(folder: Path) -> None:
    house = House(subprocess.Popen(["true"]), folder / "state", folder / "log")
    house.process.wait()
    result = run_command(house, "list")
    assert result.returncode == 1
    assert "tokenmill up" in result.stderr


def test_fleet_and_slots_go_on_when_control_is_killed(start_house: StartHouse, port: int) -> None:
    house = start_house(
        environment={
            "TOKENMILL_DISCOVERY_ENABLED": "true",
            "TOKENMILL_DISCOVERY_PORTS": str(port),
        }
    )

    def fleet() -> Any:
        return json.loads((house.state / "fleet.json").read_bytes())

    def slots() -> dict[str, int]:
        return {engine["name"]: engine["slot"] for engine in fleet()["engines"]}

    before, slots_before = fleet(), slots()
    house.kill_child("control")
    with house.client() as client:
        assert client.post("/v1/chat/completions", json=ASK).status_code == 200
        eventually(lambda: engines_or_none(house), "control is back")
        assert fleet() == before
        with paced_engine(port=port):
            eventually(lambda: len(slots()) == 2, "the second is found", within_s=NOTICED_S)
    assert fleet()["generation"] > before["generation"]
    assert slots().items() >= slots_before.items()


def test_the_documentation_is_served_and_control_is_not(start_house: StartHouse) -> None:
    house = start_house()
    with httpx.Client(base_url=house.url) as anyone:
        page = anyone.get("/docs")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "/chat/completions" in page.text
        assert anyone.get("/docs/docs.css").headers["content-type"].startswith("text/css")
        document = anyone.get("/openapi.json").json()
        assert {"/chat/completions", "/docs"} <= set(document["paths"])
    with house.client() as client:
        for path in ("/control/status", "//control/keys", "/control%2Fkeys", "/CONTROL/keys"):
            for headers in ({}, {"x-tokenmill-relayed": ""}):
                answer = client.get(path, headers=headers)
                assert answer.status_code == 404, path
                assert answer.json()["error"]["code"] == "not_found"
