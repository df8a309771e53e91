"""POST /control/adapters/load, for workers. What operators say of adapters comes by the dashboard's
routes; control wires both to who knows."""

from typing import Protocol

from litestar import post
from litestar.handlers.base import BaseRouteHandler

from tokenmill.adapters.views import AdapterView, AddAdapter, Held, LoadWish


class AdapterRegister(Protocol):
    """Who knows the adapters."""

    def views(self) -> list[AdapterView]: ...

    async def add(self, wish: AddAdapter) -> AdapterView:
        """Raises: InvalidRequest; Conflict, if its name is taken."""

    async def remove(self, name: str) -> AdapterView:
        """As it was. Raises: NotFound."""


class AdapterHosts(Protocol):
    """Who loads them."""

    async def ensure(self, wish: LoadWish) -> Held:
        """Raises: ModelNotFound, EnginesAway, ModelLoading, AdapterFailed, ServiceUnavailable."""


def load_route(hosts: AdapterHosts) -> BaseRouteHandler:
    """The handler, to be placed under /control."""

    @post("/adapters/load", status_code=200)
    async def load_adapter(data: LoadWish) -> Held:
        return await hosts.ensure(data)

    return load_adapter
