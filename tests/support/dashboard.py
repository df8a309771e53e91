"""Control's dashboard routes over a real database, with accounts and tokens to ask with."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from litestar.testing import TestClient

from tokenmill.accounts.registry import AccountRegistry
from tokenmill.accounts.rules import limits_of
from tokenmill.accounts.views import AccountView, CreateAccount
from tokenmill.adapters.endpoints import AdapterRegister
from tokenmill.adapters.views import AdapterView, AddAdapter
from tokenmill.billing.wallets import LedgerRoad, Wallets
from tokenmill.control.app import create_app
from tokenmill.control.dashboard_api import DashboardParts, private_router, public_router
from tokenmill.database.connection import Database
from tokenmill.engines.endpoints import EngineJoiner, EngineRegister
from tokenmill.engines.views import AddEngine, EngineView, Joined, JoinWish
from tokenmill.errors import NotFound
from tokenmill.keys.registry import KeyRegistry
from tokenmill.keys.rules import KeyKind
from tokenmill.keys.views import CreateKey, MadeKey
from tokenmill.keys.visitors import VisitorFinder
from tokenmill.settings import Settings
from tokenmill.usage.reports import UsageReader
from tokenmill.usage.requests import RequestReader


class NoEngines:
    """A register without engines."""

    def views(self) -> list[EngineView]:
        return []

    async def assign(self, name: str, account: str | None) -> EngineView:
        raise NotFound(f"There is no engine called {name!r}.")

    async def add(self, wish: AddEngine) -> EngineView:
        raise NotFound(wish.url)

    async def remove(self, engine: str) -> EngineView:
        raise NotFound(engine)

    async def drain(self, engine: str, *, is_draining: bool) -> EngineView:
        raise NotFound(engine)


class NoAdapters:
    """A register without adapters."""

    def views(self) -> list[AdapterView]:
        return []

    async def add(self, wish: AddAdapter) -> AdapterView:
        raise NotFound(wish.name)

    async def remove(self, name: str) -> AdapterView:
        raise NotFound(name)


class NobodyJoins:
    """Takes no engine."""

    async def join(self, wish: JoinWish, key_id: int) -> Joined:
        raise NotFound(f"{wish.url} of {key_id}")


class Tenant:
    """An account, its tokens, and how it asks."""

    def __init__(self, dashboard: "Dashboard", account: AccountView) -> None:
        self.account = account
        self.id = account.id
        self._dashboard = dashboard
        self.token = self.make("dashboard").secret

    def make(self, kind: KeyKind = "api", **wish: Any) -> MadeKey:
        """A new key of the account."""
        made = CreateKey(account=self.account.name, kind=kind, **wish)
        return self._dashboard.parts.keys.create(made)

    def ask(self, method: str, path: str, token: str | None = None, **options: Any) -> Any:
        """The answer to a request with the account's dashboard token, or another one."""
        headers = {"authorization": f"Bearer {token or self.token}"}
        client = self._dashboard.client
        return client.request(method, f"/api/dashboard{path}", headers=headers, **options)


class Dashboard:
    """The routes, and what answers them."""

    def __init__(
        self,
        database: Database,
        state: Path,
        engines: EngineRegister,
        joiner: EngineJoiner,
        adapters: AdapterRegister,
    ) -> None:
        self.database = database
        self.parts = DashboardParts(
            accounts=AccountRegistry(database, partial(limits_of, Settings()), accounts_max=100),
            keys=KeyRegistry(database, None, state),
            wallets=Wallets(database, LedgerRoad(database)),
            usage=UsageReader(database),
            requests=RequestReader(database),
            engines=engines,
            joiner=joiner,
            adapters=adapters,
        )
        public = public_router(self.parts, VisitorFinder(database))
        app = create_app(admin=[private_router(self.parts)], public=[public])
        self.client: TestClient[Any] = TestClient(app, raise_server_exceptions=False)

    def tenant(self, name: str, tier: str = "free") -> Tenant:
        """A new account."""
        wish = CreateAccount(name=name, tier=tier)  # type: ignore[arg-type]
        return Tenant(self, self.parts.accounts.create(wish))


@contextmanager
def open_dashboard(
    database: Database,
    state: Path,
    engines: EngineRegister | None = None,
    joiner: EngineJoiner | None = None,
    adapters: AdapterRegister | None = None,
) -> Iterator[Dashboard]:
    """The dashboard's routes, served in memory; without `engines`, of a house that has none."""
    dashboard = Dashboard(
        database,
        state,
        engines or NoEngines(),
        joiner or NobodyJoins(),
        adapters or NoAdapters(),
    )
    with dashboard.client:
        yield dashboard
