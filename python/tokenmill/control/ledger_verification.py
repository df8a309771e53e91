"""GET /control/ledger/verification: whether the books are right, for `tokenmill ledger verify`."""

import asyncio

from litestar import get
from litestar.handlers.base import BaseRouteHandler

from tokenmill.billing.verification import Verification, verify_ledger
from tokenmill.database.connection import Database


def verification_route(database: Database) -> BaseRouteHandler:
    """The handler, to be placed under /control."""

    @get("/ledger/verification")
    async def show_verification() -> Verification:
        return await asyncio.to_thread(verify_ledger, database, [])

    return show_verification
