"""Questions about usage, answered from the sums by the hour and by the day. Blocks; one account at
a time.

Whole days are read from the sums by the day, what is left before and after them from those by the
hour: a month of a busy account has two dozen times as many of these. Sums of the past have tables
of their own: both are asked, in one snapshot, since a sum may be in either or partly in each.
"""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Table,
    cast,
    func,
    literal,
    select,
)

from tokenmill import clock
from tokenmill.database.connection import Database
from tokenmill.database.statements import fetch_numbers, in_pieces
from tokenmill.database.tables import (
    keys,
    usage_days,
    usage_hours,
    usage_names,
    usage_past_days,
    usage_past_hours,
)
from tokenmill.errors import InvalidRequest
from tokenmill.money import dollars_text
from tokenmill.usage.periods import period_start, shown_time, span_of
from tokenmill.usage.rules import CLASSES, DAY_S, ENDPOINTS
from tokenmill.usage.views import (
    DIMENSIONS,
    LINES_MAX,
    Dimension,
    UsageLine,
    UsageQuery,
    UsageReport,
    UsageTotal,
)

_SUMS = (
    "requests",
    "failed_requests",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "amount_nanos",
)
_COLUMNS = {
    "model": "model",
    "key": "key_id",
    "class": "service_class",
    "endpoint": "endpoint",
}

_HOURS = (usage_past_hours, usage_hours)
_DAYS = (usage_past_days, usage_days)

Numbers = Sequence[Any]
Sums = list[int]


class UsageReader:
    """Reports of usage; from any thread."""

    def __init__(self, database: Database, *, now_s: Callable[[], int] = clock.wall_s) -> None:
        self._database = database
        self._now_s = now_s

    def report(self, account_id: int, query: UsageQuery) -> UsageReport:
        """Sums by period and the dimensions asked for, oldest first.

        Raises: InvalidRequest, DatabaseUnavailable.
        """
        group = parse_group(query.group)
        begin_s, end_s = span_of(query, self._now_s())
        rows: list[Numbers] = []
        with self._database.snapshot() as connection:
            for source in _sources(query, begin_s, end_s):
                statement = _statement(account_id, query, group, source)
                rows += fetch_numbers(connection, statement)
            names = _Names(connection, rows, group)
        sums = _merged(rows, query, group, begin_s)
        if len(sums) > LINES_MAX:
            raise InvalidRequest(
                f"The report has more than {LINES_MAX} lines: ask for a shorter span, a coarser"
                " `by` or fewer dimensions in `group`.",
                param="by",
            )
        by = "hour" if query.by == "total" else query.by
        shown = {start_s: shown_time(start_s, by) for start_s in {key[0] for key in sums}}
        lines = [
            _line(names, group, key, total, start=shown[key[0]]) for key, total in sums.items()
        ]
        return UsageReport(
            account_id=account_id,
            from_=shown_time(begin_s, "hour"),
            to=shown_time(end_s, "hour"),
            by=query.by,
            group=group,
            data=lines,
            total=_total(list(sums.values())),
        )


def parse_group(text: str) -> list[Dimension]:
    """The dimensions in `text`. Raises: InvalidRequest."""
    wanted = [part for part in text.split(",") if part]
    unknown = [part for part in wanted if part not in DIMENSIONS]
    if unknown:
        listed = ", ".join(DIMENSIONS)
        message = f"There is no dimension '{unknown[0]}'; there are {listed}."
        raise InvalidRequest(message, param="group")
    return [each for each in DIMENSIONS if each in wanted]


class _Source(Struct, frozen=True):
    """Sums of a table and a span of it."""

    table: Table
    begin_s: int
    end_s: int

    @property
    def time(self) -> ColumnElement[int]:
        """The beginning of what a sum is of."""
        columns = self.table.c
        return columns.hour_s if "hour_s" in columns else columns.day_s


def _sources(query: UsageQuery, begin_s: int, end_s: int) -> list[_Source]:
    """Where the span is read from, oldest first."""
    first_s, last_s = -(-begin_s // DAY_S) * DAY_S, end_s // DAY_S * DAY_S
    if query.by == "hour" or first_s >= last_s:
        spans = [(_HOURS, begin_s, end_s)]
    else:
        spans = [(_HOURS, begin_s, first_s), (_DAYS, first_s, last_s), (_HOURS, last_s, end_s)]
    return [
        _Source(table, begin_s, end_s)
        for tables, begin_s, end_s in spans
        if begin_s < end_s
        for table in tables
    ]


def _statement(
    account_id: int, query: UsageQuery, group: Sequence[str], source: _Source
) -> Select[Any]:
    columns, time = source.table.c, source.time
    start: ColumnElement[Any] = literal(0) if query.by == "total" else time
    chosen = [start.label("start"), *(columns[_COLUMNS[each]] for each in group)]
    # PostgreSQL's own sum is a decimal, which takes ten times as long to read.
    sums = [cast(func.sum(columns[name]), BigInteger).label(name) for name in _SUMS]
    statement = select(*chosen, *sums)
    statement = statement.where(
        columns.account_id == account_id, time >= source.begin_s, time < source.end_s
    )
    if query.model is not None:
        known = select(usage_names.c.number).where(usage_names.c.name == query.model)
        statement = statement.where(columns.model.in_(known))
    if query.key is not None:
        statement = statement.where(columns.key_id == query.key)
    if query.class_ is not None:
        statement = statement.where(columns.service_class == CLASSES.index(query.class_))
    if query.endpoint is not None:
        statement = statement.where(columns.endpoint == ENDPOINTS.index(query.endpoint))
    places = [start] if query.by != "total" else []
    places += [columns[_COLUMNS[each]] for each in group]
    if places:
        statement = statement.group_by(*places).order_by(*places)
    return statement.limit(LINES_MAX + 1)


def _merged(
    rows: Sequence[Numbers], query: UsageQuery, group: Sequence[str], begin_s: int
) -> dict[tuple[int, ...], Sums]:
    """Sums by period and dimensions, in their order; a month is put together from its days, a day
    that is not whole from its hours."""
    found: dict[tuple[int, ...], Sums] = {}
    width = 1 + len(group)
    starts: dict[int, int] = {}  # a month of hours has 720 moments and may have 20,000 rows
    for row in rows:
        values = list(row[width:])
        if not values[0]:
            continue  # a sum of nothing
        moment = row[0]
        start = starts.get(moment)
        if start is None:
            start = begin_s if query.by == "total" else period_start(moment, query.by)
            starts[moment] = start
        key = (start, *row[1:width])
        total = found.get(key)
        found[key] = (
            values if total is None else [a + b for a, b in zip(total, values, strict=True)]
        )
    return dict(sorted(found.items()))


class _Names:
    """What the numbers of a report are called."""

    def __init__(
        self, connection: Connection, rows: Sequence[Numbers], group: Sequence[str]
    ) -> None:
        self.models: dict[int, str] = {}
        self.keys: dict[int, str] = {}
        if "model" in group:
            self.models = {row.number: row.name for row in connection.execute(select(usage_names))}
        if "key" in group:
            at = 1 + list(group).index("key")
            wanted = {int(row[at]) for row in rows}
            for some in in_pieces(sorted(wanted)):
                named = select(keys.c.id, keys.c.name).where(keys.c.id.in_(some))
                self.keys |= {row.id: row.name for row in connection.execute(named)}


def _line(
    names: _Names, group: Sequence[str], key: tuple[int, ...], total: Sums, *, start: str
) -> UsageLine:
    place = dict(zip(group, key[1:], strict=True))
    model, key_id = place.get("model"), place.get("key")
    return UsageLine(
        start=start,
        model=None if model is None else names.models.get(model, f"#{model}"),
        key=key_id,
        key_name=None if key_id is None else names.keys.get(key_id, ""),
        class_=CLASSES[place["class"]] if "class" in place else None,
        endpoint=ENDPOINTS[place["endpoint"]] if "endpoint" in place else None,
        requests=total[0],
        failed_requests=total[1],
        prompt_tokens=total[2],
        completion_tokens=total[3],
        cached_tokens=total[4],
        cost_nanos=total[5],
        cost=dollars_text(total[5]),
    )


def _total(sums: Sequence[Sums]) -> UsageTotal:
    total = [sum(column) for column in zip(*sums, strict=True)] or [0] * len(_SUMS)
    return UsageTotal(
        requests=total[0],
        failed_requests=total[1],
        prompt_tokens=total[2],
        completion_tokens=total[3],
        cached_tokens=total[4],
        cost_nanos=total[5],
        cost=dollars_text(total[5]),
    )
