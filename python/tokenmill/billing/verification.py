"""Whether the books are right: what must be true of ledger, usage and wallets, looked at once.

Reads one snapshot of the database and changes nothing, so it is safe while the house serves.
Wallets are compared by whoever has a hot segment; their checks come in from outside.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tokenmill.database.connection import Database

EXAMPLES_MAX = 5


class Check(Struct, frozen=True, kw_only=True):
    """One thing that must be true; `detail` has the numbers, `wrong` the first that are off."""

    name: str
    is_right: bool
    detail: str
    wrong: list[str] = []


class Verification(Struct, frozen=True, kw_only=True):
    """All checks together."""

    is_right: bool
    checks: list[Check]


def verify_ledger(database: "Database", others: Sequence[Check]) -> Verification:
    """The checks of the database, and the others. Cost: reads every line of the ledger once.

    Raises: DatabaseUnavailable.
    """
    with database.snapshot() as connection:
        checks = [
            _sum_is_zero(connection),
            _books_are_their_transfers(connection),
            _usage_is_the_ledger(connection),
            _rows_are_their_transfers(connection),
            _credits_are_their_transfers(connection),
            *others,
        ]
    return Verification(is_right=all(check.is_right for check in checks), checks=checks)


def check(name: str, detail: str, wrong: Sequence[str]) -> Check:
    """A check that is right if nothing is wrong."""
    return Check(name=name, is_right=not wrong, detail=detail, wrong=list(wrong[:EXAMPLES_MAX]))


def _sum_is_zero(connection: "Connection") -> Check:
    from tokenmill.billing.store import list_balances

    balances = list_balances(connection)
    total = sum(balances.values())
    wrong = [f"the sum is {total} nanos"] if total else []
    return check("all books together are zero", f"{len(balances)} books", wrong)


def _books_are_their_transfers(connection: "Connection") -> Check:
    from tokenmill.billing.store import list_balances, summed_books

    balances, summed = list_balances(connection), summed_books(connection)
    wrong = [
        f"{name}: {balances.get(name, 0)} nanos, its transfers make {summed.get(name, 0)}"
        for name in sorted(balances.keys() | summed.keys())
        if balances.get(name, 0) != summed.get(name, 0)
    ]
    return check("every book is the sum of its transfers", f"{len(summed)} books", wrong)


def _usage_is_the_ledger(connection: "Connection") -> Check:
    from tokenmill.billing.store import billed_by_class
    from tokenmill.usage.store import summed_days, summed_hours

    billed = billed_by_class(connection)
    wrong = [
        f"account {place[0]}, {place[1]}: usage by the {period} {used.get(place, (0, 0))},"
        f" ledger {billed.get(place, (0, 0))} (requests, nanos)"
        for period, used in (
            ("hour", summed_hours(connection)),
            ("day", summed_days(connection)),
        )
        for place in sorted(billed.keys() | used.keys())
        if billed.get(place, (0, 0)) != used.get(place, (0, 0))
    ]
    requests = sum(count for count, _ in billed.values())
    nanos = sum(amount for _, amount in billed.values())
    return check("usage is what was billed", f"{requests} requests, {nanos} nanos", wrong)


def _rows_are_their_transfers(connection: "Connection") -> Check:
    from tokenmill.usage.store import wrong_rows

    count, wrong = wrong_rows(connection, EXAMPLES_MAX)
    said = [f"transfer {number}: its rows do not make it up" for number in wrong]
    return check("every transfer is the sum of its rows", f"{count} rows that are kept", said)


def _credits_are_their_transfers(connection: "Connection") -> Check:
    from tokenmill.billing.store import wrong_credits

    count, wrong = wrong_credits(connection, EXAMPLES_MAX)
    said = [f"credit {number} and its transfer differ" for number in wrong]
    return check("every credit is one transfer", f"{count} credits", said)
