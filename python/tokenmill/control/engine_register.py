"""The engines as control knows them, and what operators do with them: add, drain, give away.

What is said is written to the database first and then published, so that no fleet says what a
restart would not.
"""

import asyncio
import contextlib

from tokenmill._native import Segment
from tokenmill.accounts.store import find_account
from tokenmill.control.engine_entries import take_entries
from tokenmill.control.engine_metrics import EngineReading
from tokenmill.control.keeper import Keeper
from tokenmill.control.known_engines import Known
from tokenmill.database.connection import Database
from tokenmill.database.errors import DatabaseUnavailable
from tokenmill.engines.address import parse_address
from tokenmill.engines.rules import served_models, standing_of
from tokenmill.engines.store import (
    Entry,
    Owner,
    assign_engine,
    list_entries,
    list_owners,
    put_entry,
    release_engine,
)
from tokenmill.engines.targets import added_target, is_same_place
from tokenmill.engines.views import AddEngine, EngineView
from tokenmill.errors import Conflict, InvalidRequest, NotFound

LOOK_S = 1.0
"""How soon one house knows what an operator said in another one."""

_WHENCE = {
    "ours": "run by this house",
    "named": "named in the settings",
    "joined": "there as long as it renews its lease",
    "kubernetes": "there as long as Kubernetes says so",
    "found": "found on this machine",
}


class HouseEngines:
    """The register behind the engine routes, `/control/status` and the metrics."""

    def __init__(
        self, keeper: Keeper, database: Database, segment: Segment, owners: dict[str, Owner]
    ) -> None:
        self._owners = owners
        self._keeper = keeper
        self._database = database
        self._segment = segment
        self._turn = asyncio.Lock()

    def views(self) -> list[EngineView]:
        """Every engine that was named, started or found, in the order of preference."""
        return [reading.view for reading in self.readings()]

    def readings(self) -> list[EngineReading]:
        """The same, with what metrics are made of."""
        slots = {engine.name: engine.slot for engine in self._keeper.fleet.engines}
        return [
            EngineReading(self._view(known, slot), slot, known.load)
            for known in self._keeper.known
            if known.is_listed
            for slot in (slots.get(known.target.name),)
        ]

    async def follow(self) -> None:
        """Learns for ever what operators say in other houses. Ends by being cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            with contextlib.suppress(DatabaseUnavailable):  # which the ledger's keeper tells of
                await self.look()

    async def look(self) -> None:
        """What operators said, as the database has it now. Raises: DatabaseUnavailable."""
        async with self._turn:
            entries, owners = await asyncio.to_thread(self._read)
            take_entries(self._keeper, entries)
            if owners != self._owners:
                self._owners = owners
                self._keeper.assign({name: one.account_id for name, one in owners.items()})

    async def assign(self, name: str, account: str | None) -> EngineView:
        """The engine, which is the account's from now on, or everyone's. Raises: NotFound,
        DatabaseUnavailable."""
        if account is not None or name not in self._owners:  # one that is away is given back too
            name = self._find(name).target.name
        async with self._turn:
            self._owners = await asyncio.to_thread(self._write, name, account)
            self._keeper.assign({engine: one.account_id for engine, one in self._owners.items()})
        return next((view for view in self.views() if view.name == name), _away(name))

    async def add(self, wish: AddEngine) -> EngineView:
        """The engine that was added, before anybody looked at it. Raises: InvalidRequest, Conflict,
        DatabaseUnavailable."""
        try:
            target = added_target(wish.url, wish.name, wish.api_key, self._keeper.settings.places)
        except ValueError as error:
            raise InvalidRequest(str(error), param="url") from error
        async with self._turn:
            for known in self._keeper.known:
                if known.is_listed and is_same_place(known.target.address, target.address):
                    raise Conflict(f"There is an engine at this address: {known.target.name}.")
                if known.target.name == target.name:
                    raise Conflict(
                        f"There is an engine called {target.name}; give it another name."
                    )
            self._keeper.forget_tried(target.address)
            url = target.address.url
            entry = Entry(url=url, name=target.name, api_key=target.api_key, is_added=True)
            await asyncio.to_thread(self._put, entry)
            self._keeper.add(target)
        return self._named(target.name)

    async def remove(self, engine: str) -> EngineView:
        """The engine as it was. Raises: NotFound, Conflict, DatabaseUnavailable."""
        async with self._turn:
            known = self._find(engine)
            target = known.target
            if target.origin != "added":
                raise Conflict(
                    f"The engine {target.name} was not added: it is {_WHENCE[target.origin]}."
                )
            gone = self._named(target.name)
            entry = Entry(url=target.address.url, name=target.name)
            self._keeper.drain(await asyncio.to_thread(self._put, entry))
            self._keeper.remove(target.name)
        return gone

    async def drain(self, engine: str, *, is_draining: bool) -> EngineView:
        """The engine, which gets no new requests from now on, or gets them again.

        Raises: NotFound, DatabaseUnavailable.
        """
        async with self._turn:
            target = self._find(engine).target
            entry = Entry(
                url=target.address.url,
                name=target.name,
                api_key=target.api_key if target.origin == "added" else "",
                is_added=target.origin == "added",
                is_draining=is_draining,
            )
            self._keeper.drain(await asyncio.to_thread(self._put, entry))
        return self._named(target.name)

    def _read(self) -> tuple[list[Entry], dict[str, Owner]]:
        with self._database.read() as connection:
            return list_entries(connection), list_owners(connection)

    def _put(self, entry: Entry) -> list[str]:
        """Writes the entry; the addresses of all engines that drain."""
        with self._database.write() as connection:
            put_entry(connection, entry)
            return [each.url for each in list_entries(connection) if each.is_draining]

    def _find(self, engine: str) -> Known:
        """The engine of this name or URL. Raises: NotFound."""
        listed = [known for known in self._keeper.known if known.is_listed]
        try:
            url = parse_address(engine).url
        except ValueError:
            url = ""
        for known in listed:
            if engine == known.target.name or url == known.target.address.url:
                return known
        names = ", ".join(known.target.name for known in listed) or "none"
        raise NotFound(f"There is no engine called {engine!r}. There are: {names}.")

    def _named(self, name: str) -> EngineView:
        return next(view for view in self.views() if view.name == name)

    def _write(self, name: str, account: str | None) -> dict[str, Owner]:
        with self._database.write() as connection:
            if account is None:
                release_engine(connection, name)
            else:
                found = find_account(connection, account)
                if found is None:
                    raise NotFound(f"There is no account called {account!r}.")
                assign_engine(connection, name, found.id)
            return list_owners(connection)

    def _view(self, known: Known, slot: int | None) -> EngineView:
        watched = known.watch
        report = self._keeper.report(known)
        owner = self._owners.get(report.name)
        health = None if slot is None else self._segment.engine_health(slot)
        return EngineView(
            name=report.name,
            url=report.url,
            kind=report.kind,
            state=report.state,
            version=report.version,
            models=tuple(model.id for model in served_models(watched)),
            account=owner.account if owner else "",
            detail=watched.detail,
            origin=known.target.origin,
            in_flight=0 if slot is None else self._segment.engine_in_flight(slot),
            is_draining=report.is_draining,
            fault=health.cause if health else "",
            standing=standing_of(
                report.state,
                is_draining=report.is_draining,
                health=health.standing if health else "",
            ),
        )


def _away(name: str) -> EngineView:
    """An engine that is in no list."""
    return EngineView(
        name=name,
        url="",
        kind="vllm",
        state="gone",
        version="",
        models=(),
        account="",
        detail="in no list",
        origin="",
        in_flight=0,
        standing="gone",
    )
