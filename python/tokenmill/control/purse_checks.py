"""Whether purses in Redis agree with the ledger, for `tokenmill ledger verify`.

A purse names the line of the ledger that it is from, so nothing has to stand still for a look.
"""

from redis.exceptions import RedisError

from tokenmill.accounts.store import list_accounts
from tokenmill.billing.store import balance_at
from tokenmill.billing.verification import Check, check
from tokenmill.control.purse_keeper import PurseKeeper
from tokenmill.database.connection import Database

NAME = "what purses have is the ledger and what is under way"


def check_purses(database: Database, purses: PurseKeeper) -> Check:
    """The check. Raises: DatabaseUnavailable."""
    with database.read() as connection:
        ids = [account.id for account in list_accounts(connection)]
    wrong: list[str] = []
    try:
        for account_id in ids:
            wrong += _differences(database, purses, account_id)
    except (RedisError, OSError) as error:
        wrong.append(f"Redis cannot be asked: {error}")
    return check(NAME, f"{len(ids)} purses", wrong)


def _differences(database: Database, purses: PurseKeeper, account_id: int) -> list[str]:
    purse = purses.find(account_id)
    if purse is None:
        return [f"account {account_id} has no purse"]
    with database.read() as connection:
        balance = balance_at(connection, account_id, purse.line)
    held = sum(one.nanos for one in purse.held)
    if (purse.ledger_nanos, purse.available_nanos + held) == (balance, balance):
        return []
    return [
        f"account {account_id}: available {purse.available_nanos}, under way {held};"
        f" ledger {purse.ledger_nanos} as of line {purse.line}, which says {balance} (nanos)"
    ]
