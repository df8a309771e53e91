"""Moves sums of days that are over to where an account's lie side by side. PostgreSQL alone.

PostgreSQL puts a row where there is room: one hour's sums of all accounts lie together, and a
month of one account is spread over as many blocks as it has sums. A server that has none of them in
memory reads them one by one from its disk. SQLite keeps rows in the order of their key anyway.

Sums that came to their hour late are added to those that were moved before: what is true is always
what both tables say together.
"""

from msgspec import Struct
from sqlalchemy import Connection, Table, delete, func, select, tuple_

from tokenmill.database.statements import upsert
from tokenmill.database.tables import usage_days, usage_hours, usage_past_days, usage_past_hours
from tokenmill.usage.rules import DAY_S, HOUR_S

LATE_S = HOUR_S
"""So long after its end a day is left where it is: nobody adds to it any more, as a rule."""

MOVE_LOCK = 0x746B6D6D
"""Key of PostgreSQL's advisory lock: of houses that share a database one moves at a time."""

PAIRS = ((usage_days, usage_past_days), (usage_hours, usage_past_hours))
"""Where sums come to, and where those of the past go."""


class Moved(Struct, frozen=True):
    """How many sums went, and the account of the last one."""

    count: int
    last_account_id: int


def past_ends_s(now_s: int) -> int:
    """When the first day begins that is not over, or not for long."""
    return (now_s - LATE_S) // DAY_S * DAY_S


def try_to_be_the_mover(connection: Connection) -> bool:
    """False: another house moves at the moment. True holds until the transaction ends."""
    return bool(connection.execute(select(func.pg_try_advisory_xact_lock(MOVE_LOCK))).scalar())


def move_some(
    connection: Connection,
    source: Table,
    target: Table,
    *,
    before_s: int,
    from_account_id: int,
    count_max: int,
) -> Moved:
    """Moves sums of days before `before_s`, by account from `from_account_id` on."""
    key, sums = list(source.primary_key.columns), [each.name for each in source.c]
    time = key[1]
    some = (
        select(*key)
        .where(key[0] >= from_account_id, time < before_s)
        .order_by(*key)
        .limit(count_max)
        .with_for_update()  # in the order in which keepers take them: nobody waits in a circle
        .cte("some")
    )
    chosen = tuple_(*key).in_(select(*some.c))
    gone = delete(source).where(chosen).returning(*source.c).cte("gone")
    places = [each.name for each in key]
    rows = select(*gone.c).order_by(*(gone.c[name] for name in places))
    adding = upsert(connection, target).from_select(sums, rows)
    added = {name: target.c[name] + adding.excluded[name] for name in sums if name not in places}
    adding = adding.on_conflict_do_update(index_elements=places, set_=added)
    moved = adding.returning(target.c.account_id).cte("moved")
    last = func.coalesce(func.max(moved.c.account_id), 0)
    count, last_account_id = connection.execute(select(func.count(), last).select_from(moved)).one()
    return Moved(int(count), int(last_account_id))
