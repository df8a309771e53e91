"""Accounts in the database. Each function is one statement in the caller's transaction."""

from msgspec import Struct
from sqlalchemy import Connection, Row, insert, select

from tokenmill.database.tables import accounts


class Account(Struct, frozen=True, kw_only=True):
    """Who pays. Its fields are the table's columns."""

    id: int
    name: str
    tier: str
    created_at_s: int


def insert_account(connection: Connection, name: str, tier: str, now_s: int) -> Account:
    """The new account. Raises: sqlalchemy.exc.IntegrityError, if the name is taken."""
    values = {"name": name, "tier": tier, "created_at_s": now_s}
    statement = insert(accounts).values(values).returning(accounts.c.id)
    account_id: int = connection.execute(statement).scalar_one()
    return Account(id=account_id, name=name, tier=tier, created_at_s=now_s)


def find_account(connection: Connection, name: str) -> Account | None:
    """The account called `name`."""
    row = connection.execute(select(accounts).where(accounts.c.name == name)).one_or_none()
    return None if row is None else _account(row)


def list_accounts(connection: Connection) -> list[Account]:
    """All accounts, oldest first."""
    return [_account(row) for row in connection.execute(select(accounts).order_by(accounts.c.id))]


def _account(row: Row[tuple[int, str, str, int]]) -> Account:
    return Account(**row._mapping)
