"""What changed in a shared database, by number: how houses learn of each other's keys and accounts.

A line is written in the transaction of the change itself. Writers of lines go one after the other,
so that numbers are committed in their order and a reader that goes on from the last one it saw
misses none.
"""

from typing import Literal

from msgspec import Struct
from sqlalchemy import Connection, delete, func, insert, select

from tokenmill.database.tables import changes

Kind = Literal["key", "account"]

KEPT = 100_000
"""Lines that are kept. A house that sleeps through more of them has to load all keys again."""

LOCK = 0x746B6D63
"""Key of PostgreSQL's advisory lock: who writes a line waits for the transaction before."""

_INSERT_IN_TURN = f"""
WITH turn AS MATERIALIZED (SELECT pg_advisory_xact_lock({LOCK}))
INSERT INTO changes (kind, subject_id) SELECT %s, CAST(%s AS BIGINT) FROM turn
"""


class Change(Struct, frozen=True):
    """Something about this key or account is not as it was."""

    id: int
    kind: Kind
    subject_id: int


def note_change(connection: Connection, kind: Kind, subject_id: int) -> None:
    """Other houses learn of it once the caller's transaction is committed."""
    if connection.dialect.name == "sqlite":  # which has one writer at a time anyway
        connection.execute(insert(changes).values(kind=kind, subject_id=subject_id))
        return
    connection.exec_driver_sql(_INSERT_IN_TURN, (kind, subject_id))


def newest_change(connection: Connection) -> int:
    """The number of the last line; 0 before the first."""
    newest: int = connection.execute(select(func.coalesce(func.max(changes.c.id), 0))).scalar_one()
    return newest


def changes_after(connection: Connection, last_id: int, count_max: int) -> list[Change]:
    """The lines after this number, oldest first."""
    statement = (
        select(changes).where(changes.c.id > last_id).order_by(changes.c.id).limit(count_max)
    )
    return [Change(**row._mapping) for row in connection.execute(statement)]


def forget_changes(connection: Connection, newest_id: int) -> None:
    """Lines that are more than `KEPT` older than this one are gone."""
    connection.execute(delete(changes).where(changes.c.id <= newest_id - KEPT))
