"""Which engines operators added or drain, and which belongs to which account, in the database.

Each function is one or two statements in the caller's transaction.
"""

from typing import Any

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import Connection, Table, delete, select

from tokenmill.database.statements import upsert
from tokenmill.database.tables import (
    accounts,
    engine_assignments,
    engine_entries,
    engine_leases,
)


class Owner(Struct, frozen=True):
    """The account that an engine belongs to."""

    account_id: int
    account: str


class Entry(Struct, frozen=True, kw_only=True):
    """What an operator said of the engine at an address."""

    url: str
    name: str
    api_key: str = ""
    is_added: bool = False
    is_draining: bool = False


def list_entries(connection: Connection) -> list[Entry]:
    """All of them, by address."""
    table = engine_entries
    wanted = select(table).order_by(table.c.url)
    return [Entry(**row._mapping) for row in connection.execute(wanted)]


def put_entry(connection: Connection, entry: Entry) -> None:
    """From now on this is what is said of the engine; one of which nothing is said has no row."""
    table = engine_entries
    if entry.is_added or entry.is_draining:
        _put(connection, table, asdict(entry), "url")
    else:
        connection.execute(delete(table).where(table.c.url == entry.url))


class Lease(Struct, frozen=True, kw_only=True):
    """An engine that registered itself, until `expires_at_ms`."""

    url: str
    name: str
    api_key: str
    key_id: int
    is_leaving: bool
    expires_at_ms: int


def list_leases(connection: Connection) -> list[Lease]:
    """All of them, by address, whether they are over or not."""
    table = engine_leases
    wanted = select(table).order_by(table.c.url)
    return [Lease(**row._mapping) for row in connection.execute(wanted)]


def put_lease(connection: Connection, lease: Lease) -> None:
    """From now on this is the engine's lease."""
    _put(connection, engine_leases, asdict(lease), "url")


def forget_leases(connection: Connection, expired_before_ms: int) -> None:
    """Those that were over then have no row any more."""
    table = engine_leases
    connection.execute(delete(table).where(table.c.expires_at_ms < expired_before_ms))


def list_owners(connection: Connection) -> dict[str, Owner]:
    """Owners by engine name; an engine that is not in it is for everyone."""
    table = engine_assignments
    wanted = select(table.c.engine, table.c.account_id, accounts.c.name).join(accounts)
    rows = connection.execute(wanted)
    return {engine: Owner(account_id, account) for engine, account_id, account in rows}


def assign_engine(connection: Connection, engine: str, account_id: int) -> None:
    """The engine belongs to the account from now on, whosever it was."""
    values = {"engine": engine, "account_id": account_id}
    _put(connection, engine_assignments, values, "engine")


def release_engine(connection: Connection, engine: str) -> None:
    """The engine is for everyone."""
    table = engine_assignments
    connection.execute(delete(table).where(table.c.engine == engine))


def _put(connection: Connection, table: Table, values: dict[str, Any], key: str) -> None:
    """The row of that key has these values. Two houses may say so at once, and one of them waits:
    neither fails."""
    statement = upsert(connection, table).values(values)
    connection.execute(statement.on_conflict_do_update(index_elements=[key], set_=values))
