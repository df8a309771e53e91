"""Money over HTTP: the wallet, its lines, and for operators what goes into it."""

import asyncio
from typing import Annotated

from litestar import get, post
from litestar.handlers.base import BaseRouteHandler
from msgspec import Meta, Struct

from tokenmill.accounts.asking import (
    AnyRequest,
    AskedBy,
    PathNumber,
    account_for,
    account_to_change,
    read_query,
    read_wish,
)
from tokenmill.accounts.endpoints import OfAccount
from tokenmill.accounts.visitor import check_operator
from tokenmill.billing.views import (
    TRANSFERS_MAX,
    AddFunds,
    CreditView,
    RefundFunds,
    TransferList,
    WalletView,
)
from tokenmill.billing.wallets import Wallets
from tokenmill.ids import RowNumber
from tokenmill.protocol.decoding import BodyDecoder

_ADD = BodyDecoder(AddFunds)
_REFUND = BodyDecoder(RefundFunds)


class TransferQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which lines: those before the line `before`, the newest first."""

    account: RowNumber | None = None
    before: RowNumber | None = None
    limit: Annotated[int, Meta(ge=1, le=TRANSFERS_MAX)] = 100


def wallet_routes(wallets: Wallets) -> list[BaseRouteHandler]:
    """`/wallet`, `/transactions`, and `/funds` and `/refunds` of an account."""

    @get("/wallet")
    async def show_wallet(request: AnyRequest, visitor: AskedBy) -> WalletView:
        account_id = account_for(visitor, read_query(request, OfAccount).account)
        return await asyncio.to_thread(wallets.view, account_id)

    @get("/transactions")
    async def list_transfers(request: AnyRequest, visitor: AskedBy) -> TransferList:
        query = read_query(request, TransferQuery)
        account_id = account_for(visitor, query.account)
        return await asyncio.to_thread(
            wallets.transfers, account_id, before_id=query.before, count_max=query.limit
        )

    @post("/accounts/{account_id:int}/funds")
    async def add_funds(
        account_id: PathNumber, request: AnyRequest, visitor: AskedBy
    ) -> CreditView:
        account_to_change(visitor, account_id)
        check_operator(visitor)
        wish = await read_wish(request, _ADD)
        return await asyncio.to_thread(wallets.add, account_id, wish)

    @post("/accounts/{account_id:int}/refunds")
    async def refund(account_id: PathNumber, request: AnyRequest, visitor: AskedBy) -> CreditView:
        account_to_change(visitor, account_id)
        check_operator(visitor)
        wish = await read_wish(request, _REFUND)
        return await asyncio.to_thread(wallets.refund, account_id, wish)

    return [show_wallet, list_transfers, add_funds, refund]
