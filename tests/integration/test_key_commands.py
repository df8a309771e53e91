"""`tokenmill keys` on a terminal and for programs, while no house is up."""

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tokenmill import clock
from tokenmill.accounts import answerer
from tokenmill.database.upgrade import open_database
from tokenmill.keys import rules
from tokenmill.keys.commands import keys
from tokenmill.keys.loading import ensure_local_key
from tokenmill.keys.local_secret import local_key_path
from tokenmill.state_folder import lock_path


@pytest.fixture(name="state")
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


def run(*arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(keys, arguments, input=typed)


def ask(*arguments: str) -> Any:
    """The JSON that a command prints."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_first_command_makes_state_folder_account_and_local_key(state: Path) -> None:
    [local] = ask("list")
    assert (local["account"], local["tier"], local["is_local"]) == ("local", "internal", True)
    assert local["shown"] == rules.shown(local_key_path(state).read_text().strip())


def test_a_program_gets_the_secret_and_what_it_is(state: Path) -> None:
    made = ask("create", "--name", "ci", "--scope", "usage", "--expires", "2h")
    assert rules.is_well_formed(made["secret"].encode())
    key = made["key"]
    assert (key["name"], key["scopes"], key["state"]) == ("ci", ["usage"], "live")
    assert abs(key["expires_at_s"] - clock.wall_s() - 7_200) < 60


def test_a_pipe_gets_the_secret_and_nothing_else(state: Path) -> None:
    result = run("create", "--name", "ci")
    assert rules.is_well_formed(result.stdout.strip().encode())


def test_the_table_fits_a_terminal_and_tells_no_secret(state: Path) -> None:
    made = ask("create", "--name", "ci", "--expires", "30d")
    result = run("list")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["id", "name", "key", "account", "state", "scopes", "made"]
    assert lines[2].split()[:7] == ["2", "ci", made["key"]["shown"], "local", "30", "days", "left"]
    assert max(map(len, lines)) <= 80
    assert made["secret"] not in result.output


def test_revoking_asks_first(state: Path) -> None:
    ask("create", "--name", "ci")
    refused = run("revoke", "ci", typed="n\n")
    assert refused.exit_code == 1
    assert "There is no undo" in refused.stderr
    assert run("revoke", "ci").exit_code == 1  # nobody there to answer
    assert [key["state"] for key in ask("list")] == ["live", "live"]
    agreed = run("revoke", "ci", typed="y\n")
    assert "opens nothing any more" in agreed.stdout
    assert [key["state"] for key in ask("list")] == ["live", "revoked"]
    assert [key["name"] for key in ask("list", "--live")] == ["local"]


def test_revoking_for_programs(state: Path) -> None:
    made = ask("create", "--name", "ci")
    assert ask("revoke", str(made["key"]["id"]), "--yes")["state"] == "revoked"


def test_rotating_overlaps_for_a_day_unless_told_otherwise(state: Path) -> None:
    old = ask("create", "--name", "ci")
    new = ask("rotate", "ci")
    by_id = {key["id"]: key for key in ask("list")}
    assert new["secret"] != old["secret"]
    assert abs(by_id[old["key"]["id"]]["expires_at_s"] - clock.wall_s() - 86_400) < 60
    ask("rotate", str(new["key"]["id"]), "--overlap", "0s")
    assert [key["state"] for key in ask("list")] == ["live", "live", "revoked", "live"]


def test_a_name_that_two_keys_have_is_not_guessed_at(state: Path) -> None:
    for _ in range(2):
        ask("create", "--name", "ci")
    result = run("revoke", "ci", "--yes")
    assert (result.exit_code, result.stderr) == (
        1,
        "Error: 'ci' is the name of keys 2, 3: give the number.\n",
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("revoke", "nobody", "--yes"), "there is no key 'nobody'; see `tokenmill keys list`"),
        (("rotate", "17"), "there is no key '17'"),
        (("create", "--account", "acme"), "There is no account called 'acme'"),
        (("create", "--scope", "admin"), "is not one of 'inference', 'batches'"),
        (("create", "--expires", "soon"), "write 45s, 90m, 12h"),
        (("create", "--name", ""), "length >= 1"),
        (("create", "--name", "x" * 101), "length <= 100"),
        (("list", "--state", "/dev/null/x"), "/dev/null"),
    ],
)
def test_what_is_wrong_is_said(state: Path, arguments: tuple[str, ...], words: str) -> None:
    result = run(*arguments)
    assert result.exit_code in (1, 2)
    assert words in result.stderr
    assert "Traceback" not in result.output


def test_a_wrong_setting_is_said(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENMILL_DATABASE_URL", "mysql://mill:hunter2@db/x")
    result = run("list")
    assert "mysql:// is not known" in result.stderr
    assert "hunter2" not in result.output


def test_a_house_that_holds_the_folder_and_does_not_answer_is_named(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask("list")
    monkeypatch.setattr(answerer, "PATIENCE_MS", 1)
    with lock_path(state).open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = run("list")
    assert result.exit_code == 1
    assert "does not answer" in result.stderr


def test_a_postgresql_house_is_worked_on_too(
    database_url: str, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENMILL_DATABASE_URL", database_url)
    made = ask("create", "--name", "ci")
    assert [key["id"] for key in ask("list")] == [1, made["key"]["id"]]
    database = open_database(database_url, state)
    assert (
        ensure_local_key(database, state, clock.wall_s())
        == local_key_path(state).read_text().strip()
    )
    database.close()


@pytest.mark.parametrize("command", ["create", "list", "rotate", "revoke"])
def test_help_teaches_by_example(command: str) -> None:
    result = run(command, "--help")
    assert "Example" in result.stdout
    assert f"tokenmill keys {command}" in result.stdout
