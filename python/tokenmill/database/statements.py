"""Statements that SQLite and PostgreSQL both know and SQLAlchemy writes for each by itself."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

NUMBERS_AT_ONCE = 500


def upsert(connection: Connection, table: Table) -> Any:
    """An INSERT for `table` that takes ON CONFLICT, in the connection's dialect."""
    make = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    return make(table)


def upsert_adding(connection: Connection, table: Table, key: tuple[str, ...]) -> Any:
    """An INSERT that adds its other whole numbers to the row that has the same `key` already."""
    statement = upsert(connection, table)
    sums = {
        column.name: column + statement.excluded[column.name]
        for column in table.columns
        if column.name.endswith(("_nanos", "_tokens", "requests"))
    }
    return statement.on_conflict_do_update(index_elements=list(key), set_=sums)


def in_pieces(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    """The numbers, some hundreds a piece: an IN (…) takes no more than that well."""
    for start in range(0, len(numbers), NUMBERS_AT_ONCE):
        yield numbers[start : start + NUMBERS_AT_ONCE]
