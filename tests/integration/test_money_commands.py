"""`tokenmill accounts|wallet|usage|limits|request|ledger` while no house is up."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from tests.support.ledger import make_keeper
from tests.support.memory_cells import MemoryCells, Request
from tokenmill.cli import cli
from tokenmill.database.connection import Database
from tokenmill.database.upgrade import open_database


@pytest.fixture(name="state", autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder, and none of the tester's own settings."""
    for name in list(os.environ):
        if name.startswith("TOKENMILL_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    state = tmp_path / "state"
    monkeypatch.setenv("TOKENMILL_STATE", str(state))
    monkeypatch.setenv("COLUMNS", "80")
    return state


@pytest.fixture
def opened(state: Path) -> Iterator[Database]:
    """The house's database."""
    database = open_database("", state)
    yield database
    database.close()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def ask(*arguments: str) -> Any:
    """The JSON that a command prints."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_local_account_is_there_and_has_no_limits() -> None:
    [local] = ask("accounts", "list")
    assert (local["name"], local["tier"]) == ("local", "internal")
    limits = ask("limits")
    assert limits.pop("house") is None, "it is down"
    assert {limit["max"] for limit in limits.values()} == {None}


def test_an_account_from_its_making_to_its_money() -> None:
    made = ask("accounts", "create", "acme")
    assert (made["tier"], made["limits"]["requests_per_min"]["max"]) == ("free", 20)
    changed = ask("accounts", "change", "acme", "--tier", "premium", "--tokens-per-min", "none")
    assert (changed["tier"], changed["limits"]["tokens_per_min"]["max"]) == ("pro", None)
    credit = ask("wallet", "add", "acme", "12.5", "--reference", "invoice 7", "--note", "hi")
    assert (credit["state"], credit["amount"]["dollars"]) == ("posted", "12.50")
    assert (
        ask("wallet", "add", "acme", "12.50", "--reference", "invoice 7", "--note", "hi") == credit
    )
    assert ask("wallet", "show", "acme")["available"]["nanos"] == 12_500_000_000
    [line] = ask("wallet", "transactions", "acme")["data"]
    assert (line["kind"], line["reference"]) == ("top_up", "invoice 7")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("wallet", "show", "nobody"), "There is no account called 'nobody'"),
        (("wallet", "add", "local", "1,5", "--reference", "x"), "write dollars as 25, 12.50"),
        (("wallet", "add", "local", "0", "--reference", "x"), "amount_nanos"),
        (("wallet", "refund", "local", "1", "--reference", "x"), "cannot be refunded"),
        (("accounts", "create", "local"), "an account called 'local' already"),
        (("accounts", "change", "local", "--requests-per-min", "few"), "none or tier"),
        (("request", "show", "req_1"), "No settled request has this id"),
        (("usage", "--from", "yesterday"), "Write 2026-11-28"),
        (("usage", "--group", "colour"), "there are model, key, class, endpoint"),
    ],
)
def test_a_wrong_wish_is_said_in_words(arguments: tuple[str, ...], words: str) -> None:
    result = run(*arguments)
    assert result.exit_code != 0
    assert words in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_usage_and_requests_are_shown(opened: Database) -> None:
    ask("accounts", "create", "acme")
    cells = MemoryCells()
    cells.settle(Request(account_id=2, request_id=bytes(range(12))))
    make_keeper(opened, cells).flush_all()
    span = ("--from", "2023-11-01", "--to", "2023-12-01")
    report = ask("usage", "acme", *span, "--group", "class")
    assert report["total"]["cost_nanos"] == 3_000
    text_report = run("usage", "acme", *span, "--group", "class").stdout
    assert "realtime" in text_report and "0.000003" in text_report
    assert run("usage", "acme", *span, "--csv").stdout.startswith("start,requests,")
    shown = run("request", "show", "req_000102030405060708090a0b").stdout
    assert "billed" in shown and "$0.000003" in shown and "after 40 ms" in shown
    assert max(map(len, (shown + text_report).splitlines())) <= 80


def test_verify_finds_what_is_wrong(opened: Database) -> None:
    ask("wallet", "add", "local", "1", "--reference", "x")
    cells = MemoryCells()
    for _ in range(3):
        cells.settle(Request(account_id=1))
    make_keeper(opened, cells).flush_all()
    assert ask("ledger", "verify")["is_right"] is True
    spoiled = {
        "UPDATE books SET balance_nanos = balance_nanos + 1 WHERE name = 'grants'": 0,
        "UPDATE books SET balance_nanos = balance_nanos - 1 WHERE name = 'customer:1'": 1,
        "UPDATE usage_days SET amount_nanos = amount_nanos + 1": 2,
        "DELETE FROM usage_rows WHERE ticket = 2": 3,
        "UPDATE credits SET amount_nanos = amount_nanos + 1": 4,
    }
    with opened.write() as connection:
        connection.execute(text("INSERT INTO books (name, balance_nanos) VALUES ('grants', 0)"))
    for statement, broken in spoiled.items():
        with opened.write() as connection:
            connection.execute(text(statement))
        result = run("ledger", "verify", "--json")
        assert result.exit_code == 1
        checks = json.loads(result.stdout)["checks"]
        assert not checks[broken]["is_right"], statement
    assert "WRONG" in run("ledger", "verify").stdout


def test_every_command_teaches() -> None:
    for command in (
        "accounts create",
        "accounts list",
        "accounts change",
        "wallet show",
        "wallet add",
        "wallet refund",
        "wallet transactions",
        "usage",
        "limits",
        "request show",
        "ledger verify",
    ):
        shown = run(*command.split(), "--help").stdout
        assert f"tokenmill {command}" in shown, command  # an example to copy
