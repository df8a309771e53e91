"""The tiers: which there are and what they allow. Pure.

The hot segment holds a tier as its index in TIERS, so the order stays and new ones go to the end.
"""

from msgspec import Struct

from tokenmill.settings import Settings, TierSettings

TIERS = ("free", "standard", "pro", "internal")

TIER_ALIASES = {"premium": "pro"}

LOCAL_ACCOUNT = "local"
"""The account of whoever runs the house; the first one, of tier internal."""


class AccountLimits(Struct, frozen=True, kw_only=True):
    """What an account may do; 0 is no limit."""

    requests_per_min: int
    tokens_per_min: int
    concurrency_max: int
    weight: int  # its share of a busy house


def tier_name(name: str) -> str:
    """The tier that `name` or its alias means. Raises: ValueError that names those there are."""
    wanted = TIER_ALIASES.get(name, name)
    if wanted not in TIERS:
        raise ValueError(f"there is no tier {name!r}; there are {', '.join(TIERS)}")
    return wanted


def tier_index(name: str) -> int:
    """The number of a tier in the hot segment. Raises: ValueError."""
    return TIERS.index(tier_name(name))


def limits_of(settings: Settings, tier: str) -> AccountLimits:
    """The limits of a tier's accounts. Raises: ValueError."""
    of_tier: TierSettings = getattr(settings, f"tier_{tier_name(tier)}")
    return AccountLimits(
        requests_per_min=of_tier.requests_per_min,
        tokens_per_min=of_tier.tokens_per_min,
        concurrency_max=of_tier.concurrency_max,
        weight=of_tier.weight,
    )
