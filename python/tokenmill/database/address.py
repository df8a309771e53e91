"""Which database a setting means. Pure: no file is looked at and no driver is loaded."""

from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from msgspec import Struct

from tokenmill.database.errors import DatabaseAddressInvalid
from tokenmill.database.server_address import ServerAddress, ServerAddressInvalid, parse_server

FILE_NAME = "tokenmill.db"

Kind = Literal["sqlite", "postgresql"]


class DatabaseAddress(Struct, frozen=True, kw_only=True):
    """A database: a file or a server. `server` may hold a password; `shown` never does."""

    kind: Kind
    shown: str
    path: Path | None = None  # SQLite's file
    server: ServerAddress | None = None  # PostgreSQL's


def find_address(database_url: str, state: Path) -> DatabaseAddress:
    """The database of the setting `database_url`; empty means a file in the state folder.

    Raises: DatabaseAddressInvalid.
    """
    if not database_url:
        return _sqlite(state / FILE_NAME)
    scheme, separator, rest = database_url.partition("://")
    if not separator:
        raise _invalid("it is no URL")
    match scheme:
        case "sqlite":
            return _sqlite(_sqlite_path(rest))
        case "postgresql" | "postgres":
            return _postgresql(rest)
        case _:
            raise _invalid(f"{scheme}:// is not known")


def _invalid(reason: str) -> DatabaseAddressInvalid:
    """Never with the URL itself: it may hold a password."""
    return DatabaseAddressInvalid(
        f"database_url cannot be used: {reason}. Give sqlite:////absolute/path.db or"
        " postgresql://user:password@host/name, or leave it empty for a file in the state folder."
    )


def _sqlite(path: Path) -> DatabaseAddress:
    return DatabaseAddress(kind="sqlite", shown=str(path), path=path.absolute())


def _sqlite_path(rest: str) -> Path:
    """`/relative.db` or `//absolute.db`, as SQLAlchemy has it."""
    if not rest.startswith("/") or rest.strip("/") in ("", ":memory:"):
        raise _invalid("SQLite needs the path of a file")
    return Path(unquote(rest[1:]))


def _postgresql(rest: str) -> DatabaseAddress:
    try:
        server = parse_server(rest)
    except ServerAddressInvalid as error:
        raise _invalid(str(error)) from error
    place = "the local socket" if server.socket else f"{server.host}:{server.port}"
    return DatabaseAddress(
        kind="postgresql",
        shown=f"PostgreSQL {server.name or 'default database'} at {place}",
        server=server,
    )
