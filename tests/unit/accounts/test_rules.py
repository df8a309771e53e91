"""The tiers, which the hot segment knows by their place."""

import pytest

from tokenmill.accounts.rules import TIERS, find_tier, tier_index


def test_tiers_keep_their_places() -> None:
    assert [tier.name for tier in TIERS] == ["free", "standard", "pro", "internal"]
    assert [tier_index(tier.name) for tier in TIERS] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("name", "requests_per_min", "tokens_per_min"),
    [
        ("free", 20, 40_000),
        ("standard", 60, 150_000),
        ("pro", 200, 500_000),
        ("internal", None, None),
    ],
)
def test_published_limits(
    name: str, requests_per_min: int | None, tokens_per_min: int | None
) -> None:
    tier = find_tier(name)
    assert (tier.requests_per_min, tier.tokens_per_min) == (requests_per_min, tokens_per_min)


def test_premium_is_pro() -> None:
    assert find_tier("premium") is find_tier("pro")


def test_an_unknown_tier_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="free, standard, pro, internal"):
        find_tier("gold")
