"""Accounts as HTTP and the command line speak of them."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from tokenmill.accounts.limits import LimitsView
from tokenmill.settings import PriceText

AccountName = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f/]*$")]
Bound = Annotated[int, Meta(ge=0, le=1_000_000_000)]
TierName = Literal["free", "standard", "pro", "premium", "internal"]


ModelName = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]*$")]
Prices = Annotated[dict[ModelName, PriceText | None], Meta(max_length=100)]


class AccountView(Struct, frozen=True, kw_only=True):
    """An account and the limits that hold for it now."""

    id: int
    name: str
    tier: str
    created_at_s: int
    limits: LimitsView
    prices: dict[str, str] = {}  # of its own, nanos a token by model id; *: every other model


class HouseNow(Struct, frozen=True):
    """Requests of all accounts: with an engine, and waiting for one that is busy."""

    in_flight: int
    waiting: int


class LimitsNow(LimitsView, frozen=True, kw_only=True):
    """What an account may do, and how busy the house is; null while it is down."""

    house: HouseNow | None


class AccountList(Struct, frozen=True, kw_only=True):
    """Accounts, oldest first."""

    data: list[AccountView]


class CreateAccount(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new account. Nothing is in its wallet yet."""

    name: AccountName
    tier: TierName = "free"


class ChangeAccount(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another tier, or limits and prices of the account's own. A limit of 0 is none, null is what
    the tier says. A price is `prompt/completion` or `prompt/cached/completion` in nanos a token, by
    model id or `*` for every other model; null is what the settings say."""

    tier: TierName | UnsetType = UNSET
    requests_per_min: Bound | UnsetType | None = UNSET
    tokens_per_min: Bound | UnsetType | None = UNSET
    concurrency_max: Bound | UnsetType | None = UNSET
    prices: Prices | UnsetType = UNSET
