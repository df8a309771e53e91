"""What happens to wallets: credits by reference, and what is there to see.

A credit is written down first, then put on the road to the ledger, which is the hot segment's while
a house is up: so workers know of it at once, and it is posted like every debit. One that was
written down and not sent, because something died, is sent by the next start.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from tokenmill import clock
from tokenmill.accounts.errors import AccountNotFound
from tokenmill.accounts.store import find_account_id
from tokenmill.billing import rules, store
from tokenmill.billing.errors import ReferenceTaken, RefundTooLarge
from tokenmill.billing.rules import CreditKind
from tokenmill.billing.store import Credit, NewCredit, Transfer
from tokenmill.billing.views import (
    AddFunds,
    CreditView,
    RefundFunds,
    TransferList,
    TransferView,
    WalletView,
    money,
)
from tokenmill.database.changes import note_change
from tokenmill.database.connection import Database
from tokenmill.money import dollars_text
from tokenmill.usage.store import billed_nanos

POSTED_MS_MAX = 5_000
"""How long an answer waits for the ledger, which takes 50 ms unless its database is away."""

FLUSH_S_MAX = 0.2


class Holding(Protocol):
    """An account in the hot segment at one instant; nanos."""

    @property
    def available(self) -> int: ...
    @property
    def held(self) -> int: ...


class Road(Protocol):
    """How a credit that is written down reaches wallet and ledger."""

    def under_way(self) -> set[int]:
        """Numbers of the credits that were sent and are not seen to be in the ledger yet."""

    def send(self, credit: Credit) -> bool:
        """Whether it was sent; not if there is no room now: then it is tried again later."""

    def wait(self, timeout_s: float) -> None:
        """Returns when something reached the ledger, or after the time."""

    def holding(self, account_id: int) -> Holding | None:
        """What the segment says of the account; None: no segment knows it."""


class _PostedElsewhere(Exception):
    """Another house was quicker: nothing of this transaction is kept."""


class LedgerRoad:
    """Straight into the ledger, where no hot segment has another word for the balance."""

    def __init__(self, database: Database, now_ms: Callable[[], int] = clock.wall_ms) -> None:
        self._database = database
        self._now_ms = now_ms

    def under_way(self) -> set[int]:
        """What is sent is there."""
        return set()

    def send(self, credit: Credit) -> bool:
        """Posts the credit, once. Raises: DatabaseUnavailable."""
        posting = rules.credit_posting(credit.account_id, credit.kind, credit.amount_nanos)
        with suppress(_PostedElsewhere), self._database.write() as connection:
            [number] = store.post(connection, [posting], self._now_ms())
            if not store.link_waiting(connection, credit.id, number):
                raise _PostedElsewhere
            note_change(connection, "account", credit.account_id)
        return True

    def wait(self, timeout_s: float) -> None:
        """Nothing is waited for."""

    def holding(self, _: int) -> Holding | None:
        """Nothing is held."""
        return None


class Wallets:
    """Gives money to accounts and shows what they have; from any thread."""

    def __init__(
        self, database: Database, road: Road, *, now_s: Callable[[], int] = clock.wall_s
    ) -> None:
        self._database = database
        self._road = road
        self._now_s = now_s
        self._turn = threading.Lock()

    def view(self, account_id: int) -> WalletView:
        """The wallet. Raises: AccountNotFound, DatabaseUnavailable."""
        with self._database.read() as connection:
            if find_account_id(connection, account_id) is None:
                raise AccountNotFound
            balance_nanos = store.balance_nanos(connection, account_id)
            waiting_nanos = store.waiting_nanos(connection, account_id)
        holding = self._road.holding(account_id)
        held = 0 if holding is None else holding.held
        available = balance_nanos if holding is None else holding.available
        return WalletView(
            account_id=account_id,
            balance=money(available + held),
            held=money(held),
            available=money(available),
            on_its_way=money(waiting_nanos),
        )

    def add(self, account_id: int, wish: AddFunds) -> CreditView:
        """Gives the account money, once for a reference.

        Raises: AccountNotFound, ReferenceTaken, ServiceUnavailable.
        """
        return self._credit(account_id, wish.kind, wish)

    def refund(self, account_id: int, wish: RefundFunds) -> CreditView:
        """Gives billed money back, once for a reference.

        Raises: AccountNotFound, ReferenceTaken, RefundTooLarge, ServiceUnavailable.
        """
        return self._credit(account_id, "refund", wish)

    def transfers(
        self, account_id: int, *, before_id: int | None = None, count_max: int = 100
    ) -> TransferList:
        """Lines of the account's ledger, newest first. Raises: DatabaseUnavailable."""
        with self._database.read() as connection:
            found = store.list_transfers(
                connection, account_id, before_id=before_id, count_max=count_max + 1
            )
        data = [_transfer_view(one) for one in found[:count_max]]
        more = data[-1].id if len(found) > count_max else None
        return TransferList(data=data, next_before=more)

    def send_waiting(self) -> int:
        """Sends the credits that were written down and not sent; how many. Raises:
        DatabaseUnavailable."""
        with self._turn:
            # In this order: what is sent leaves the segment only after it came to the database.
            under_way = self._road.under_way()
            with self._database.read() as connection:
                waiting = store.credits_on_their_way(connection)
            return sum(self._road.send(one) for one in waiting if one.id not in under_way)

    def _credit(
        self, account_id: int, kind: CreditKind, wish: AddFunds | RefundFunds
    ) -> CreditView:
        new = NewCredit(
            account_id=account_id,
            reference=wish.reference,
            kind=kind,
            amount_nanos=wish.amount_nanos,
            note=wish.note,
            created_at_s=self._now_s(),
        )
        with self._turn:
            under_way = self._road.under_way()
            credit = self._write_down(new)
            if credit.transfer_id is None and credit.id not in under_way:
                self._road.send(credit)
        return _credit_view(self._when_posted(credit))

    def _when_posted(self, credit: Credit) -> Credit:
        """The credit as soon as it is in the ledger, or after a while as it is."""
        deadline_ms = clock.monotonic_ms() + POSTED_MS_MAX
        while True:
            with self._database.read() as connection:
                known = store.find_credit(connection, credit.account_id, credit.reference) or credit
            if known.transfer_id is not None or clock.monotonic_ms() >= deadline_ms:
                return known
            self._road.wait(FLUSH_S_MAX)

    def _write_down(self, new: NewCredit) -> Credit:
        with self._database.write() as connection:
            if find_account_id(connection, new.account_id) is None:
                raise AccountNotFound
            known = store.find_credit(connection, new.account_id, new.reference)
            if known is not None:
                _check_same(known, new)
                return known
            if new.kind == "refund":
                billed = billed_nanos(connection, new.account_id)
                refunded = store.credited_nanos(connection, new.account_id, "refund")
                if refunded + new.amount_nanos > billed:
                    raise RefundTooLarge(param="amount_nanos")
            store.insert_credit(connection, new)
            written = store.find_credit(connection, new.account_id, new.reference)
        if written is None:
            raise LookupError(f"credit {new.reference} is not where it was put")
        return written


def _check_same(known: Credit, new: NewCredit) -> None:
    if (known.kind, known.amount_nanos) != (new.kind, new.amount_nanos):
        amount = dollars_text(known.amount_nanos)
        raise ReferenceTaken(
            f"The reference {known.reference!r} belongs to a {known.kind} of ${amount}.",
            param="reference",
        )


def _transfer_view(one: Transfer) -> TransferView:
    sign = -1 if one.kind == "usage" else 1
    return TransferView(
        id=one.id,
        kind=one.kind,
        class_=one.service_class,
        amount=money(sign * one.amount_nanos),
        balance=money(one.balance_nanos),
        requests=one.requests,
        reference=one.reference,
        note=one.note,
        created_at_ms=one.created_at_ms,
    )


def _credit_view(credit: Credit) -> CreditView:
    return CreditView(
        id=credit.id,
        account_id=credit.account_id,
        kind=credit.kind,
        amount=money(credit.amount_nanos),
        reference=credit.reference,
        note=credit.note,
        state="on_its_way" if credit.transfer_id is None else "posted",
        transfer_id=credit.transfer_id,
        created_at_s=credit.created_at_s,
    )
