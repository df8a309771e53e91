"""Settled requests one by one: what each was, cost, and which line of the ledger bills it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Select, select

from tokenmill.database.connection import Database
from tokenmill.database.tables import usage_names, usage_rows
from tokenmill.errors import NotFound
from tokenmill.money import dollars_text
from tokenmill.usage.rules import (
    CLASSES,
    ENDPOINTS,
    IS_RESCUED,
    IS_STREAM,
    IS_USAGE_KNOWN,
)
from tokenmill.usage.views import REQUEST_ID, RequestList, RequestView


class RequestNotFound(NotFound):
    """No settled request has this id. It may be under way still, or be older than rows are kept."""

    code = "request_not_found"


class RequestReader:
    """Looks settled requests up; from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, request_id: str, account_id: int | None) -> RequestView:
        """The request, of that account; None: of any. Raises: RequestNotFound."""
        found = REQUEST_ID.fullmatch(request_id)
        if found is None:
            raise RequestNotFound
        statement = _select().where(usage_rows.c.request_id == bytes.fromhex(found[1]))
        if account_id is not None:
            statement = statement.where(usage_rows.c.account_id == account_id)
        rows = self._read(statement.order_by(usage_rows.c.ended_at_ms.desc()).limit(1))
        if not rows:
            raise RequestNotFound
        return rows[0]

    def recent(
        self, account_id: int, *, before_ms: int | None = None, count_max: int = 50
    ) -> RequestList:
        """The account's requests, the last ended first, ended before `before_ms`. Of those that
        ended in one millisecond all are on a page, or none: it may be shorter, or even longer."""
        mine = _select().where(usage_rows.c.account_id == account_id)
        statement = mine
        if before_ms is not None:
            statement = statement.where(usage_rows.c.ended_at_ms < before_ms)
        rows = self._read(statement.order_by(usage_rows.c.ended_at_ms.desc()).limit(count_max + 1))
        if len(rows) <= count_max:
            return RequestList(data=rows, next_before=None)
        cut_ms = rows[count_max].ended_at_ms
        page = [row for row in rows if row.ended_at_ms > cut_ms]
        if not page:
            page = self._read(mine.where(usage_rows.c.ended_at_ms == cut_ms))
        return RequestList(data=page, next_before=page[-1].ended_at_ms)

    def _read(self, statement: Select[Any]) -> list[RequestView]:
        with self._database.read() as connection:
            return [_view(row) for row in connection.execute(statement).all()]


def _select() -> Select[Any]:
    model, engine = usage_names.alias("model_names"), usage_names.alias("engine_names")
    return (
        select(usage_rows, model.c.name.label("model_name"), engine.c.name.label("engine_name"))
        .outerjoin(model, model.c.number == usage_rows.c.model)
        .outerjoin(engine, engine.c.number == usage_rows.c.engine)
    )


def _view(row: Row[Any]) -> RequestView:
    return RequestView(
        id=f"req_{row.request_id.hex()}",
        account_id=row.account_id,
        key=row.key_id,
        model=row.model_name or f"#{row.model}",
        engine=row.engine_name or "",
        class_=_name(CLASSES, row.service_class),
        endpoint=_name(ENDPOINTS, row.endpoint),
        status=row.status,
        is_stream=bool(row.flags & IS_STREAM),
        is_usage_known=bool(row.flags & IS_USAGE_KNOWN),
        is_rescued=bool(row.flags & IS_RESCUED),
        began_at_ms=row.began_at_ms,
        ended_at_ms=row.ended_at_ms,
        first_byte_after_ms=None if row.first_byte_ms < 0 else row.first_byte_ms,
        ended_after_ms=row.duration_ms,
        prompt_tokens=row.prompt_tokens,
        completion_tokens=row.completion_tokens,
        cached_tokens=row.cached_tokens,
        prompt_price_nanos=row.prompt_price_nanos,
        completion_price_nanos=row.completion_price_nanos,
        cached_price_nanos=row.cached_price_nanos,
        reserved_nanos=row.reserved_nanos,
        cost_nanos=row.amount_nanos,
        cost=dollars_text(row.amount_nanos),
        transfer_id=row.transfer_id,
    )


def _name(names: Sequence[str], number: int) -> str:
    return names[number] if number < len(names) else f"#{number}"
