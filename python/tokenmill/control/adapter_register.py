"""The adapters that operators name: in the database first, then in the fleet.

Other houses of the same database learn of them by looking.
"""

import asyncio
import contextlib

from tokenmill.adapters.rules import Adapter, is_held
from tokenmill.adapters.store import delete_adapter, insert_adapter, list_adapters
from tokenmill.adapters.views import AdapterView, AddAdapter
from tokenmill.clock import wall_s
from tokenmill.control.adapter_keeper import AdapterKeeper
from tokenmill.control.keeper import Keeper
from tokenmill.database.connection import Database
from tokenmill.database.errors import DatabaseUnavailable
from tokenmill.errors import Conflict, InvalidRequest, NotFound

LOOK_S = 1.0
"""How soon one house knows what an operator said in another one."""


class HouseAdapters:
    """The register behind the adapters' routes."""

    def __init__(
        self, keeper: Keeper, loader: AdapterKeeper, database: Database, named_max: int
    ) -> None:
        self._keeper = keeper
        self._loader = loader
        self._database = database
        self._named_max = named_max
        self._turn = asyncio.Lock()

    def views(self) -> list[AdapterView]:
        """Every adapter, by name."""
        return [self._view(adapter) for adapter in self._keeper.adapters.values()]

    async def add(self, wish: AddAdapter) -> AdapterView:
        """The adapter, which no engine holds yet. Raises: InvalidRequest, Conflict,
        DatabaseUnavailable."""
        if wish.name == wish.base:
            raise InvalidRequest("An adapter cannot have its base's name.", param="name")
        if wish.name in self._whole_models():
            raise Conflict(f"There is a model called {wish.name}; give the adapter another name.")
        adapter = Adapter(name=wish.name, base=wish.base, path=wish.path, created=wall_s())
        async with self._turn:
            if len(self._keeper.adapters) >= self._named_max:
                raise Conflict(f"There are {self._named_max} adapters: raise adapters.named_max.")
            if not await asyncio.to_thread(self._insert, adapter):
                raise Conflict(f"There is an adapter called {wish.name}; remove it first.")
            await self._look()
        return self._view(adapter)

    async def remove(self, name: str) -> AdapterView:
        """The adapter as it was. What it answers now it finishes. Raises: NotFound,
        DatabaseUnavailable."""
        async with self._turn:
            await self._look()
            adapter = self._keeper.adapters.get(name)
            if adapter is None:
                names = ", ".join(self._keeper.adapters) or "none"
                raise NotFound(f"There is no adapter called {name!r}. There are: {names}.")
            gone = self._view(adapter)
            await asyncio.to_thread(self._delete, name)
            await self._loader.forget(adapter)
            await self._look()
        return gone

    async def follow(self) -> None:
        """Learns for ever what operators say in other houses. Ends by being cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            with contextlib.suppress(DatabaseUnavailable):  # which the ledger's keeper tells of
                async with self._turn:
                    await self._look()

    async def _look(self) -> None:
        found = await asyncio.to_thread(self._list)
        if found != list(self._keeper.adapters.values()):
            self._keeper.name_adapters(found)

    def _view(self, adapter: Adapter) -> AdapterView:
        holders = [
            known.target.name
            for known in self._keeper.known
            if known.watch.state == "serving" and is_held(adapter, known.watch.last.models)
        ]
        is_served = any(route.id == adapter.name for route in self._keeper.fleet.routes)
        idle = "" if is_served else f"no engine that loads adapters serves {adapter.base}"
        return AdapterView(
            name=adapter.name,
            base=adapter.base,
            path=adapter.path,
            created=adapter.created,
            engines=tuple(holders),
            detail=self._loader.detail(adapter.name) or idle,
        )

    def _whole_models(self) -> set[str]:
        return {
            model.id
            for known in self._keeper.known
            for model in known.watch.last.models
            if not model.parent
        }

    def _list(self) -> list[Adapter]:
        with self._database.read() as connection:
            return list_adapters(connection)

    def _insert(self, adapter: Adapter) -> bool:
        with self._database.write() as connection:
            return insert_adapter(connection, adapter)

    def _delete(self, name: str) -> None:
        with self._database.write() as connection:
            delete_adapter(connection, name)
