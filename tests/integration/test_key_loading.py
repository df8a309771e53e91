"""Control's start: the segment ends up with what the database has, whatever it held before."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.conformance.store_contract import make_account, new_key
from tokenmill._native import KeyEntry, KeyRefusal, Segment
from tokenmill.database.connection import Database
from tokenmill.keys import rules, store
from tokenmill.keys.errors import KeysDoNotFit
from tokenmill.keys.loading import EXPIRED_KEPT_S, ensure_local_key, load_keys, start_keys
from tokenmill.keys.local_secret import ensure_local_secret, local_key_path, replace_local_secret

NOW_S = 1_800_000_000


def secret(number: int) -> str:
    return rules.make_secret(f"{number:036d}")


def insert(database: Database, *numbers: int, expires_at_s: int = 0) -> None:
    with database.read() as connection:
        existing = store.list_keys(connection, is_live_only=False, now_s=NOW_S)
    account = make_account(database, f"account {numbers} {len(existing)}")
    with database.write() as connection:
        for number in numbers:
            key = new_key(account, number)
            digest = rules.digest(secret(number))
            store.insert_key(connection, replace(key, digest=digest, expires_at_s=expires_at_s))


def find(segment: Segment, number: int) -> KeyEntry | KeyRefusal:
    return segment.find_key(secret(number).encode(), NOW_S)


def test_a_load_makes_live_keys_open_and_says_so(database: Database, segment: Segment) -> None:
    insert(database, 1, 2)
    assert not segment.keys_ready
    assert load_keys(database, segment, NOW_S).count == 2
    assert segment.keys_ready
    found = find(segment, 1)
    assert isinstance(found, KeyEntry)
    assert (found.tier, found.scopes) == (2, 5)


def test_a_load_revokes_what_the_database_no_longer_has(
    database: Database, segment: Segment
) -> None:
    insert(database, 1)
    load_keys(database, segment, NOW_S)
    gone = rules.digest(secret(9))
    segment.put_key(gone, key_id=9, account_id=1, tier=0, scopes=1, expires_at_s=0)
    loaded = load_keys(database, segment, NOW_S)
    assert (loaded.count, loaded.gone_count) == (1, 1)
    assert find(segment, 9) == KeyRefusal.REVOKED
    assert isinstance(find(segment, 1), KeyEntry)


def test_keys_that_expired_lately_are_refused_as_expired(
    database: Database, segment: Segment
) -> None:
    insert(database, 1, expires_at_s=NOW_S - 1)
    insert(database, 2, expires_at_s=NOW_S - EXPIRED_KEPT_S)
    load_keys(database, segment, NOW_S)
    assert find(segment, 1) == KeyRefusal.EXPIRED
    assert find(segment, 2) == KeyRefusal.UNKNOWN


def test_more_keys_than_there_is_room_for_say_what_to_set(
    database: Database, tmp_path: Path
) -> None:
    small = Segment.create(str(tmp_path / "small"), keys_max=2, workers_max=1, engines_max=1)
    insert(database, 1, 2, 3)
    with pytest.raises(KeysDoNotFit, match=r"3 live keys.*segment\.keys_max to 6"):
        load_keys(database, small, NOW_S)
    assert not small.keys_ready


def test_leavings_of_an_earlier_house_do_not_take_the_room(
    database: Database, tmp_path: Path
) -> None:
    path = str(tmp_path / "small")
    earlier = Segment.create(path, keys_max=2, workers_max=1, engines_max=1)
    for number in (8, 9):
        digest = rules.digest(secret(number))
        earlier.put_key(digest, key_id=number, account_id=1, tier=0, scopes=1, expires_at_s=0)
    insert(database, 1, 2)
    segment = Segment.create(path, keys_max=2, workers_max=1, engines_max=1)
    assert load_keys(database, segment, NOW_S).count == 2
    assert [type(find(segment, number)) for number in (1, 2)] == [KeyEntry, KeyEntry]
    assert find(earlier, 8) != KeyEntry


def test_the_local_key_is_made_once(database: Database, segment: Segment, tmp_path: Path) -> None:
    start_keys(database, segment, tmp_path)
    first = ensure_local_secret(tmp_path)
    start_keys(database, segment, tmp_path)
    assert ensure_local_secret(tmp_path) == first
    with database.read() as connection:
        [key] = store.list_keys(connection, is_live_only=False, now_s=NOW_S)
    assert (key.account, key.tier, key.is_local) == ("local", "internal", True)
    assert isinstance(segment.find_key(first.encode(), NOW_S), KeyEntry)


def test_a_lost_file_gets_a_new_key_and_revokes_the_old_one(
    database: Database, segment: Segment, tmp_path: Path
) -> None:
    start_keys(database, segment, tmp_path)
    first = ensure_local_secret(tmp_path)
    local_key_path(tmp_path).unlink()
    start_keys(database, segment, tmp_path)
    assert segment.find_key(first.encode(), NOW_S) == KeyRefusal.REVOKED
    second = ensure_local_secret(tmp_path)
    assert isinstance(segment.find_key(second.encode(), NOW_S), KeyEntry)


def test_a_revocation_that_was_cut_short_is_finished(database: Database, tmp_path: Path) -> None:
    """The key is revoked in the database, but its file is still there."""
    first = ensure_local_key(database, tmp_path, NOW_S)
    with database.write() as connection:
        [key] = store.find_local_keys(connection)
        store.mark_revoked(connection, key.id, NOW_S)
    second = ensure_local_key(database, tmp_path, NOW_S)
    assert second != first
    assert ensure_local_secret(tmp_path) == second


def test_a_database_that_was_lost_takes_the_local_secret_of_the_file(
    database: Database, tmp_path: Path
) -> None:
    kept = secret(77)
    ensure_local_secret(tmp_path)
    replace_local_secret(tmp_path, kept)
    assert ensure_local_key(database, tmp_path, NOW_S) == kept
