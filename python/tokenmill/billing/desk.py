"""Who answers a command about money: control while the house is up, else the database itself."""

from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlencode

from tokenmill.billing.verification import Verification
from tokenmill.billing.views import AddFunds, CreditView, RefundFunds, TransferList, WalletView
from tokenmill.control_client import ControlClient

if TYPE_CHECKING:
    from tokenmill.database.connection import Database

PATH = "/control/dashboard"
VERIFY_PATH = "/control/ledger/verification"


class WalletDesk(Protocol):
    """What a command may ask for. Raises: ApiError, ControlRefused or ControlAway."""

    def view(self, account_id: int) -> WalletView: ...
    def add(self, account_id: int, wish: AddFunds) -> CreditView: ...
    def refund(self, account_id: int, wish: RefundFunds) -> CreditView: ...
    def transfers(
        self, account_id: int, *, before_id: int | None = None, count_max: int = 100
    ) -> TransferList: ...


class ControlDesk:
    """Control answers."""

    def __init__(self, client: ControlClient) -> None:
        self._client = client

    def view(self, account_id: int) -> WalletView:
        return self._client.get(f"{PATH}/wallet?account={account_id}", WalletView)

    def add(self, account_id: int, wish: AddFunds) -> CreditView:
        return self._client.post(f"{PATH}/accounts/{account_id}/funds", wish, CreditView)

    def refund(self, account_id: int, wish: RefundFunds) -> CreditView:
        return self._client.post(f"{PATH}/accounts/{account_id}/refunds", wish, CreditView)

    def transfers(
        self, account_id: int, *, before_id: int | None = None, count_max: int = 100
    ) -> TransferList:
        query = {"account": account_id, "limit": count_max}
        if before_id is not None:
            query["before"] = before_id
        return self._client.get(f"{PATH}/transactions?{urlencode(query)}", TransferList)


def wallet_desk(answerer: "ControlClient | Database") -> WalletDesk:
    """The desk of whoever answers."""
    if isinstance(answerer, ControlClient):
        return ControlDesk(answerer)
    from tokenmill.billing.wallets import LedgerRoad, Wallets

    # No house is up: the next one takes its words from what the ledger says.
    return Wallets(answerer, LedgerRoad(answerer))


def verify(answerer: "ControlClient | Database") -> Verification:
    """What the books say of themselves. Cost: reads every line of the ledger once."""
    if isinstance(answerer, ControlClient):
        return answerer.get(VERIFY_PATH, Verification)
    from tokenmill.billing.verification import verify_ledger

    return verify_ledger(answerer, [])
