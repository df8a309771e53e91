"""The limits that hold for an account: its tier's, and its own where it has some. Pure."""

from msgspec import Struct

from tokenmill.accounts.rules import AccountLimits
from tokenmill.accounts.store import Account


class LimitView(Struct, frozen=True):
    """A limit; `max` null is none. `set_by` says whether tier or account decides it."""

    max: int | None
    set_by: str


class LimitsView(Struct, frozen=True, kw_only=True):
    """What an account may do at once and in a minute."""

    requests_per_min: LimitView
    tokens_per_min: LimitView
    concurrency: LimitView


def limits_in_force(tier: AccountLimits, account: Account) -> AccountLimits:
    """The tier's limits with the account's own in their place; 0 is none."""
    return AccountLimits(
        requests_per_min=_chosen(account.requests_per_min, tier.requests_per_min),
        tokens_per_min=_chosen(account.tokens_per_min, tier.tokens_per_min),
        concurrency_max=_chosen(account.concurrency_max, tier.concurrency_max),
        weight=tier.weight,
    )


def limits_view(tier: AccountLimits, account: Account) -> LimitsView:
    """The limits in force as people read them."""
    force = limits_in_force(tier, account)
    return LimitsView(
        requests_per_min=_view(force.requests_per_min, account.requests_per_min),
        tokens_per_min=_view(force.tokens_per_min, account.tokens_per_min),
        concurrency=_view(force.concurrency_max, account.concurrency_max),
    )


def _chosen(own: int | None, tiers: int) -> int:
    return tiers if own is None else own


def _view(in_force: int, own: int | None) -> LimitView:
    return LimitView(in_force or None, "tier" if own is None else "account")
