"""Money at control's start, and what goes on with it while control runs.

The order is what makes it safe to die anywhere: what an earlier control left half done is ended,
what is settled comes to the ledger, and only then accounts are loaded from it. Workers take no
request before that.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from tokenmill import clock
from tokenmill._native import Segment
from tokenmill.accounts.local_account import ensure_local_account
from tokenmill.accounts.rules import limits_of
from tokenmill.accounts.store import Account
from tokenmill.billing.verification import Check
from tokenmill.billing.views import AddFunds
from tokenmill.billing.wallets import Road, Wallets
from tokenmill.control.ledger_keeper import LedgerKeeper
from tokenmill.control.previous_segment import settle_previous
from tokenmill.control.price_file import PriceFile
from tokenmill.control.segment_accounts import SegmentAccounts
from tokenmill.control.segment_road import SegmentRoad
from tokenmill.control.usage_names import UsageNames
from tokenmill.control.wallet_checks import check_wallets
from tokenmill.database.connection import Database
from tokenmill.errors import ApiError
from tokenmill.models.fleet import Fleet
from tokenmill.purses.address import check_url
from tokenmill.settings import Settings

if TYPE_CHECKING:
    from tokenmill.control.purse_keeper import PurseKeeper

OPENING_GRANT = AddFunds(
    amount_nanos=10**15,
    reference="opening grant",
    kind="grant",
    note="so that whoever runs the house can use all of it",
)
"""A million dollars of the house's own money, for the house's own account, once."""

PREVIOUS_MARGIN_S = 5.0
"""Beyond the drain time: workers of an earlier house have ended their streams by then."""

SEND_S = 5.0
"""How often credits that found no free cell are sent again."""

logger = logging.getLogger("tokenmill.control.ledger")


class HouseMoney(Struct, frozen=True):
    """What works on money in control."""

    ledger: LedgerKeeper
    accounts: SegmentAccounts
    prices: PriceFile
    wallets: Wallets
    check_wallets: Callable[[], Check]
    purses: "PurseKeeper | None" = None

    def publish(self, account: Account) -> None:
        """The account stands where requests are admitted, as it is now, and its prices where they
        are priced. Raises: DatabaseUnavailable, ServiceUnavailable."""
        self.accounts.publish(account)
        self.prices.publish()
        if self.purses is not None:
            self.purses.refresh(account.id)

    def stop(self, timeout_s: float) -> None:
        """Ends the threads; what is settled comes to the ledger first, if that can be reached."""
        self.ledger.stop(timeout_s)
        if self.purses is not None:
            self.purses.stop(timeout_s)


def open_money(
    database: Database, segment: Segment, settings: Settings, fleet: Callable[[], Fleet]
) -> HouseMoney:
    """The workers may admit requests when this returns; the ledger's thread runs. Blocks.

    Raises: ApiError: the database cannot be used, or holds too many accounts; OSError: the state
    folder.
    """
    names = UsageNames(fleet)
    ledger = LedgerKeeper(database, segment, names)
    purses = open_purses(database, segment, settings, ledger)
    segment.rescue_control()
    ledger.flush_all()
    wait_s = settings.drain_seconds + PREVIOUS_MARGIN_S
    settle_previous(segment, partial(_keeper_like, ledger, names, database), settings.state, wait_s)
    local = ensure_local_account(database, clock.wall_s())
    accounts = SegmentAccounts(database, segment, partial(limits_of, settings))
    accounts.load(has_purses=purses is not None)
    prices = PriceFile(database, segment, settings.state)
    prices.load()
    road = SegmentRoad(segment, ledger) if purses is None else _purse_road(database, purses)
    wallets = Wallets(database, road)
    ledger.start()
    wallets.send_waiting()
    wallets.add(local.id, OPENING_GRANT)
    segment.set_accounts_ready()
    checks = partial(check_wallets, database, segment, ledger)
    if purses is not None:
        from tokenmill.control.purse_checks import check_purses

        checks = partial(check_purses, database, purses)
        purses.start()
    return HouseMoney(ledger, accounts, prices, wallets, checks, purses)


def _keeper_like(
    ledger: LedgerKeeper, names: UsageNames, database: Database, previous: Segment
) -> LedgerKeeper:
    """Who takes the cells of a segment of before to the same ledger."""
    keeper = LedgerKeeper(database, previous, names)
    keeper.when_posted = ledger.when_posted
    return keeper


def open_purses(
    database: Database, segment: Segment, settings: Settings, ledger: LedgerKeeper
) -> "PurseKeeper | None":
    """Who keeps the purses, if houses share some; it is told of what is posted from now on. Redis
    need not be there. Raises: RedisUrlInvalid."""
    if not settings.redis_url:
        return None
    check_url(settings.redis_url, database.address.kind)
    from tokenmill.control.purse_keeper import PurseKeeper
    from tokenmill.purses.connection import connect

    redis = connect(settings.redis_url, settings.redis)
    purses = PurseKeeper(redis, settings.redis, database, segment, ledger)
    ledger.when_posted = purses.posted
    return purses


def _purse_road(database: Database, purses: "PurseKeeper") -> Road:
    from tokenmill.control.purse_road import PurseRoad

    return PurseRoad(database, purses)


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
