"""The road of credits where houses share purses: into the ledger, and the purse is told."""

import logging

from redis.exceptions import RedisError

from tokenmill.billing.store import Credit
from tokenmill.billing.wallets import LedgerRoad
from tokenmill.control.purse_keeper import PurseKeeper
from tokenmill.control.segment_road import Held
from tokenmill.database.connection import Database

logger = logging.getLogger("tokenmill.control.purses")


class PurseRoad(LedgerRoad):
    """Straight into the ledger. A purse that cannot be told now is told later."""

    def __init__(self, database: Database, purses: PurseKeeper) -> None:
        super().__init__(database)
        self._purses = purses

    def send(self, credit: Credit) -> bool:
        """Posts the credit, once. Raises: DatabaseUnavailable."""
        is_sent = super().send(credit)
        self._purses.refresh(credit.account_id)
        return is_sent

    def holding(self, account_id: int) -> Held | None:
        """What the purse says; None: it cannot be asked, and the ledger has to do."""
        try:
            purse = self._purses.find(account_id)
        except (RedisError, OSError) as error:
            logger.info("a wallet is shown without its purse", extra={"error": str(error)})
            return None
        if purse is None:
            return None
        held = sum(one.nanos for one in purse.held if not one.has_ended)
        return Held(purse.available_nanos, held)
