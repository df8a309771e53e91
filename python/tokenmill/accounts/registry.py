"""What happens to accounts: database first, then the hot segment, so that a restart says the same.

Control has one registry; a command that works while the house is down has one that publishes
nothing.
"""

import threading
from collections.abc import Callable

from msgspec import UNSET
from msgspec.structs import replace
from sqlalchemy.exc import IntegrityError

from tokenmill import clock
from tokenmill.accounts import prices, store
from tokenmill.accounts.errors import (
    AccountExists,
    AccountNotFound,
    TooManyAccounts,
    TooManyPrices,
)
from tokenmill.accounts.limits import limits_view
from tokenmill.accounts.rules import AccountLimits, tier_name
from tokenmill.accounts.store import Account
from tokenmill.accounts.views import AccountView, ChangeAccount, CreateAccount
from tokenmill.database.connection import Database

Publish = Callable[[Account], None]

PRICES_MAX = 1_000
"""Prices of one account's own."""


class AccountRegistry:
    """Makes, lists and changes accounts; from any thread, one change after the other."""

    def __init__(
        self,
        database: Database,
        tier_limits: Callable[[str], AccountLimits],
        publish: Publish = lambda _: None,
        *,
        accounts_max: int,
        now_s: Callable[[], int] = clock.wall_s,
    ) -> None:
        """`accounts_max`: the room of the hot segment; account numbers are below it."""
        self._accounts_max = accounts_max
        self._database = database
        self._tier_limits = tier_limits
        self._publish = publish
        self._now_s = now_s
        self._turn = threading.Lock()

    def create(self, wish: CreateAccount) -> AccountView:
        """A new account. Raises: AccountExists, TooManyAccounts, DatabaseUnavailable."""
        tier = tier_name(wish.tier)
        with self._turn:
            try:
                with self._database.write() as connection:
                    account = store.insert_account(connection, wish.name, tier, self._now_s())
                    if account.id >= self._accounts_max:
                        raise TooManyAccounts  # and it is not made: no start could load it
            except IntegrityError as error:
                message = f"There is an account called {wish.name!r} already."
                raise AccountExists(message, param="name") from error
            self._publish(account)
        return self._view(account, {})

    def list(self) -> list[AccountView]:
        """All accounts, oldest first. Raises: DatabaseUnavailable."""
        with self._database.read() as connection:
            found, owned = store.list_accounts(connection), prices.list_prices(connection)
        return [self._view(account, owned.get(account.id, {})) for account in found]

    def find(self, account_id: int) -> AccountView:
        """The account with this number. Raises: AccountNotFound, DatabaseUnavailable."""
        account = self._known(account_id)
        with self._database.read() as connection:
            return self._view(account, prices.prices_of(connection, account.id))

    def find_name(self, name: str) -> AccountView:
        """The account of this name. Raises: AccountNotFound, DatabaseUnavailable."""
        with self._database.read() as connection:
            account = store.find_account(connection, name)
            if account is None:
                raise AccountNotFound(f"There is no account called {name!r}.")
            return self._view(account, prices.prices_of(connection, account.id))

    def change(self, account_id: int, wish: ChangeAccount) -> AccountView:
        """The account with another tier, or other limits and prices of its own.

        Raises: AccountNotFound, TooManyPrices, DatabaseUnavailable.
        """
        with self._turn:
            account = _changed(self._known(account_id), wish)
            with self._database.write() as connection:
                store.change_account(connection, account)
                if wish.prices:
                    prices.change_prices(connection, account.id, wish.prices)
                owned = prices.prices_of(connection, account.id)
                if len(owned) > PRICES_MAX:
                    raise TooManyPrices(param="prices")  # and nothing of it is done
            self._publish(account)
        return self._view(account, owned)

    def _known(self, account_id: int) -> Account:
        with self._database.read() as connection:
            account = store.find_account_id(connection, account_id)
        if account is None:
            raise AccountNotFound
        return account

    def _view(self, account: Account, owned: dict[str, str]) -> AccountView:
        return AccountView(
            id=account.id,
            name=account.name,
            tier=account.tier,
            created_at_s=account.created_at_s,
            limits=limits_view(self._tier_limits(account.tier), account),
            prices=owned,
        )


def _changed(account: Account, wish: ChangeAccount) -> Account:
    if wish.tier is not UNSET:
        account = replace(account, tier=tier_name(wish.tier))
    if wish.requests_per_min is not UNSET:
        account = replace(account, requests_per_min=wish.requests_per_min)
    if wish.tokens_per_min is not UNSET:
        account = replace(account, tokens_per_min=wish.tokens_per_min)
    if wish.concurrency_max is not UNSET:
        account = replace(account, concurrency_max=wish.concurrency_max)
    return account
