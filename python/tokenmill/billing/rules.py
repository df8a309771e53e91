"""The arithmetic of money: books, transfers, and what a flush of settled requests becomes. Pure.

A transfer takes an amount from one book to another, so all books together are always zero. Money is
whole nanos: billionths of a dollar. The balance of a customer's book is what the customer owns,
whether it is held for a request at the moment or not.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct

AMOUNT_NANOS_MAX = 10**15
"""A million dollars at once: more is a slip of the finger. Far below what 63 bits hold."""

BALANCE_NANOS_MAX = 4 * 10**18
"""Four billion dollars: the room that 63 bits leave, with a margin for what is on its way."""

CreditKind = Literal["top_up", "grant", "refund"]
TransferKind = Literal["usage", "top_up", "grant", "refund"]

GIVERS: Mapping[str, str] = {"top_up": "funds", "grant": "grants", "refund": "refunds"}
"""The book that a credit comes from: money paid in, given away, or given back."""


class Book(Struct, frozen=True):
    """A place where money is; `account_id` is that of a customer's book, else None."""

    name: str
    account_id: int | None = None


class Posting(Struct, frozen=True, kw_only=True):
    """A transfer to be made."""

    kind: TransferKind
    source: Book
    target: Book
    account_id: int
    amount_nanos: int
    service_class: str = ""
    requests: int = 0

    @property
    def change_nanos(self) -> int:
        """What it does to the account's balance."""
        return -self.amount_nanos if self.kind == "usage" else self.amount_nanos


def customer_book(account_id: int) -> Book:
    """The wallet of an account."""
    return Book(f"customer:{account_id}", account_id)


def revenue_book(service_class: str) -> Book:
    """What was earned with one class of service."""
    return Book(f"revenue:{service_class}")


def usage_posting(account_id: int, service_class: str, amount_nanos: int, requests: int) -> Posting:
    """The transfer that bills `requests` settled requests of one account and class."""
    return Posting(
        kind="usage",
        source=customer_book(account_id),
        target=revenue_book(service_class),
        account_id=account_id,
        amount_nanos=amount_nanos,
        service_class=service_class,
        requests=requests,
    )


def credit_posting(account_id: int, kind: CreditKind, amount_nanos: int) -> Posting:
    """The transfer that gives an account money."""
    return Posting(
        kind=kind,
        source=Book(GIVERS[kind]),
        target=customer_book(account_id),
        account_id=account_id,
        amount_nanos=amount_nanos,
    )


def book_changes(postings: Iterable[Posting]) -> dict[Book, int]:
    """What postings do to each book, in nanos. The values always add up to zero."""
    changes: dict[Book, int] = {}
    for posting in postings:
        changes[posting.source] = changes.get(posting.source, 0) - posting.amount_nanos
        changes[posting.target] = changes.get(posting.target, 0) + posting.amount_nanos
    return changes


def running_balances(postings: list[Posting], ends: Mapping[int, int]) -> list[int]:
    """The account's balance after each posting, told what it is after the last: `ends` by account
    id. The postings are those of one transaction, in their order."""
    rest = dict(ends)
    balances = []
    for posting in reversed(postings):
        balances.append(rest[posting.account_id])
        rest[posting.account_id] -= posting.change_nanos
    return balances[::-1]
