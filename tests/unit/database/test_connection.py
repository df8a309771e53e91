"""Failures of databases in words that say what to do."""

import pytest

from tokenmill.database.address import DatabaseAddress
from tokenmill.database.connection import explain
from tokenmill.database.server_address import ServerAddress

SERVER = ServerAddress(host="db", password="hunter2")
ADDRESS = DatabaseAddress(kind="postgresql", shown="/state/x.db", server=SERVER)


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


def server_said(message: str, code: str) -> Exception:
    """An error as pg8000 gives it."""
    return Exception({"S": "FATAL", "C": code, "M": message})


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("28P01", "Are user and password right"),
        ("28000", "may this user come from here"),
        ("3D000", "Create it"),
        ("53300", "(53300)."),
    ],
)
def test_a_server_is_understood_in_any_language(code: str, advice: str) -> None:
    message = explain(server_said("so nicht", code), ADDRESS)
    assert f"so nicht ({code})" in message
    assert advice in message


def test_what_a_server_said_before_it_hung_up_is_told() -> None:
    hung_up = BrokenPipeError(32, "Broken pipe")
    hung_up.__context__ = server_said("no", "28P01")
    lost = Exception("network error")
    lost.__cause__ = hung_up
    assert "no (28P01). Are user and password right" in explain(lost, ADDRESS)


def test_the_cause_of_a_lost_connection_is_told() -> None:
    lost = Exception("network error")
    lost.__cause__ = TimeoutError("timed out")
    assert "timed out. Is the host right" in explain(lost, ADDRESS)
