"""Usage over HTTP: reports as JSON or CSV, and settled requests."""

import asyncio
from typing import Annotated

from litestar import Response, get
from litestar.handlers.base import BaseRouteHandler
from litestar.params import FromPath
from msgspec import Meta, Struct

from tokenmill.accounts.asking import AnyRequest, AskedBy, account_for, read_query
from tokenmill.ids import RowNumber
from tokenmill.usage.csv_text import csv_text
from tokenmill.usage.reports import UsageReader
from tokenmill.usage.requests import RequestReader
from tokenmill.usage.views import RequestList, RequestView, UsageQuery, UsageReport

REQUESTS_MAX = 500


class RequestQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which requests: those that ended before `before` (milliseconds), the last first."""

    account: RowNumber | None = None
    before: RowNumber | None = None
    limit: Annotated[int, Meta(ge=1, le=REQUESTS_MAX)] = 50


def usage_routes(usage: UsageReader, requests: RequestReader) -> list[BaseRouteHandler]:
    """`/usage` and `/requests`."""

    @get("/usage")
    async def show_usage(request: AnyRequest, visitor: AskedBy) -> UsageReport | Response[str]:
        query = read_query(request, UsageQuery)
        account_id = account_for(visitor, query.account)
        report = await asyncio.to_thread(usage.report, account_id, query)
        if query.format == "json":
            return report
        name = f'attachment; filename="usage-{account_id}.csv"'
        text = await asyncio.to_thread(csv_text, report)
        return Response(
            text, media_type="text/csv; charset=utf-8", headers={"content-disposition": name}
        )

    @get("/requests")
    async def list_requests(request: AnyRequest, visitor: AskedBy) -> RequestList:
        query = read_query(request, RequestQuery)
        account_id = account_for(visitor, query.account)
        return await asyncio.to_thread(
            requests.recent, account_id, before_ms=query.before, count_max=query.limit
        )

    @get("/requests/{request_id:str}")
    async def show_request(request_id: FromPath[str], visitor: AskedBy) -> RequestView:
        account_id = None if visitor.is_operator else visitor.account_id
        return await asyncio.to_thread(requests.find, request_id, account_id)

    return [show_usage, list_requests, show_request]
