"""Money as HTTP and the command line speak of it: whole nanos beside the same in dollars."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from tokenmill.billing.rules import AMOUNT_NANOS_MAX, CreditKind, TransferKind
from tokenmill.money import dollars_text

TRANSFERS_MAX = 1_000

Reference = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]*$")]
Note = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f]*$")]
AmountNanos = Annotated[int, Meta(ge=1, le=AMOUNT_NANOS_MAX)]


class Money(Struct, frozen=True):
    """An amount: exact nanos (billionths of a dollar), and dollars as a decimal number."""

    nanos: int
    dollars: str


def money(nanos: int) -> Money:
    """The amount as it is shown."""
    return Money(nanos, dollars_text(nanos))


class WalletView(Struct, frozen=True, kw_only=True):
    """What an account owns. `balance` is `held` (for requests under way) and `available` together;
    `on_its_way` is money that was given and is not in it yet."""

    account_id: int
    balance: Money
    held: Money
    available: Money
    on_its_way: Money


class TransferView(Struct, frozen=True, kw_only=True, rename={"class_": "class"}):
    """A line of the ledger. `amount` is what it changed the balance by; `requests` how many it
    bills. Times are milliseconds since the epoch."""

    id: int
    kind: TransferKind
    class_: str
    amount: Money
    balance: Money
    requests: int
    reference: str
    note: str
    created_at_ms: int


class TransferList(Struct, frozen=True, kw_only=True):
    """Lines of the ledger, newest first; ask on with `before` set to `next_before`."""

    data: list[TransferView]
    next_before: int | None


class AddFunds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Money for an account. The same `reference` again changes nothing and gets the same answer."""

    amount_nanos: AmountNanos
    reference: Reference
    kind: Literal["top_up", "grant"] = "top_up"
    note: Note = ""


class RefundFunds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Money back for what was billed: at most what was billed and not refunded before."""

    amount_nanos: AmountNanos
    reference: Reference
    note: Note = ""


class CreditView(Struct, frozen=True, kw_only=True):
    """A credit; `state` says whether it is part of the ledger or still on its way there."""

    id: int
    account_id: int
    kind: CreditKind
    amount: Money
    reference: str
    note: str
    state: Literal["posted", "on_its_way"]
    transfer_id: int | None
    created_at_s: int
