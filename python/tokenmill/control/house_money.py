"""Money at control's start, and what goes on with it while control runs.

The order is what makes it safe to die anywhere: what an earlier control left half done is ended,
what is settled comes to the ledger, and only then accounts are loaded from it. Workers take no
request before that.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from msgspec import Struct

from tokenmill import clock
from tokenmill._native import Segment
from tokenmill.accounts.local_account import ensure_local_account
from tokenmill.accounts.rules import limits_of
from tokenmill.billing.views import AddFunds
from tokenmill.billing.wallets import Wallets
from tokenmill.control.ledger_keeper import LedgerKeeper
from tokenmill.control.segment_accounts import SegmentAccounts
from tokenmill.control.segment_road import SegmentRoad
from tokenmill.control.usage_names import UsageNames
from tokenmill.database.connection import Database
from tokenmill.errors import ApiError
from tokenmill.models.fleet import Fleet
from tokenmill.settings import Settings

OPENING_GRANT = AddFunds(
    amount_nanos=10**15,
    reference="opening grant",
    kind="grant",
    note="so that whoever runs the house can use all of it",
)
"""A million dollars of the house's own money, for the house's own account, once."""

SEND_S = 5.0
"""How often credits that found no free cell are sent again."""

logger = logging.getLogger("tokenmill.control.ledger")


class HouseMoney(Struct, frozen=True):
    """What works on money in control."""

    ledger: LedgerKeeper
    accounts: SegmentAccounts
    wallets: Wallets


def open_money(
    database: Database, segment: Segment, settings: Settings, fleet: Callable[[], Fleet]
) -> HouseMoney:
    """The workers may admit requests when this returns; the ledger's thread runs. Blocks.

    Raises: ApiError: the database cannot be used, or holds too many accounts.
    """
    ledger = LedgerKeeper(database, segment, UsageNames(fleet))
    segment.rescue_control()
    ledger.flush_all()
    local = ensure_local_account(database, clock.wall_s())
    accounts = SegmentAccounts(database, segment, partial(limits_of, settings))
    accounts.load()
    wallets = Wallets(database, SegmentRoad(segment, ledger))
    ledger.start()
    wallets.send_waiting()
    wallets.add(local.id, OPENING_GRANT)
    segment.set_accounts_ready()
    return HouseMoney(ledger, accounts, wallets)


async def send_for_ever(wallets: Wallets) -> None:
    """Sends credits that wait. Ends by being cancelled."""
    while True:
        await asyncio.sleep(SEND_S)
        try:
            sent = await asyncio.to_thread(wallets.send_waiting)
        except ApiError as error:
            logger.warning("credits wait: %s", error.message)
        else:
            if sent:
                logger.info("credits were sent again", extra={"count": sent})
