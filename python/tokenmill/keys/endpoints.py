"""The routes of keys: on control's private socket, where no key is asked for, and of the dashboard.

Somebody else's key is not there, whatever is wanted of it.
"""

import asyncio

from litestar import Router, delete, get, post
from litestar.handlers.base import BaseRouteHandler
from litestar.params import FromQuery, JSONBody

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
from tokenmill.accounts.registry import AccountRegistry
from tokenmill.accounts.visitor import check_may_change, check_operator, may_see
from tokenmill.keys.errors import KeyNotFound
from tokenmill.keys.registry import KeyRegistry
from tokenmill.keys.rules import KINDS_OF_OPERATORS
from tokenmill.keys.views import CreateKey, KeyList, KeyView, MadeKey, NewKeyWish, RotateKey
from tokenmill.protocol.decoding import BodyDecoder

_CREATE = BodyDecoder(NewKeyWish)
_ROTATE = BodyDecoder(RotateKey)


def key_routes(registry: KeyRegistry) -> BaseRouteHandler | Router:
    """`/keys` and what is under it. The database is worked on in threads, not on the loop."""

    @get("/")
    async def list_keys(live: FromQuery[bool] = False) -> list[KeyView]:
        return await asyncio.to_thread(registry.list, is_live_only=live)

    @post("/")
    async def create_key(data: JSONBody[CreateKey]) -> MadeKey:
        return await asyncio.to_thread(registry.create, data)

    @post("/{key_id:int}/rotate")
    async def rotate_key(key_id: PathNumber, data: JSONBody[RotateKey]) -> MadeKey:
        return await asyncio.to_thread(registry.rotate, key_id, data)

    @post("/{key_id:int}/revoke", status_code=200)
    async def revoke_key(key_id: PathNumber) -> KeyView:
        return await asyncio.to_thread(registry.revoke, key_id)

    return Router(path="/keys", route_handlers=[list_keys, create_key, rotate_key, revoke_key])


def dashboard_key_routes(
    registry: KeyRegistry, accounts: AccountRegistry
) -> list[BaseRouteHandler]:
    """`/keys` and what is under it, for visitors with a token."""

    def seen_key(key_id: int, visitor: AskedBy) -> KeyView:
        key = registry.find(key_id)
        if not may_see(visitor, key.account_id):
            raise KeyNotFound
        check_may_change(visitor)
        return key

    @get("/keys")
    async def list_keys(request: AnyRequest, visitor: AskedBy) -> KeyList:
        account_id = account_for(visitor, read_query(request, OfAccount).account)
        return KeyList(data=await asyncio.to_thread(registry.list, account_id=account_id))

    @post("/keys")
    async def create_key(request: AnyRequest, visitor: AskedBy) -> MadeKey:
        account_id = account_to_change(visitor, read_query(request, OfAccount).account)
        wish = await read_wish(request, _CREATE)
        if wish.kind in KINDS_OF_OPERATORS:
            check_operator(visitor)
        account = await asyncio.to_thread(accounts.find, account_id)
        return await asyncio.to_thread(registry.create, wish.for_account(account.name))

    @post("/keys/{key_id:int}/rotate")
    async def rotate_key(key_id: PathNumber, request: AnyRequest, visitor: AskedBy) -> MadeKey:
        key = await asyncio.to_thread(seen_key, key_id, visitor)
        if key.kind in KINDS_OF_OPERATORS:
            check_operator(visitor)
        wish = await read_wish(request, _ROTATE)
        return await asyncio.to_thread(registry.rotate, key_id, wish)

    @delete("/keys/{key_id:int}", status_code=200)
    async def revoke_key(key_id: PathNumber, visitor: AskedBy) -> KeyView:
        await asyncio.to_thread(seen_key, key_id, visitor)
        return await asyncio.to_thread(registry.revoke, key_id)

    return [list_keys, create_key, rotate_key, revoke_key]
