"""The tiers: which there are and what they allow. Pure.

The hot segment holds a tier as its index in TIERS, so the order stays and new ones go to the end.
"""

from msgspec import Struct


class Tier(Struct, frozen=True):
    """What an account of this tier may do in a minute; None: as much as it likes."""

    name: str
    requests_per_min: int | None
    tokens_per_min: int | None


TIERS = (
    Tier("free", 20, 40_000),
    Tier("standard", 60, 150_000),
    Tier("pro", 200, 500_000),
    Tier("internal", None, None),
)

TIER_ALIASES = {"premium": "pro"}

LOCAL_ACCOUNT = "local"
"""The account of whoever runs the house; the first one, of tier internal."""


def find_tier(name: str) -> Tier:
    """The tier called `name`, by an alias too. Raises: ValueError that names those there are."""
    wanted = TIER_ALIASES.get(name, name)
    for tier in TIERS:
        if tier.name == wanted:
            return tier
    raise ValueError(f"there is no tier {name!r}; there are {', '.join(t.name for t in TIERS)}")


def tier_index(name: str) -> int:
    """The number of a tier in the hot segment. Raises: ValueError."""
    return TIERS.index(find_tier(name))
