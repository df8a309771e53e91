"""The tiers, which the hot segment knows by their place."""

import pytest

from tokenmill.accounts.rules import TIERS, limits_of, tier_index, tier_name
from tokenmill.settings import FreeTierSettings, Settings


def test_tiers_keep_their_places() -> None:
    assert TIERS == ("free", "standard", "pro", "internal")
    assert [tier_index(tier) for tier in TIERS] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("name", "requests_per_min", "tokens_per_min"),
    [
        ("free", 20, 40_000),
        ("standard", 60, 150_000),
        ("pro", 200, 500_000),
        ("premium", 200, 500_000),
        ("internal", 0, 0),
    ],
)
def test_published_limits(name: str, requests_per_min: int, tokens_per_min: int) -> None:
    limits = limits_of(Settings(), name)
    assert (limits.requests_per_min, limits.tokens_per_min) == (requests_per_min, tokens_per_min)


def test_limits_are_a_matter_of_settings() -> None:
    settings = Settings(tier_free=FreeTierSettings(requests_per_min=1, concurrency_max=2))
    limits = limits_of(settings, "free")
    assert (limits.requests_per_min, limits.concurrency_max) == (1, 2)


def test_premium_is_pro() -> None:
    assert tier_name("premium") == "pro"


def test_an_unknown_tier_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="free, standard, pro, internal"):
        tier_name("gold")
