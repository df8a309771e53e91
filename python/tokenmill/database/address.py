"""Which database a setting means. Pure: no file is looked at and no driver is loaded."""

from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from tokenmill.database.errors import DatabaseAddressInvalid

FILE_NAME = "tokenmill.db"

Kind = Literal["sqlite", "postgresql"]


class DatabaseAddress(Struct, frozen=True, kw_only=True):
    """A database. `url` is SQLAlchemy's and may hold a password; `shown` never does."""

    kind: Kind
    url: str
    shown: str
    path: Path | None = None  # SQLite's file


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
        case "postgresql" | "postgres" | "postgresql+psycopg":
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
    # A URI, so that no character of a path means anything to SQLAlchemy or SQLite.
    quoted = path.absolute().as_uri()
    return DatabaseAddress(
        kind="sqlite", url=f"sqlite:///{quoted}?uri=true", shown=str(path), path=path.absolute()
    )


def _sqlite_path(rest: str) -> Path:
    """`/relative.db` or `//absolute.db`, as SQLAlchemy has it."""
    if not rest.startswith("/") or rest.strip("/") in ("", ":memory:"):
        raise _invalid("SQLite needs the path of a file")
    return Path(unquote(rest[1:]))


def _postgresql(rest: str) -> DatabaseAddress:
    try:
        parts = urlsplit(f"postgresql://{rest}")
        port = f":{parts.port}" if parts.port else ""
    except ValueError as error:
        raise _invalid(str(error)) from error
    host = parts.hostname or "the local socket"
    return DatabaseAddress(
        kind="postgresql",
        url=f"postgresql+psycopg://{rest}",
        shown=f"PostgreSQL {parts.path.strip('/') or 'default database'} at {host}{port}",
    )
