"""GET /control/engines and POST /control/engines/{name}/assign, for the command line.

They know an `EngineRegister` and not who keeps it; control wires the two together.
"""

from typing import Protocol

from litestar import get, post
from litestar.handlers.base import BaseRouteHandler

from tokenmill.engines.views import Assignment, EngineList, EngineView


class EngineRegister(Protocol):
    """Who knows the engines and may give them away."""

    def views(self) -> list[EngineView]: ...

    async def assign(self, name: str, account: str | None) -> EngineView:
        """Raises: NotFound, if there is no such engine or account."""


def engine_routes(register: EngineRegister) -> list[BaseRouteHandler]:
    """The handlers, to be placed under /control."""

    @get("/engines", sync_to_thread=False)
    def list_engines() -> EngineList:
        return EngineList(register.views())

    @post("/engines/{name:str}/assign", status_code=200)
    async def assign_engine(name: str, data: Assignment) -> EngineView:
        return await register.assign(name, data.account)

    return [list_engines, assign_engine]
