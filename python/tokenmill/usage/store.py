"""Usage in the database: rows of settled requests and sums by the hour. Functions work in the
caller's transaction."""

from collections.abc import Mapping, Sequence

from sqlalchemy import (
    Connection,
    Subquery,
    Table,
    delete,
    func,
    or_,
    select,
    tuple_,
    union_all,
)

from tokenmill.database.statements import add_many, in_pieces, insert_many, upsert
from tokenmill.database.tables import (
    marks,
    transfers,
    usage_days,
    usage_hours,
    usage_names,
    usage_past_days,
    usage_past_hours,
    usage_rows,
)
from tokenmill.usage.rules import CLASSES, HourKey, UsageRow, day_sums

_KEPT_FROM = "usage_rows_kept_from_transfer"

_ROW_COLUMNS = ("transfer_id", *UsageRow._fields)
_SUM_COLUMNS = (
    "requests",
    "failed_requests",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "amount_nanos",
)


def add_names(connection: Connection, names: Mapping[int, str]) -> None:
    """Writes down what numbers of models and engines mean."""
    if names:
        statement = upsert(connection, usage_names)
        statement = statement.on_conflict_do_nothing(index_elements=["number"])
        values = [{"number": number, "name": name} for number, name in sorted(names.items())]
        connection.execute(statement, values)


def list_names(connection: Connection) -> dict[int, str]:
    """Names of models and engines by their numbers."""
    return {row.number: row.name for row in connection.execute(select(usage_names))}


def known_tickets(connection: Connection, incarnation: int, tickets: Sequence[int]) -> set[int]:
    """Those of the tickets that have a row already."""
    found: set[int] = set()
    for some in in_pieces(tickets):
        statement = select(usage_rows.c.ticket).where(
            usage_rows.c.incarnation == incarnation, usage_rows.c.ticket.in_(some)
        )
        found.update(connection.execute(statement).scalars())
    return found


def insert_rows(
    connection: Connection,
    rows: Sequence[UsageRow],
    transfers: Mapping[tuple[int, int], int],
) -> None:
    """Adds the rows; `transfers` are those that bill them, by account and class.

    Raises: IntegrityError, if a ticket has a row already.
    """
    insert_many(
        connection,
        usage_rows,
        _ROW_COLUMNS,
        [(transfers[row[2], row[6]], *row) for row in rows],  # by account and class
    )


def add_hours(connection: Connection, sums: Mapping[HourKey, Sequence[int]]) -> None:
    """Adds to the sums by the hour and to those by the day."""
    day_key = ("account_id", "day_s", *HourKey._fields[2:])
    for table, key, some in (
        (usage_hours, HourKey._fields, sums),
        (usage_days, day_key, day_sums(sums)),
    ):
        # In the order of their keys, as books are: writers wait for each other in one direction.
        rows = [(*place, *total) for place, total in sorted(some.items())]
        add_many(connection, table, (*key, *_SUM_COLUMNS), rows, key)


def billed_nanos(connection: Connection, account_id: int) -> int:
    """All that the account was ever billed."""
    days = _both(usage_days, usage_past_days)
    statement = select(func.sum(days.c.amount_nanos)).where(days.c.account_id == account_id)
    return int(connection.execute(statement).scalar_one() or 0)


def summed_hours(connection: Connection) -> dict[tuple[int, str], tuple[int, int]]:
    """Requests and nanos by account and class, of all time."""
    return _summed(connection, _both(usage_hours, usage_past_hours))


def summed_days(connection: Connection) -> dict[tuple[int, str], tuple[int, int]]:
    """The same, from the sums by the day."""
    return _summed(connection, _both(usage_days, usage_past_days))


def _both(table: Table, past: Table) -> Subquery:
    """What both tables say, in one look: a sum that moves in the meantime is seen once."""
    columns = ("account_id", "service_class", "requests", "amount_nanos")
    return union_all(
        *(select(*(each.c[name] for name in columns)) for each in (table, past))
    ).subquery()


def _summed(connection: Connection, sums: Subquery) -> dict[tuple[int, str], tuple[int, int]]:
    place = (sums.c.account_id, sums.c.service_class)
    statement = select(*place, func.sum(sums.c.requests), func.sum(sums.c.amount_nanos)).group_by(
        *place
    )
    rows = connection.execute(statement)
    return {(one, CLASSES[number]): (int(count), int(nanos)) for one, number, count, nanos in rows}


def wrong_rows(connection: Connection, count_max: int) -> tuple[int, list[int]]:
    """How many rows are kept, and some transfers that theirs do not make up. Cost: reads all."""
    first_kept = rows_kept_from(connection)
    summed = (
        select(
            usage_rows.c.transfer_id.label("id"),
            func.count().label("requests"),
            func.sum(usage_rows.c.amount_nanos).label("nanos"),
        )
        .group_by(usage_rows.c.transfer_id)
        .subquery()
    )
    count = connection.execute(select(func.sum(summed.c.requests))).scalar_one()
    statement = (
        select(transfers.c.id)
        .outerjoin(summed, summed.c.id == transfers.c.id)
        .where(
            transfers.c.kind == "usage",
            transfers.c.id >= first_kept,
            or_(
                func.coalesce(summed.c.requests, 0) != transfers.c.requests,
                func.coalesce(summed.c.nanos, 0) != transfers.c.amount_nanos,
            ),
        )
        .limit(count_max)
    )
    return int(count or 0), list(connection.execute(statement).scalars())


def rows_kept_from(connection: Connection) -> int:
    """The first transfer whose rows are all there; those of older ones may be deleted."""
    statement = select(marks.c.value).where(marks.c.name == _KEPT_FROM)
    return int(connection.execute(statement).scalar_one_or_none() or 0)


def keep_rows_from(connection: Connection, transfer_id: int) -> None:
    """Rows of older transfers may be deleted from now on."""
    statement = upsert(connection, marks).values(name=_KEPT_FROM, value=transfer_id)
    changed = {"value": statement.excluded.value}
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=changed))


def forget_rows(connection: Connection, count_max: int) -> int:
    """Deletes rows that need not be kept, at most `count_max`; how many it were."""
    key = (usage_rows.c.incarnation, usage_rows.c.ticket)
    first_kept = rows_kept_from(connection)
    some = select(*key).where(usage_rows.c.transfer_id < first_kept).limit(count_max)
    return int(connection.execute(delete(usage_rows).where(tuple_(*key).in_(some))).rowcount)
