"""Law: Python and the native module agree on which texts are secrets, and any one typing error in a
secret makes it none."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenmill._native import KeyRefusal, Segment
from tokenmill.ids import BASE62
from tokenmill.keys import rules

secrets = st.text(BASE62, min_size=36, max_size=36).map(rules.make_secret)
characters = st.sampled_from(string.printable)


@pytest.fixture(scope="module", name="shared")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Segment:
    path = tmp_path_factory.mktemp("segment") / "hot.segment"
    return Segment.create(str(path), keys_max=8, workers_max=1, engines_max=1)


def is_secret(shared: Segment, text: bytes) -> bool:
    native = shared.find_key(text, 0) != KeyRefusal.MALFORMED
    assert native == rules.is_well_formed(text)
    return native


@given(secrets)
def test_made_secrets_are_secrets(shared: Segment, secret: str) -> None:
    assert is_secret(shared, secret.encode())


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_anything_else_is_judged_alike(shared: Segment, text: bytes) -> None:
    is_secret(shared, text)
    is_secret(shared, b"pk_live_" + text)


@given(secrets, st.integers(0, 49), characters)
def test_another_character_is_noticed(
    shared: Segment, secret: str, at: int, character: str
) -> None:
    changed = secret[:at] + character + secret[at + 1 :]
    assert is_secret(shared, changed.encode()) == (changed == secret)


@given(secrets, st.integers(0, 48))
def test_swapped_neighbours_are_noticed(shared: Segment, secret: str, at: int) -> None:
    changed = secret[:at] + secret[at + 1] + secret[at] + secret[at + 2 :]
    assert is_secret(shared, changed.encode()) == (changed == secret)


@given(secrets, st.integers(0, 49), characters)
def test_a_character_more_or_less_is_noticed(
    shared: Segment, secret: str, at: int, character: str
) -> None:
    assert not is_secret(shared, (secret[:at] + secret[at + 1 :]).encode())
    assert not is_secret(shared, (secret[:at] + character + secret[at:]).encode())
