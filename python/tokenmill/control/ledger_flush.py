"""One flush: settled cells become lines of the ledger, usage rows and sums, in one transaction.

Whoever calls this frees the cells after the commit and not before. Dying anywhere leaves either
nothing or all of it; what was written and not freed comes again and is known by its ticket.
"""

from sqlalchemy import Connection

from tokenmill.billing import rules, store
from tokenmill.billing.rules import Posting
from tokenmill.billing.store import Credit
from tokenmill.control.settled_cells import CreditCell, Settled
from tokenmill.usage import store as usage_store
from tokenmill.usage.rules import CLASSES, UsageRow, bills, hour_sums


def write_flush(
    connection: Connection, settled: Settled, now_ms: int, *, may_be_known: bool
) -> None:
    """Writes what the cells say. With `may_be_known`, those that were written before are left out.

    Cost: a few statements, whatever the count. Raises: IntegrityError, if a ticket is known that
    was not looked for, or an account does not exist; LookupError, for a credit nobody wrote down.
    """
    rows = _unknown_rows(connection, settled.rows) if may_be_known else settled.rows
    unposted = _unposted_credits(connection, settled.credits)
    usage = [
        (place, rules.usage_posting(place[0], CLASSES[place[1]], amount_nanos, count))
        for place, (amount_nanos, count) in sorted(bills(rows).items())
    ]
    given = [(credit, _credit_posting(credit)) for credit in unposted]
    postings = [posting for _, posting in (*usage, *given)]
    made = store.post(connection, postings, now_ms)
    transfers = {place: number for (place, _), number in zip(usage, made, strict=False)}
    usage_store.insert_rows(connection, rows, transfers)
    usage_store.add_hours(connection, hour_sums(rows))
    store.link_credits(
        connection,
        [
            (credit.id, number)
            for (credit, _), number in zip(given, made[len(usage) :], strict=True)
        ],
    )


def _unknown_rows(connection: Connection, rows: list[UsageRow]) -> list[UsageRow]:
    known: set[tuple[int, int]] = set()
    for incarnation in {row.incarnation for row in rows}:
        tickets = [row.ticket for row in rows if row.incarnation == incarnation]
        found = usage_store.known_tickets(connection, incarnation, tickets)
        known.update((incarnation, ticket) for ticket in found)
    return [row for row in rows if (row.incarnation, row.ticket) not in known]


def _unposted_credits(connection: Connection, cells: list[CreditCell]) -> list[Credit]:
    if not cells:
        return []
    found = store.find_credits(connection, [cell.reference for cell in cells])
    for cell in cells:
        credit = found.get(cell.reference)
        given = None if credit is None else (credit.account_id, credit.amount_nanos)
        if given != (cell.account_id, cell.amount_nanos):
            raise LookupError(f"cell {cell.ticket} is of credit {cell.reference}, which is {given}")
    return [credit for credit in found.values() if credit.transfer_id is None]


def _credit_posting(credit: Credit) -> Posting:
    return rules.credit_posting(credit.account_id, credit.kind, credit.amount_nanos)
