"""Statements that SQLAlchemy has no common words for, or is too slow at: many rows at once.

Rows are tuples, written by the driver's own means: SQLAlchemy looks at each value, and a
row a message would wait for PostgreSQL's answer each time. There one array a column is sent.
"""

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, Table, Text, cast, func, select

NUMBERS_AT_ONCE = 500

_AS_JSON = str.maketrans("{}", "[]")
_NUMBERS = list[tuple[int | None, ...]]

Rows = Sequence[tuple[Any, ...]]


def upsert(connection: Connection, table: Table) -> Any:
    """An INSERT for `table` that takes ON CONFLICT, in the connection's dialect."""
    # Only the dialect in use, which is loaded already: the other one is 60 ms of control's start.
    return import_module(f"sqlalchemy.dialects.{connection.dialect.name}").insert(table)


def insert_many(connection: Connection, table: Table, columns: Sequence[str], rows: Rows) -> None:
    """Inserts rows of values in the order of `columns`. Raises: IntegrityError."""
    _insert(connection, table, columns, rows)


def add_many(
    connection: Connection, table: Table, columns: Sequence[str], rows: Rows, key: Sequence[str]
) -> None:
    """The same, but a row whose `key` is there already has its sums added to those there."""
    sums = ", ".join(
        f"{name} = {table.name}.{name} + excluded.{name}" for name in columns if _is_sum(name)
    )
    _insert(
        connection, table, columns, rows, f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {sums}"
    )


def insert_counted(
    connection: Connection, table: Table, columns: Sequence[str], rows: Rows
) -> list[int]:
    """The numbers (`id`) of the new rows, in the order of the rows; they rise."""
    if connection.dialect.name != "sqlite":
        return sorted(_insert(connection, table, columns, rows, "RETURNING id"))
    # Nobody else writes during a transaction that does.
    last = connection.exec_driver_sql(f"SELECT coalesce(max(id), 0) FROM {table.name}").scalar_one()
    _insert(connection, table, columns, rows)
    text = f"SELECT id FROM {table.name} WHERE id > ? ORDER BY id"
    return list(connection.exec_driver_sql(text, (last,)).scalars())


def fetch_numbers(connection: Connection, statement: Select[Any]) -> Sequence[Sequence[Any]]:
    """The rows of a statement whose columns are all whole numbers or null, in its order.

    PostgreSQL sends them as one text, an array of arrays: its driver, which is Python, takes ten
    times as long to read them one by one.
    """
    if connection.dialect.name == "sqlite":
        return connection.execute(statement).all()
    rows = statement.subquery()
    array = import_module("sqlalchemy.dialects.postgresql").array
    whole = select(cast(func.array_agg(array(list(rows.c))), Text))
    text: str | None = connection.execute(whole).scalar_one()
    if text is None:
        return []
    return msgspec.json.decode(text.translate(_AS_JSON).replace("NULL", "null"), type=_NUMBERS)


def in_pieces(numbers: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The numbers, some hundreds a piece: an IN (…) takes no more than that well."""
    for start in range(0, len(numbers), NUMBERS_AT_ONCE):
        yield numbers[start : start + NUMBERS_AT_ONCE]


def _insert(
    connection: Connection, table: Table, columns: Sequence[str], rows: Rows, ending: str = ""
) -> list[int]:
    """Numbers, where `ending` asks for them."""
    if not rows:
        return []
    names = ", ".join(columns)
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(columns))
        text = f"INSERT INTO {table.name} ({names}) VALUES ({marks}) {ending}"
        connection.exec_driver_sql(text, list(rows))
        return []
    types = [table.c[name].type.compile(connection.dialect) for name in columns]
    arrays = ", ".join(f"CAST(%s AS {kind}[])" for kind in types)
    text = (
        f"INSERT INTO {table.name} ({names}) SELECT {names}"
        f" FROM unnest({arrays}) WITH ORDINALITY AS row ({names}, place) ORDER BY place {ending}"
    )
    result = connection.exec_driver_sql(text, tuple(map(list, zip(*rows, strict=True))))
    return list(result.scalars()) if result.returns_rows else []


def _is_sum(name: str) -> bool:
    return name.endswith(("_nanos", "_tokens", "requests"))
