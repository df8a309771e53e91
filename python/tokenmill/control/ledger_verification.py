"""GET /control/ledger/verification: whether the books are right, for `tokenmill ledger verify`."""

import asyncio
from collections.abc import Callable

from litestar import get
from litestar.handlers.base import BaseRouteHandler

from tokenmill.billing.verification import Check, Verification, verify_ledger
from tokenmill.database.connection import Database


def verification_route(database: Database, check_wallets: Callable[[], Check]) -> BaseRouteHandler:
    """The handler, to be placed under /control."""

    def verify() -> Verification:
        return verify_ledger(database, [check_wallets()])

    @get("/ledger/verification")
    async def show_verification() -> Verification:
        return await asyncio.to_thread(verify)

    return show_verification
