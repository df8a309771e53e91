"""Accounts in the database. Each function is one statement in the caller's transaction, and a line
for other houses where it changes something."""

from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Row, insert, select, update

from tokenmill.database.changes import note_change
from tokenmill.database.tables import accounts


class Account(Struct, frozen=True, kw_only=True):
    """Who pays. Its fields are the table's columns."""

    id: int
    name: str
    tier: str
    created_at_s: int
    requests_per_min: int | None = None
    tokens_per_min: int | None = None
    concurrency_max: int | None = None


def insert_account(connection: Connection, name: str, tier: str, now_s: int) -> Account:
    """The new account. Raises: sqlalchemy.exc.IntegrityError, if the name is taken."""
    values = {"name": name, "tier": tier, "created_at_s": now_s}
    statement = insert(accounts).values(values).returning(accounts.c.id)
    account_id: int = connection.execute(statement).scalar_one()
    note_change(connection, "account", account_id)
    return Account(id=account_id, name=name, tier=tier, created_at_s=now_s)


def find_account(connection: Connection, name: str) -> Account | None:
    """The account called `name`."""
    row = connection.execute(select(accounts).where(accounts.c.name == name)).one_or_none()
    return None if row is None else _account(row)


def find_account_id(connection: Connection, account_id: int) -> Account | None:
    """The account with this number."""
    row = connection.execute(select(accounts).where(accounts.c.id == account_id)).one_or_none()
    return None if row is None else _account(row)


def change_account(connection: Connection, account: Account) -> None:
    """The account has this tier and these limits from now on."""
    values = {
        name: getattr(account, name)
        for name in ("tier", "requests_per_min", "tokens_per_min", "concurrency_max")
    }
    connection.execute(update(accounts).where(accounts.c.id == account.id).values(values))
    note_change(connection, "account", account.id)


def list_accounts(connection: Connection) -> list[Account]:
    """All accounts, oldest first."""
    return [_account(row) for row in connection.execute(select(accounts).order_by(accounts.c.id))]


def _account(row: Row[Any]) -> Account:
    return Account(**row._mapping)
