"""The form of secrets: Python and the native module agree with the shared vectors."""

import tomllib
from pathlib import Path

import pytest

from tokenmill._native import KeyEntry, KeyRefusal, Segment
from tokenmill.keys import rules

CASES = tomllib.loads((Path(__file__).parent / "cases" / "keys.toml").read_text())


@pytest.mark.parametrize("case", CASES["valid"], ids=lambda case: case["secret"])
def test_valid_secrets(case: dict[str, str], segment: Segment) -> None:
    secret, prefix = case["secret"], case["prefix"]
    assert rules.make_secret(case["random"], prefix) == secret
    assert rules.is_well_formed(secret.encode(), prefix)
    assert rules.digest(secret).hex() == case["sha256"]
    found = segment.find_key(secret.encode(), 0)
    is_api_key = prefix == rules.API_KEY_PREFIX
    assert found == (KeyRefusal.UNKNOWN if is_api_key else KeyRefusal.MALFORMED)


@pytest.mark.parametrize("case", CASES["valid"], ids=lambda case: case["secret"])
def test_the_native_digest_is_the_one_of_the_vectors(
    case: dict[str, str], segment: Segment
) -> None:
    if case["prefix"] != rules.API_KEY_PREFIX:
        return
    digest = bytes.fromhex(case["sha256"])
    segment.put_key(digest, key_id=7, account_id=8, tier=3, scopes=5, expires_at_s=0)
    found = segment.find_key(case["secret"].encode(), 0)
    assert isinstance(found, KeyEntry)
    assert (found.key_id, found.account_id, found.tier, found.scopes) == (7, 8, 3, 5)


@pytest.mark.parametrize("case", CASES["invalid"], ids=lambda case: case["secret"])
def test_invalid_secrets(case: dict[str, str], segment: Segment) -> None:
    secret = case["secret"].encode()
    assert not rules.is_well_formed(secret)
    assert segment.find_key(secret, 0) == KeyRefusal.MALFORMED
