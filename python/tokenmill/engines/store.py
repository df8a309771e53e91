"""Which engine belongs to which account, in the database.

Each function is one or two statements in the caller's transaction.
"""

from msgspec import Struct
from sqlalchemy import Connection, delete, insert, select

from tokenmill.database.tables import accounts, engine_assignments


class Owner(Struct, frozen=True):
    """The account that an engine belongs to."""

    account_id: int
    account: str


def list_owners(connection: Connection) -> dict[str, Owner]:
    """Owners by engine name; an engine that is not in it is for everyone."""
    table = engine_assignments
    wanted = select(table.c.engine, table.c.account_id, accounts.c.name).join(accounts)
    rows = connection.execute(wanted)
    return {engine: Owner(account_id, account) for engine, account_id, account in rows}


def assign_engine(connection: Connection, engine: str, account_id: int) -> None:
    """The engine belongs to the account from now on, whosever it was."""
    release_engine(connection, engine)
    values = {"engine": engine, "account_id": account_id}
    connection.execute(insert(engine_assignments).values(values))


def release_engine(connection: Connection, engine: str) -> None:
    """The engine is for everyone."""
    table = engine_assignments
    connection.execute(delete(table).where(table.c.engine == engine))
