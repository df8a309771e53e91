"""The engines as control knows them, and the giving of one to an account.

An assignment is written to the database first and then published, so that no fleet says what a
restart would not.
"""

import asyncio

from tokenmill._native import Segment
from tokenmill.accounts.store import find_account
from tokenmill.control.keeper import Keeper, Known
from tokenmill.database.connection import Database
from tokenmill.engines.rules import served_models
from tokenmill.engines.store import Owner, assign_engine, list_owners, release_engine
from tokenmill.engines.views import EngineView
from tokenmill.errors import NotFound


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
        slots = {engine.name: engine.slot for engine in self._keeper.fleet.engines}
        return [
            self._view(known, slots.get(known.target.name))
            for known in self._keeper.known
            if known.is_listed
        ]

    async def assign(self, name: str, account: str | None) -> EngineView:
        """The engine, which is the account's from now on, or everyone's. Raises: NotFound,
        DatabaseUnavailable."""
        if all(view.name != name for view in self.views()):
            known = ", ".join(view.name for view in self.views()) or "none"
            raise NotFound(f"There is no engine called {name!r}. There are: {known}.")
        async with self._turn:
            self._owners = await asyncio.to_thread(self._write, name, account)
            self._keeper.assign({engine: one.account_id for engine, one in self._owners.items()})
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
        )
