"""GET /control/ledger/verification: whether the books are right, for `tokenmill ledger verify`."""

import asyncio

from litestar import get
from litestar.handlers.base import BaseRouteHandler

from tokenmill.billing.verification import Verification, verify_ledger
from tokenmill.control.ledger_keeper import LedgerKeeper
from tokenmill.control.segment_accounts import AccountSegment
from tokenmill.control.wallet_checks import check_wallets
from tokenmill.database.connection import Database


def verification_route(
    database: Database, segment: AccountSegment, keeper: LedgerKeeper
) -> BaseRouteHandler:
    """The handler, to be placed under /control."""

    def verify() -> Verification:
        return verify_ledger(database, [check_wallets(database, segment, keeper)])

    @get("/ledger/verification")
    async def show_verification() -> Verification:
        return await asyncio.to_thread(verify)

    return show_verification
