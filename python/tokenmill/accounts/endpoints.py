"""Accounts over HTTP: one's own, and for operators all of them."""

import asyncio

from litestar import get, patch, post
from litestar.handlers.base import BaseRouteHandler
from msgspec import Struct

from tokenmill.accounts.asking import (
    AnyRequest,
    AskedBy,
    PathNumber,
    account_for,
    account_to_change,
    read_query,
    read_wish,
)
from tokenmill.accounts.limits import LimitsView
from tokenmill.accounts.registry import AccountRegistry
from tokenmill.accounts.views import AccountList, AccountView, ChangeAccount, CreateAccount
from tokenmill.accounts.visitor import check_operator
from tokenmill.ids import RowNumber
from tokenmill.protocol.decoding import BodyDecoder

_CREATE = BodyDecoder(CreateAccount)
_CHANGE = BodyDecoder(ChangeAccount)


class OfAccount(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose it is; left out: the token's own account."""

    account: RowNumber | None = None


def account_routes(registry: AccountRegistry) -> list[BaseRouteHandler]:
    """`/account`, `/accounts` and `/limits`."""

    @get("/account")
    async def show_own(request: AnyRequest, visitor: AskedBy) -> AccountView:
        account_id = account_for(visitor, read_query(request, OfAccount).account)
        return await asyncio.to_thread(registry.find, account_id)

    @get("/limits")
    async def show_limits(request: AnyRequest, visitor: AskedBy) -> LimitsView:
        account_id = account_for(visitor, read_query(request, OfAccount).account)
        return (await asyncio.to_thread(registry.find, account_id)).limits

    @get("/accounts")
    async def list_accounts(visitor: AskedBy) -> AccountList:
        check_operator(visitor)
        return AccountList(data=await asyncio.to_thread(registry.list))

    @post("/accounts")
    async def create_account(request: AnyRequest, visitor: AskedBy) -> AccountView:
        check_operator(visitor)
        wish = await read_wish(request, _CREATE)
        return await asyncio.to_thread(registry.create, wish)

    @get("/accounts/{account_id:int}")
    async def show_account(account_id: PathNumber, visitor: AskedBy) -> AccountView:
        return await asyncio.to_thread(registry.find, account_for(visitor, account_id))

    @patch("/accounts/{account_id:int}")
    async def change_account(
        account_id: PathNumber, request: AnyRequest, visitor: AskedBy
    ) -> AccountView:
        account_to_change(visitor, account_id)
        check_operator(visitor)
        wish = await read_wish(request, _CHANGE)
        return await asyncio.to_thread(registry.change, account_id, wish)

    return [show_own, show_limits, list_accounts, create_account, show_account, change_account]
