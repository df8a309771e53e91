"""Whether wallets in the hot segment agree with the ledger, for `tokenmill ledger verify`.

What an account has available and held is what the ledger says of it, and what its cells that are
not freed yet change. Looked at in small groups, between the keeper's flushes, so that serving goes
on and no flush waits long.
"""

from collections.abc import Sequence

from tokenmill.accounts.store import list_accounts
from tokenmill.billing.store import balances_of
from tokenmill.billing.verification import Check, check
from tokenmill.control.ledger_keeper import LedgerKeeper
from tokenmill.control.segment_accounts import AccountSegment
from tokenmill.database.connection import Database

ACCOUNTS_AT_ONCE = 50
NAME = "what wallets have is the ledger and what is under way"


def check_wallets(database: Database, segment: AccountSegment, keeper: LedgerKeeper) -> Check:
    """The check. Raises: DatabaseUnavailable."""
    with database.read() as connection:
        ids = [account.id for account in list_accounts(connection)]
    wrong: list[str] = []
    restless = 0
    for start in range(0, len(ids), ACCOUNTS_AT_ONCE):
        found, unclear = _check_some(database, segment, keeper, ids[start:][:ACCOUNTS_AT_ONCE])
        wrong += found
        restless += unclear
    detail = f"{len(ids)} wallets"
    if restless:
        detail += f", {restless} too busy to look at"
    return check(NAME, detail, wrong)


def _check_some(
    database: Database, segment: AccountSegment, keeper: LedgerKeeper, ids: Sequence[int]
) -> tuple[list[str], int]:
    wrong, restless = [], 0
    with keeper.paused():
        with database.read() as connection:
            balances = balances_of(connection, ids)
        for account_id in ids:
            found = segment.audit(account_id)
            if found is None:
                restless += 1
                continue
            available, held, unposted = found
            balance = balances.get(account_id, 0)
            if available + held != balance + unposted:
                wrong.append(
                    f"account {account_id}: available {available}, held {held};"
                    f" ledger {balance}, unposted {unposted} (nanos)"
                )
    return wrong, restless
