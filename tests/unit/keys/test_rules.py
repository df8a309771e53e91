"""Secrets, scopes, states and overlaps: decisions without a clock, a disk or a table."""

import pytest

from tokenmill.keys import rules
from tokenmill.keys.rules import Scope

RANDOM = "abcdefghijklmnopqrstuvwxyz0123456789"
NOW_S = 1_000


def test_a_secret_is_prefix_random_text_and_checksum() -> None:
    secret = rules.make_secret(RANDOM)
    assert secret.startswith("pk_live_" + RANDOM)
    assert len(secret) == 50
    assert rules.is_well_formed(secret.encode())


def test_another_prefix_makes_another_kind_of_secret() -> None:
    token = rules.make_secret(RANDOM, "dt_live_")
    assert rules.is_well_formed(token.encode(), "dt_live_")
    assert not rules.is_well_formed(token.encode())


@pytest.mark.parametrize("random_text", ["", RANDOM[:-1], RANDOM + "0", RANDOM[:-1] + "-"])
def test_wrong_random_text_makes_no_secret(random_text: str) -> None:
    with pytest.raises(ValueError, match="36 random base62"):
        rules.make_secret(random_text)


def test_what_is_shown_is_not_enough_to_guess_the_rest() -> None:
    secret = rules.make_secret(RANDOM)
    assert rules.shown(secret) == f"pk_live_abcd…{secret[-4:]}"


def test_scopes_go_to_bits_and_back() -> None:
    assert rules.parse_scopes(["usage", "inference"]) == Scope.INFERENCE | Scope.USAGE
    assert rules.scope_names(9) == ("inference", "usage")
    assert rules.parse_scopes(rules.scope_names(rules.ALL_SCOPES)) == rules.ALL_SCOPES


@pytest.mark.parametrize("names", [["admin"], ["inference", ""], []])
def test_unknown_and_missing_scopes_are_refused_with_the_known_ones(names: list[str]) -> None:
    with pytest.raises(ValueError, match="inference, batches, tuning, usage"):
        rules.parse_scopes(names)


@pytest.mark.parametrize(
    ("revoked_at_s", "expires_at_s", "state"),
    [
        (0, 0, "live"),
        (0, NOW_S + 1, "live"),
        (0, NOW_S, "expired"),  # from that second on, not after it
        (1, 0, "revoked"),
        (1, 1, "revoked"),  # what was done to it says more than time
    ],
)
def test_states_of_keys(revoked_at_s: int, expires_at_s: int, state: str) -> None:
    assert rules.key_state(revoked_at_s, expires_at_s, NOW_S) == state


@pytest.mark.parametrize(
    ("expires_at_s", "ends_at_s"),
    [
        (0, NOW_S + 60),  # it would have gone on for ever
        (NOW_S + 90, NOW_S + 60),
        (NOW_S + 30, NOW_S + 30),  # rotation never makes a key live longer
    ],
)
def test_the_old_key_of_a_rotation_ends(expires_at_s: int, ends_at_s: int) -> None:
    assert rules.expiry_after_rotation(expires_at_s, 60, NOW_S) == ends_at_s
