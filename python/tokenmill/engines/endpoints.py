"""GET and POST /control/engines and what is below it, for the command line.

They know an `EngineRegister` and not who keeps it; control wires the two together.
"""

from typing import Protocol

from litestar import get, post
from litestar.handlers.base import BaseRouteHandler

from tokenmill.engines.views import (
    AddEngine,
    Assignment,
    ChosenEngine,
    EngineList,
    EngineView,
    Joined,
    JoinWish,
)


class EngineRegister(Protocol):
    """Who knows the engines and may give them away."""

    def views(self) -> list[EngineView]: ...

    async def assign(self, name: str, account: str | None) -> EngineView:
        """Raises: NotFound, if there is no such engine or account."""

    async def add(self, wish: AddEngine) -> EngineView:
        """Raises: InvalidRequest, for its URL; Conflict, if there is one at that address."""

    async def remove(self, engine: str) -> EngineView:
        """As it was. Raises: NotFound; Conflict, if nobody added it."""

    async def drain(self, engine: str, *, is_draining: bool) -> EngineView:
        """Takes no new requests from now on, or takes them again. Raises: NotFound."""


class EngineJoiner(Protocol):
    """Who takes engines that register themselves."""

    async def join(self, wish: JoinWish, key_id: int) -> Joined:
        """The lease. Raises: InvalidRequest, for its address or what answers there; Conflict."""


def engine_routes(register: EngineRegister) -> list[BaseRouteHandler]:
    """The handlers, to be placed under /control."""

    @get("/engines", sync_to_thread=False)
    def list_engines() -> EngineList:
        return EngineList(register.views())

    @post("/engines/{name:str}/assign", status_code=200)
    async def assign_engine(name: str, data: Assignment) -> EngineView:
        return await register.assign(name, data.account)

    @post("/engines", status_code=200)
    async def add_engine(data: AddEngine) -> EngineView:
        return await register.add(data)

    @post("/engines/remove", status_code=200)
    async def remove_engine(data: ChosenEngine) -> EngineView:
        return await register.remove(data.engine)

    @post("/engines/drain", status_code=200)
    async def drain_engine(data: ChosenEngine) -> EngineView:
        return await register.drain(data.engine, is_draining=True)

    @post("/engines/undrain", status_code=200)
    async def undrain_engine(data: ChosenEngine) -> EngineView:
        return await register.drain(data.engine, is_draining=False)

    return [list_engines, assign_engine, add_engine, remove_engine, drain_engine, undrain_engine]
