"""The adapters that operators name: in the database first, then in the fleet.

Other houses of the same database learn of them by looking.
"""

import asyncio
import contextlib
from collections.abc import Mapping

from tokenmill.accounts.store import find_account
from tokenmill.adapters.rules import PRIVATE, Adapter, is_held
from tokenmill.adapters.store import (
    delete_adapter,
    insert_adapter,
    list_adapters,
    list_uses,
    put_uses,
)
from tokenmill.adapters.views import AdapterView, AddAdapter
from tokenmill.clock import monotonic_ms, wall_s
from tokenmill.control.adapter_keeper import AdapterKeeper
from tokenmill.control.keeper import Keeper
from tokenmill.database.connection import Database
from tokenmill.database.errors import DatabaseUnavailable
from tokenmill.errors import Conflict, InvalidRequest, NotFound

LOOK_S = 1.0
"""How soon one house knows what an operator said in another one."""

USES_EVERY_S = 2
"""A use is told to other houses that much later than the one told before."""


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
        """The adapter, which no engine holds yet. Raises: InvalidRequest; NotFound, for its
        account; Conflict, DatabaseUnavailable."""
        if wish.name.startswith(PRIVATE):
            raise InvalidRequest(f"A name cannot begin with {PRIVATE}.", param="name")
        if wish.name == wish.base:
            raise InvalidRequest("An adapter cannot have its base's name.", param="name")
        if wish.name in self._whole_models():
            raise Conflict(f"There is a model called {wish.name}; give the adapter another name.")
        async with self._turn:
            if len(self._keeper.adapters) >= self._named_max:
                raise Conflict(f"There are {self._named_max} adapters: raise adapters.named_max.")
            adapter = await asyncio.to_thread(self._insert, wish)
            if adapter is None:
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
                    await self._share_uses()

    async def _look(self) -> None:
        found = await asyncio.to_thread(self._list)
        if found != list(self._keeper.adapters.values()):
            self._keeper.name_adapters(found)

    async def _share_uses(self) -> None:
        """Houses tell each other when they used an adapter last: it is the same one that has to go
        for all of them."""
        now_s, now_ms = wall_s(), monotonic_ms()
        mine = self._loader.own_uses_ms()
        mine_s = {name: now_s - (now_ms - at_ms) // 1_000 for name, at_ms in mine.items()}
        told_s = await asyncio.to_thread(self._exchange_uses, mine_s)
        self._loader.house_uses_ms = {
            name: now_ms - 1_000 * max(0, now_s - at_s) for name, at_s in told_s.items() if at_s
        }

    def _exchange_uses(self, mine_s: Mapping[str, int]) -> dict[str, int]:
        with self._database.read() as connection:
            told_s = list_uses(connection)
        newer = {
            name: at_s
            for name, at_s in mine_s.items()
            if name in told_s and at_s >= told_s[name] + USES_EVERY_S
        }
        if newer:
            with self._database.write() as connection:
                put_uses(connection, newer)
        return told_s

    def _view(self, adapter: Adapter) -> AdapterView:
        holders = [
            known.target.name
            for known in self._keeper.known
            if known.watch.state == "serving" and is_held(adapter, known.watch.last.models)
        ]
        is_served = any(
            (route.id, route.is_loadable) == (adapter.name, True)
            for route in self._keeper.fleet.routes
        )
        idle = "" if is_served else f"no engine that loads adapters serves {adapter.base}"
        return AdapterView(
            name=adapter.name,
            base=adapter.base,
            path=adapter.path,
            created=adapter.created,
            engines=tuple(holders),
            detail=self._loader.detail(adapter.name) or idle,
            account=adapter.account,
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

    def _insert(self, wish: AddAdapter) -> Adapter | None:
        """The adapter, if its name was free. Raises: NotFound."""
        with self._database.write() as connection:
            owner = None if wish.account is None else find_account(connection, wish.account)
            if wish.account is not None and owner is None:
                raise NotFound(f"There is no account called {wish.account!r}.")
            adapter = Adapter(
                name=wish.name,
                base=wish.base,
                path=wish.path,
                created=wall_s(),
                account_id=owner.id if owner else 0,
                account=owner.name if owner else "",
            )
            return adapter if insert_adapter(connection, adapter) else None

    def _delete(self, name: str) -> None:
        with self._database.write() as connection:
            delete_adapter(connection, name)
