"""Which adapters operators named, in the database. Functions work in the caller's transaction."""

from msgspec.structs import asdict
from sqlalchemy import Connection, delete, select

from tokenmill.adapters.rules import Adapter
from tokenmill.database.statements import upsert
from tokenmill.database.tables import adapters


def list_adapters(connection: Connection) -> list[Adapter]:
    """All of them, by name."""
    rows = connection.execute(select(adapters).order_by(adapters.c.name))
    return [Adapter(**row._mapping) for row in rows]


def insert_adapter(connection: Connection, adapter: Adapter) -> bool:
    """Whether the name was free; one that is taken stays as it is."""
    statement = upsert(connection, adapters).values(asdict(adapter))
    statement = statement.on_conflict_do_nothing(index_elements=["name"])
    return bool(connection.execute(statement).rowcount)


def delete_adapter(connection: Connection, name: str) -> bool:
    """Whether it was there."""
    return bool(connection.execute(delete(adapters).where(adapters.c.name == name)).rowcount)
