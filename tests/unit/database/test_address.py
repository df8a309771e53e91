"""Which database a setting means, and that passwords stay out of messages."""

from pathlib import Path

import pytest

from tokenmill.database.address import find_address
from tokenmill.database.errors import DatabaseAddressInvalid

STATE = Path("/state folder")


def test_nothing_means_a_file_in_the_state_folder() -> None:
    address = find_address("", STATE)
    assert (address.kind, address.path) == ("sqlite", STATE / "tokenmill.db")
    assert address.shown == "/state folder/tokenmill.db"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////var/lib/x.db", Path("/var/lib/x.db")),
        ("sqlite:///x.db", Path.cwd() / "x.db"),
        ("sqlite:////a%20b/x%3F.db", Path("/a b/x?.db")),
    ],
)
def test_sqlite_files(url: str, path: Path) -> None:
    assert find_address(url, STATE).path == path


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_postgresql_by_either_name(scheme: str) -> None:
    address = find_address(f"{scheme}://mill:secret@db.example:5433/tokens", STATE)
    assert address.server is not None
    assert (address.server.host, address.server.password) == ("db.example", "secret")
    assert address.kind == "postgresql"
    assert address.shown == "PostgreSQL tokens at db.example:5433"


def test_a_postgresql_socket() -> None:
    address = find_address("postgresql://mill@/tokens?host=/run/postgresql", STATE)
    assert address.shown == "PostgreSQL tokens at the local socket"


@pytest.mark.parametrize(
    "url",
    [
        "tokens",
        "mysql://mill:hunter2@db/tokens",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "postgresql://mill:hunter2@db:port/tokens",
        "postgresql://mill:hunter2/3@db/tokens",
        "postgresql://mill:1#hunter2@db/tokens",
        "postgresql://mill@db/tokens?password=hunter2",
        "postgresql+psycopg://mill:hunter2@db/tokens",
    ],
)
def test_other_addresses_are_refused_without_telling_passwords(url: str) -> None:
    with pytest.raises(DatabaseAddressInvalid, match="database_url cannot be used") as caught:
        find_address(url, STATE)
    assert "hunter2" not in str(caught.value)
    assert "postgresql://user:password@host/name" in str(caught.value)
