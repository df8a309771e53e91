"""Which engine belongs to which account, in the database. Each function is one or two statements in
the caller's transaction."""

from sqlalchemy import Connection, delete, insert, select

from tokenmill.database.tables import engine_assignments


def list_assignments(connection: Connection) -> dict[str, int]:
    """Engine names -> account ids; an engine that is not in it is for everyone."""
    table = engine_assignments
    rows = connection.execute(select(table.c.engine, table.c.account_id))
    return {row.engine: row.account_id for row in rows}


def assign_engine(connection: Connection, engine: str, account_id: int) -> None:
    """The engine belongs to the account from now on, whosever it was."""
    release_engine(connection, engine)
    values = {"engine": engine, "account_id": account_id}
    connection.execute(insert(engine_assignments).values(values))


def release_engine(connection: Connection, engine: str) -> None:
    """The engine is for everyone."""
    table = engine_assignments
    connection.execute(delete(table).where(table.c.engine == engine))
