"""The road of credits while a house is up: a cell of the hot segment, like every debit's."""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from tokenmill._native import AccountView
from tokenmill.billing.store import Credit
from tokenmill.clock import wall_ms
from tokenmill.control.ledger_keeper import LedgerKeeper


class CreditSegment(Protocol):
    """What is needed of the hot segment."""

    def credit(self, account_id: int, nanos: int, *, reference: int, wall_ms: int) -> object: ...
    def open_credits(self) -> list[int]: ...
    def audit(self, account_id: int) -> tuple[int, int, int] | None: ...
    def account(self, account_id: int) -> AccountView | None: ...


class Held(Struct, frozen=True):
    """An account's word at one instant."""

    available: int
    held: int


class SegmentRoad:
    """Credits by way of the segment; the keeper takes them on to the ledger."""

    def __init__(
        self,
        segment: CreditSegment,
        keeper: LedgerKeeper,
        *,
        now_ms: Callable[[], int] = wall_ms,
    ) -> None:
        self._segment = segment
        self._keeper = keeper
        self._now_ms = now_ms

    def under_way(self) -> set[int]:
        """Credits that have a cell."""
        return set(self._segment.open_credits())

    def send(self, credit: Credit) -> bool:
        """Whether there was a free cell for it."""
        answer = self._segment.credit(
            credit.account_id, credit.amount_nanos, reference=credit.id, wall_ms=self._now_ms()
        )
        return isinstance(answer, int)

    def wait(self, timeout_s: float) -> None:
        """Returns after the next flush, or the time."""
        self._keeper.wait_for_flush(timeout_s)

    def holding(self, account_id: int) -> Held | None:
        """What the segment says of the account."""
        found = self._segment.audit(account_id)
        if found is not None:
            return Held(found[0], found[1])
        account = self._segment.account(account_id)  # it never stands still
        return None if account is None else Held(account.available_nanos, 0)
