"""Who answers a command about accounts: control while the house is up, else the database itself."""

from functools import partial
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from tokenmill import clock
from tokenmill.accounts.errors import AccountNotFound
from tokenmill.accounts.rules import limits_of
from tokenmill.accounts.views import (
    AccountList,
    AccountView,
    ChangeAccount,
    CreateAccount,
    HouseNow,
)
from tokenmill.control_client import ControlClient
from tokenmill.settings import Settings

if TYPE_CHECKING:
    from tokenmill.database.connection import Database

PATH = "/control/dashboard/accounts"


class AccountDesk(Protocol):
    """What a command may ask for. Raises: ApiError, ControlRefused or ControlAway."""

    def create(self, wish: CreateAccount) -> AccountView: ...
    def list(self) -> list[AccountView]: ...
    def find_name(self, name: str) -> AccountView: ...
    def change(self, account_id: int, wish: ChangeAccount) -> AccountView: ...


class ControlDesk:
    """Control answers."""

    def __init__(self, client: ControlClient) -> None:
        self._client = client

    def create(self, wish: CreateAccount) -> AccountView:
        return self._client.post(PATH, wish, AccountView)

    def list(self) -> list[AccountView]:
        return self._client.get(PATH, AccountList).data

    def find_name(self, name: str) -> AccountView:
        found = [account for account in self.list() if account.name == name]
        if not found:
            raise AccountNotFound(f"There is no account called {name!r}.")
        return found[0]

    def change(self, account_id: int, wish: ChangeAccount) -> AccountView:
        return self._client.patch(f"{PATH}/{account_id}", wish, AccountView)


class _Worker(Struct):
    in_flight: int = 0
    waiting: int = 0


class _Status(Struct):
    workers: list[_Worker]


def house_now(answerer: "ControlClient | Database") -> HouseNow | None:
    """How busy the house is; None while it is down. Raises: ControlRefused or ControlAway."""
    if not isinstance(answerer, ControlClient):
        return None
    workers = answerer.get("/control/status", _Status).workers
    return HouseNow(
        in_flight=sum(worker.in_flight for worker in workers),
        waiting=sum(worker.waiting for worker in workers),
    )


def account_desk(settings: Settings, answerer: "ControlClient | Database") -> AccountDesk:
    """The desk of whoever answers."""
    if isinstance(answerer, ControlClient):
        return ControlDesk(answerer)
    from tokenmill.accounts.local_account import ensure_local_account
    from tokenmill.accounts.registry import AccountRegistry

    ensure_local_account(answerer, clock.wall_s())
    return AccountRegistry(
        answerer, partial(limits_of, settings), accounts_max=settings.segment.accounts_max
    )
