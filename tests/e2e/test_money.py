"""Money in a whole house: what is used is billed, and what dies loses and doubles nothing."""

import json
import subprocess
from typing import Any

from tests.e2e.conftest import StartHouse
from tests.support.chat import PATH, body
from tests.support.house import House, house_command, house_environment


def ask(house: House, *arguments: str, database_url: str = "", status: int = 0) -> Any:
    """The JSON that a command prints."""
    command = house_command(*arguments, "--state", str(house.state), "--json")
    environment = house_environment({"TOKENMILL_DATABASE_URL": database_url})
    result = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    assert result.returncode == status, (result.stdout.decode(), result.stderr.decode())
    return json.loads(result.stdout)


def billed(house: House, account: str = "local") -> dict[str, int]:
    """The account's usage so far."""
    total: dict[str, int] = ask(house, "usage", account)["total"]
    return total


def check_books(house: House, database_url: str = "") -> None:
    """Every check of `ledger verify`."""
    found = ask(house, "ledger", "verify", database_url=database_url)
    assert found["is_right"], found


def test_a_new_house_has_its_opening_grant_once(start_house: StartHouse) -> None:
    house = start_house()
    wallet = ask(house, "wallet", "show")
    assert wallet["balance"]["dollars"] == "1000000.00"
    assert house.stop() == 0
    again = start_house()
    assert ask(again, "wallet", "show") == wallet
    [line] = ask(again, "wallet", "transactions")["data"]
    assert (line["kind"], line["reference"]) == ("grant", "opening grant")
    check_books(again)


def test_funds_added_up_and_down_are_there(start_house: StartHouse) -> None:
    house = start_house()
    ask(house, "accounts", "create", "acme")
    ask(house, "wallet", "add", "acme", "1", "--reference", "up")
    assert house.stop() == 0
    ask(house, "wallet", "add", "acme", "2", "--reference", "down")
    again = start_house()
    assert ask(again, "wallet", "show", "acme")["available"]["dollars"] == "3.00"
    ask(again, "wallet", "add", "acme", "2", "--reference", "down")  # known
    assert ask(again, "wallet", "show", "acme")["available"]["dollars"] == "3.00"
    check_books(again)


def test_a_key_with_a_list_of_models_uses_no_others(start_house: StartHouse) -> None:
    house = start_house("--workers", "2")
    made = ask(house, "keys", "create", "--name", "few", "--model", "another")
    with house.client() as client:
        headers = {"authorization": f"Bearer {made['secret']}"}
        for _ in range(4):
            answer = client.post(PATH, json=body(1), headers=headers)
            assert answer.status_code in (403, 503)
        assert client.get("/v1/models", headers=headers).json()["data"] == []
        model = client.get("/v1/models").json()["data"][0]["id"]
        refused = client.post(PATH, json=body(1) | {"model": model}, headers=headers)
        assert refused.json()["error"]["code"] == "model_not_allowed"
