"""The routes of keys on control's private socket. No key is asked for: the socket is private."""

import asyncio

from litestar import Router, get, post
from litestar.handlers.base import BaseRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody

from tokenmill.keys.registry import KeyRegistry
from tokenmill.keys.views import CreateKey, KeyView, MadeKey, RotateKey


def key_routes(registry: KeyRegistry) -> BaseRouteHandler | Router:
    """`/keys` and what is under it. The database is worked on in threads, not on the loop."""

    @get("/")
    async def list_keys(live: FromQuery[bool] = False) -> list[KeyView]:
        return await asyncio.to_thread(registry.list, is_live_only=live)

    @post("/")
    async def create_key(data: JSONBody[CreateKey]) -> MadeKey:
        return await asyncio.to_thread(registry.create, data)

    @post("/{key_id:int}/rotate")
    async def rotate_key(key_id: FromPath[int], data: JSONBody[RotateKey]) -> MadeKey:
        return await asyncio.to_thread(registry.rotate, key_id, data)

    @post("/{key_id:int}/revoke", status_code=200)
    async def revoke_key(key_id: FromPath[int]) -> KeyView:
        return await asyncio.to_thread(registry.revoke, key_id)

    return Router(path="/keys", route_handlers=[list_keys, create_key, rotate_key, revoke_key])
