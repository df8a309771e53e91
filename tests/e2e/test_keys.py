"""Keys of a running house: the command line asks control, and every worker knows at once."""

import json
import os
import signal
import subprocess
from typing import Any

import httpx

from tests.e2e.conftest import StartHouse
from tests.support.house import House, house_command, house_environment
from tests.support.postgresql import PostgresqlServer
from tests.support.waiting import eventually


def ask(house: House, *arguments: str, database_url: str = "") -> Any:
    """The JSON that `tokenmill keys …` prints."""
    command = house_command("keys", *arguments, "--state", str(house.state), "--json")
    environment = house_environment({"TOKENMILL_DATABASE_URL": database_url})
    result = subprocess.run(command, env=environment, capture_output=True, timeout=30, check=False)
    assert result.returncode == 0, result.stderr.decode()
    return json.loads(result.stdout)


def status(house: House, secret: str) -> int:
    """What the house answers to a request with this key; each time on another connection, so that
    any worker may take it."""
    headers = {"authorization": f"Bearer {secret}"}
    return httpx.get(f"{house.url}/v1/models", headers=headers, timeout=10).status_code


def test_keys_take_effect_in_all_workers_at_once(start_house: StartHouse) -> None:
    house = start_house("--workers", "2")
    made = ask(house, "create", "--name", "ci")
    assert {status(house, made["secret"]) for _ in range(8)} == {200}
    rotated = ask(house, "rotate", "ci", "--overlap", "1h")
    assert {status(house, made["secret"]), status(house, rotated["secret"])} == {200}
    ask(house, "revoke", str(made["key"]["id"]), "--yes")
    assert {status(house, made["secret"]) for _ in range(8)} == {401}
    assert status(house, rotated["secret"]) == 200


def test_keys_outlive_control_and_the_house(start_house: StartHouse) -> None:
    house = start_house()
    kept, gone = ask(house, "create", "--name", "kept"), ask(house, "create", "--name", "gone")
    ask(house, "revoke", "gone", "--yes")
    victim = house.kill_child("control")
    eventually(
        lambda: any(pid != victim for pid in house.children("control")), "control is replaced"
    )
    assert (status(house, kept["secret"]), status(house, gone["secret"])) == (200, 401)
    assert [key["state"] for key in ask(house, "list")] == ["live", "live", "revoked"]
    assert house.stop() == 0
    # Down: the same commands work on the database itself.
    offline = ask(house, "create", "--name", "offline")
    ask(house, "revoke", "kept", "--yes")
    again = start_house()
    assert status(again, again.key) == 200
    assert status(again, offline["secret"]) == 200
    assert [status(again, key["secret"]) for key in (kept, gone)] == [401, 401]


def test_a_command_waits_for_a_control_that_is_being_replaced(start_house: StartHouse) -> None:
    house = start_house()
    [victim] = house.children("control")
    os.kill(victim, signal.SIGKILL)
    assert ask(house, "create", "--name", "ci")["key"]["name"] == "ci"


def test_a_house_on_postgresql(start_house: StartHouse, postgresql: PostgresqlServer) -> None:
    with postgresql.empty_database() as url:
        environment = {"TOKENMILL_DATABASE_URL": url}
        house = start_house(environment=environment)
        made = ask(house, "create", "--name", "ci")
        assert [status(house, key) for key in (house.key, made["secret"])] == [200, 200]
        assert house.stop() == 0
        ask(house, "revoke", "ci", "--yes", database_url=url)
        again = start_house(environment=environment)
        assert [status(again, key) for key in (again.key, made["secret"])] == [200, 401]
        assert not (again.state / "tokenmill.db").exists()
        assert again.stop() == 0
