"""Failures of databases in words that say what to do."""

import pytest

from tokenmill.database.address import DatabaseAddress
from tokenmill.database.connection import explain

ADDRESS = DatabaseAddress(kind="sqlite", url="sqlite:///x?password=hunter2", shown="/state/x.db")


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("database is locked", "close that"),
        ("unable to open database file", "Is the folder there"),
        ("attempt to write a readonly database", "may this user write".capitalize()),
        ("database or disk is full", "Make room"),
        ("file is not a database", "name another one"),
        ("database disk image is malformed", "restore a backup"),
        ("connection refused", "Is the server running"),
        ('FATAL: database "x" does not exist', "Create it"),
        ("something new", "something new."),
    ],
)
def test_advice(reason: str, advice: str) -> None:
    message = explain(Exception(reason), ADDRESS)
    assert advice in message
    assert reason in message
    assert "/state/x.db" in message
    assert "hunter2" not in message
