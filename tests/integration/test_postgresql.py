"""PostgreSQL's own ways: constraints, lost connections, silence, TLS, passwords."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from tests.support.postgresql import CERTIFICATES, PostgresqlServer, run, with_database
from tokenmill.database import postgresql as driver
from tokenmill.database.address import find_address
from tokenmill.database.connection import Database
from tokenmill.database.errors import DatabaseAddressInvalid, DatabaseUnavailable


@pytest.fixture
def url(postgresql: PostgresqlServer) -> Iterator[str]:
    """An empty database."""
    with postgresql.empty_database() as made:
        yield made


@pytest.fixture
def encrypted(postgresql: PostgresqlServer, url: str) -> Iterator[str]:
    """The same database over the network, where it wants TLS and the password of `mill`."""
    if postgresql.port is None:
        pytest.skip("a server of somebody else's lets nobody in on its own terms")
    name = url.partition("?")[0].rpartition("/")[2]
    run(url, "CREATE ROLE mill LOGIN PASSWORD 'hunter2'")
    yield f"postgresql://mill:hunter2@127.0.0.1:{postgresql.port}/{name}"
    run(url, "DROP ROLE mill")


def ask(url: str, statement: str = "SELECT 1") -> object:
    """What a new connection answers."""
    database = Database(find_address(url, Path()))
    try:
        with database.read() as connection:
            return connection.execute(text(statement)).scalar()
    finally:
        database.close()


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO child VALUES (1, 1), (1, 1)",  # unique
        "INSERT INTO child VALUES (1, 2)",  # foreign key
        "INSERT INTO child VALUES (-1, 1)",  # check
        "INSERT INTO child VALUES (NULL, 1)",  # not null
        "INSERT INTO late VALUES (1), (1)",  # looked at by the commit
    ],
)
def test_every_kind_of_broken_constraint_is_one(url: str, statement: str) -> None:
    database = Database(find_address(url, Path()))
    with database.write() as connection:
        connection.execute(text("CREATE TABLE parent (id INTEGER PRIMARY KEY)"))
        connection.execute(text("INSERT INTO parent VALUES (1)"))
        connection.execute(
            text(
                "CREATE TABLE child (id INTEGER PRIMARY KEY CHECK (id > 0),"
                " parent INTEGER REFERENCES parent (id))"
            )
        )
        connection.execute(
            text("CREATE TABLE late (id INTEGER UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        )
    with pytest.raises(IntegrityError), database.write() as connection:
        connection.execute(text(statement))
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM child")).scalar() == 0
        assert connection.execute(text("SELECT count(*) FROM late")).scalar() == 0
    database.close()


def test_a_connection_that_was_cut_is_replaced(url: str) -> None:
    database = Database(find_address(url, Path()))
    own = "SELECT pg_backend_pid()"
    with database.read() as connection:
        first = connection.execute(text(own)).scalar()
    run(url, f"SELECT pg_terminate_backend({first}, 5000)")
    with database.read() as connection:
        assert connection.execute(text(own)).scalar() != first
    database.close()


def test_a_silent_server_is_not_waited_for_for_ever(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(find_address(url, Path()))
    with monkeypatch.context() as hurried:
        hurried.setattr(driver, "ANSWER_S", 0.2)
        with (
            pytest.raises(DatabaseUnavailable, match=r"timed out\. Is the host right"),
            database.write() as connection,
        ):
            connection.execute(text("SELECT pg_sleep(30)"))
    with database.read() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    database.close()


def test_a_database_that_is_not_there_is_named(url: str) -> None:
    with pytest.raises(DatabaseUnavailable, match=r"nowhere.*\(3D000\)\. Create it"):
        ask(with_database(url, "nowhere"))


def test_a_folder_without_a_socket_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match=r"No such file.*Is the server running"):
        ask(f"postgresql:///x?host={tmp_path}")


def test_connections_tell_their_name(url: str) -> None:
    assert ask(url, "SHOW application_name") == "tokenmill"
    assert ask(f"{url}&application_name=mill+2", "SHOW application_name") == "mill+2"


def test_what_is_no_postgresql_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer_strangely, args=(listener,)).start()
        port = listener.getsockname()[1]
        with pytest.raises(DatabaseUnavailable, match=r"no PostgreSQL server"):
            ask(f"postgresql://mill@127.0.0.1:{port}/x?sslmode=disable")


def answer_strangely(listener: socket.socket) -> None:
    """One answer that has no meaning in PostgreSQL's protocol."""
    connection, _ = listener.accept()
    with connection:
        connection.recv(1_000)
        connection.sendall(b"\0\0\0\0\5what is this?")


@pytest.mark.parametrize(
    "options",
    [
        "",
        "?sslmode=prefer",
        "?sslmode=require",
        f"?sslmode=verify-full&sslrootcert={CERTIFICATES / 'authority.pem'}",
    ],
)
def test_connections_over_the_network_are_encrypted(encrypted: str, options: str) -> None:
    statement = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    assert ask(encrypted + options, statement) is True


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("?sslmode=disable", r"\(28000\)\. Are user and password right"),
        ("?sslmode=verify-full", r"certificate verify failed.*Give sslrootcert="),
    ],
)
def test_a_connection_that_is_not_let_in_says_why(
    encrypted: str, options: str, reason: str
) -> None:
    with pytest.raises(DatabaseUnavailable, match=reason) as caught:
        ask(encrypted + options)
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize("password", [":wrong", ""])
def test_a_wrong_password_is_called_that(encrypted: str, password: str) -> None:
    with pytest.raises(DatabaseUnavailable, match=r"Are user and password right"):
        ask(encrypted.replace(":hunter2", password))


def test_a_file_of_certificates_that_is_none_is_named(encrypted: str, tmp_path: Path) -> None:
    with pytest.raises(DatabaseAddressInvalid, match=str(tmp_path / "ca.pem")):
        ask(f"{encrypted}?sslmode=verify-full&sslrootcert={tmp_path / 'ca.pem'}")
