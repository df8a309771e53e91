"""Accounts in the hot segment: loaded at control's start, published when one is made or changed.

The ledger is the truth. An account that is new to the segment gets its balance from there; one that
a house before left there is set right, unless requests of it are under way: then its word is right
already, as their cells come to the ledger.
"""

import logging
from collections.abc import Callable
from struct import Struct as Packing
from typing import Protocol

from tokenmill.accounts.limits import limits_in_force
from tokenmill.accounts.rules import AccountLimits
from tokenmill.accounts.store import Account, list_accounts
from tokenmill.billing.rules import customer_book
from tokenmill.billing.store import balance_nanos, list_balances
from tokenmill.database.connection import Database
from tokenmill.errors import TokenmillError

PACKED = Packing("<QqIIIHB1x")
"""account, opening nanos, requests/min, tokens/min, at once, weight, enabled: `put_accounts`."""

logger = logging.getLogger("tokenmill.control.ledger")


class AccountSegment(Protocol):
    """What is needed of the hot segment."""

    @property
    def accounts_max(self) -> int: ...
    def put_accounts(self, packed: bytes) -> int: ...
    def reset_balance(self, account_id: int, nanos: int) -> bool: ...
    def audit(self, account_id: int) -> tuple[int, int, int] | None: ...


class AccountsDoNotFit(TokenmillError):
    """The database holds more accounts than the hot segment has room for."""

    code = "too_many_accounts"


class SegmentAccounts:
    """Puts accounts into the segment."""

    def __init__(
        self,
        database: Database,
        segment: AccountSegment,
        tier_limits: Callable[[str], AccountLimits],
    ) -> None:
        self._database = database
        self._segment = segment
        self._tier_limits = tier_limits

    def load(self, *, has_purses: bool = False) -> int:
        """Every account stands in the segment with its limits and its balance; how many. With
        purses the balance there is nobody's word.

        To be called while nothing flushes and after everything was. Raises: AccountsDoNotFit,
        DatabaseUnavailable.
        """
        with self._database.read() as connection:
            accounts = list_accounts(connection)
            balances = list_balances(connection)
        highest = max((account.id for account in accounts), default=0)
        if highest >= self._segment.accounts_max:
            raise AccountsDoNotFit(
                f"The database holds accounts up to number {highest}, and the hot segment has room"
                f" for {self._segment.accounts_max}. Set segment.accounts_max to {2 * highest} and"
                " start again."
            )
        owned = {one.id: balances.get(customer_book(one.id).name, 0) for one in accounts}
        self._segment.put_accounts(b"".join(self._pack(one, owned[one.id]) for one in accounts))
        if not has_purses:
            for one in accounts:
                self._set_right(one.id, owned[one.id])
        return len(accounts)

    def publish(self, account: Account) -> None:
        """The account stands in the segment as it is now."""
        with self._database.read() as connection:
            opening_nanos = balance_nanos(connection, account.id)
        self._segment.put_accounts(self._pack(account, opening_nanos))

    def _pack(self, account: Account, opening_nanos: int) -> bytes:
        limits = limits_in_force(self._tier_limits(account.tier), account)
        return PACKED.pack(
            account.id,
            opening_nanos,
            limits.requests_per_min,
            limits.tokens_per_min,
            limits.concurrency_max,
            limits.weight,
            1,
        )

    def _set_right(self, account_id: int, nanos: int) -> None:
        """Only where a word differs: a house that is down has no other place for a credit."""
        found = self._segment.audit(account_id)
        if found is None:
            return
        available, held, unposted = found
        if available + held == nanos + unposted:
            return
        if self._segment.reset_balance(account_id, nanos):
            logger.info("a balance was taken from the ledger", extra={"account": account_id})
        else:
            logger.warning(
                "a wallet differs from the ledger while its requests are under way",
                extra={"account": account_id, "nanos": nanos, "available": available},
            )
