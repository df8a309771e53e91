"""The routes under /api/dashboard, and the same ones for this machine's command line.

A visitor is whoever's token the request brings; on the private socket it is the local operator.
"""

import asyncio

from litestar import Router, get, post
from litestar.di import Provide
from litestar.handlers.base import BaseRouteHandler
from litestar.params import FromPath
from msgspec import Struct

from tokenmill.accounts.asking import AnyRequest, AskedBy, read_wish
from tokenmill.accounts.endpoints import account_routes
from tokenmill.accounts.registry import AccountRegistry
from tokenmill.accounts.visitor import LOCAL_OPERATOR, Visitor, check_operator
from tokenmill.adapters.endpoints import AdapterRegister
from tokenmill.adapters.views import AdapterList, AdapterView, AddAdapter, ChosenAdapter
from tokenmill.billing.endpoints import wallet_routes
from tokenmill.billing.wallets import Wallets
from tokenmill.engines.endpoints import EngineJoiner, EngineRegister
from tokenmill.engines.views import (
    AddEngine,
    Assignment,
    ChosenEngine,
    EngineList,
    EngineView,
    Joined,
    JoinWish,
)
from tokenmill.keys.endpoints import dashboard_key_routes
from tokenmill.keys.registry import KeyRegistry
from tokenmill.keys.visitors import VisitorFinder
from tokenmill.protocol.decoding import BodyDecoder
from tokenmill.usage.endpoints import usage_routes
from tokenmill.usage.reports import UsageReader
from tokenmill.usage.requests import RequestReader

PUBLIC_PATH = "/api/dashboard"
PRIVATE_PATH = "/dashboard"

_ASSIGN = BodyDecoder(Assignment)
_ADD = BodyDecoder(AddEngine)
_CHOSEN = BodyDecoder(ChosenEngine)
_JOIN = BodyDecoder(JoinWish)
_ADD_ADAPTER = BodyDecoder(AddAdapter)
_CHOSEN_ADAPTER = BodyDecoder(ChosenAdapter)


class DashboardParts(Struct, frozen=True, kw_only=True):
    """Who answers for what."""

    accounts: AccountRegistry
    keys: KeyRegistry
    wallets: Wallets
    usage: UsageReader
    requests: RequestReader
    engines: EngineRegister
    joiner: EngineJoiner
    adapters: AdapterRegister


def public_router(parts: DashboardParts, finder: VisitorFinder) -> Router:
    """The routes for whoever has a token."""

    async def find_visitor(request: AnyRequest) -> Visitor:
        authorization = request.headers.get("authorization")
        return await asyncio.to_thread(finder.find, authorization)

    @post("/engines/join", status_code=200)
    async def join_engine(request: AnyRequest) -> Joined:
        authorization = request.headers.get("authorization")
        key_id = await asyncio.to_thread(finder.find_engine, authorization)
        return await parts.joiner.join(await read_wish(request, _JOIN), key_id)

    return _router(PUBLIC_PATH, parts, Provide(find_visitor), join_engine)


def private_router(parts: DashboardParts) -> Router:
    """The same routes, to be placed under /control."""

    async def local_operator() -> Visitor:
        return LOCAL_OPERATOR

    return _router(PRIVATE_PATH, parts, Provide(local_operator))


def _router(path: str, parts: DashboardParts, visitor: Provide, *more: BaseRouteHandler) -> Router:
    handlers: list[BaseRouteHandler] = [
        *more,
        *account_routes(parts.accounts),
        *dashboard_key_routes(parts.keys, parts.accounts),
        *wallet_routes(parts.wallets),
        *usage_routes(parts.usage, parts.requests),
        *_engine_routes(parts.engines),
        *_adapter_routes(parts.adapters),
    ]
    return Router(path=path, route_handlers=handlers, dependencies={"visitor": visitor})


def _engine_routes(register: EngineRegister) -> list[BaseRouteHandler]:
    @get("/engines")
    async def list_engines(visitor: AskedBy) -> EngineList:
        check_operator(visitor)
        return EngineList(register.views())

    @post("/engines/{name:str}/assign", status_code=200)
    async def assign_engine(
        name: FromPath[str], request: AnyRequest, visitor: AskedBy
    ) -> EngineView:
        check_operator(visitor)
        wish = await read_wish(request, _ASSIGN)
        return await register.assign(name, wish.account)

    @post("/engines", status_code=200)
    async def add_engine(request: AnyRequest, visitor: AskedBy) -> EngineView:
        check_operator(visitor)
        return await register.add(await read_wish(request, _ADD))

    return [list_engines, assign_engine, add_engine, *_engine_changes(register)]


def _adapter_routes(register: AdapterRegister) -> list[BaseRouteHandler]:
    @get("/adapters")
    async def list_adapters(visitor: AskedBy) -> AdapterList:
        check_operator(visitor)
        return AdapterList(register.views())

    @post("/adapters", status_code=200)
    async def add_adapter(request: AnyRequest, visitor: AskedBy) -> AdapterView:
        check_operator(visitor)
        return await register.add(await read_wish(request, _ADD_ADAPTER))

    @post("/adapters/remove", status_code=200)
    async def remove_adapter(request: AnyRequest, visitor: AskedBy) -> AdapterView:
        check_operator(visitor)
        return await register.remove((await read_wish(request, _CHOSEN_ADAPTER)).name)

    return [list_adapters, add_adapter, remove_adapter]


def _engine_changes(register: EngineRegister) -> list[BaseRouteHandler]:
    @post("/engines/remove", status_code=200)
    async def remove_engine(request: AnyRequest, visitor: AskedBy) -> EngineView:
        check_operator(visitor)
        return await register.remove((await read_wish(request, _CHOSEN)).engine)

    @post("/engines/drain", status_code=200)
    async def drain_engine(request: AnyRequest, visitor: AskedBy) -> EngineView:
        check_operator(visitor)
        chosen = await read_wish(request, _CHOSEN)
        return await register.drain(chosen.engine, is_draining=True)

    @post("/engines/undrain", status_code=200)
    async def undrain_engine(request: AnyRequest, visitor: AskedBy) -> EngineView:
        check_operator(visitor)
        chosen = await read_wish(request, _CHOSEN)
        return await register.drain(chosen.engine, is_draining=False)

    return [remove_engine, drain_engine, undrain_engine]
