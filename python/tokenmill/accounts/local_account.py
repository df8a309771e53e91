"""The account of whoever runs the house: there before anything else, of tier internal."""

from sqlalchemy import Connection

from tokenmill.accounts.rules import LOCAL_ACCOUNT
from tokenmill.accounts.store import Account, find_account, insert_account
from tokenmill.database.connection import Database


def ensure_local_account(database: Database, now_s: int) -> Account:
    """The account, made now if it is not there. Raises: DatabaseUnavailable."""
    with database.read() as connection:
        found = find_account(connection, LOCAL_ACCOUNT)
    if found is not None:
        return found
    with database.write() as connection:
        return local_account(connection, now_s)


def local_account(connection: Connection, now_s: int) -> Account:
    """The same, in the caller's transaction."""
    found = find_account(connection, LOCAL_ACCOUNT)
    return found or insert_account(connection, LOCAL_ACCOUNT, "internal", now_s)
