"""Which adapters operators named, in the database. Functions work in the caller's transaction."""

from collections.abc import Mapping

from sqlalchemy import Connection, bindparam, delete, func, or_, select, update

from tokenmill.adapters.rules import Adapter
from tokenmill.database.statements import upsert
from tokenmill.database.tables import accounts, adapter_turns, adapters


def list_adapters(connection: Connection) -> list[Adapter]:
    """All of them, by name."""
    table = adapters
    wanted = select(
        table.c.name,
        table.c.base,
        table.c.path,
        table.c.created,
        func.coalesce(table.c.account_id, 0).label("account_id"),
        func.coalesce(accounts.c.name, "").label("account"),
    )
    rows = connection.execute(wanted.outerjoin(accounts).order_by(table.c.name))
    return [Adapter(**row._mapping) for row in rows]


def insert_adapter(connection: Connection, adapter: Adapter) -> bool:
    """Whether the name was free; one that is taken stays as it is."""
    statement = upsert(connection, adapters).values(
        name=adapter.name,
        base=adapter.base,
        path=adapter.path,
        created=adapter.created,
        account_id=adapter.account_id or None,
    )
    statement = statement.on_conflict_do_nothing(index_elements=["name"])
    return bool(connection.execute(statement).rowcount)


def delete_adapter(connection: Connection, name: str) -> bool:
    """Whether it was there."""
    return bool(connection.execute(delete(adapters).where(adapters.c.name == name)).rowcount)


def list_uses(connection: Connection) -> dict[str, int]:
    """When each adapter was used last, as far as houses said so; in seconds since the epoch."""
    wanted = select(adapters.c.name, adapters.c.last_used_at_s)
    return dict(connection.execute(wanted).tuples().all())


def put_uses(connection: Connection, uses_s: Mapping[str, int]) -> None:
    """These adapters were used then, if nobody knows of a later use."""
    table = adapters
    statement = (
        update(table)
        .where(table.c.name == bindparam("used"), table.c.last_used_at_s < bindparam("used_s"))
        .values(last_used_at_s=bindparam("used_s"))
    )
    if uses_s:
        connection.execute(statement, [{"used": n, "used_s": at_s} for n, at_s in uses_s.items()])


def take_turn(connection: Connection, url: str, house: int, *, now_ms: int, until_ms: int) -> bool:
    """Whether the house alone may change what the engine holds until then: no other one's turn
    there goes on."""
    table = adapter_turns
    values = {"url": url, "house": house, "expires_at_ms": until_ms}
    is_free = or_(table.c.house == house, table.c.expires_at_ms <= now_ms)
    statement = upsert(connection, table).values(values)
    statement = statement.on_conflict_do_update(index_elements=["url"], set_=values, where=is_free)
    return bool(connection.execute(statement).rowcount)


def end_turn(connection: Connection, url: str, house: int) -> None:
    """The house's turn there is over; another one's stays."""
    table = adapter_turns
    connection.execute(delete(table).where(table.c.url == url, table.c.house == house))
