"""What every database must do for the stores: one suite, run against each.

A table of contents of what the features rely on. Each exercise takes an open database with empty
tables and leaves whatever it likes.
"""

from collections.abc import Callable

import pytest
from msgspec.structs import replace
from sqlalchemy.exc import IntegrityError

from tokenmill.accounts.store import Account, find_account, insert_account, list_accounts
from tokenmill.database.connection import Database
from tokenmill.keys import store
from tokenmill.keys.store import PACKED, NewKey

NOW_S = 1_700_000_000

Exercise = Callable[[Database], None]


def make_account(database: Database, name: str = "acme", tier: str = "pro") -> Account:
    with database.write() as connection:
        return insert_account(connection, name, tier, NOW_S)


def new_key(account: Account, number: int = 1) -> NewKey:
    return NewKey(
        account_id=account.id,
        name=f"key {number}",
        shown="pk_live_AbCd…WxYz",
        digest=number.to_bytes(32),
        scopes=5,
        is_local=False,
        created_at_s=NOW_S,
        expires_at_s=0,
    )


def put(database: Database, key: NewKey) -> int:
    with database.write() as connection:
        return store.insert_key(connection, key)


def an_account_comes_back_as_it_was_made(database: Database) -> None:
    made = make_account(database)
    with database.read() as connection:
        assert find_account(connection, "acme") == made
        assert find_account(connection, "Acme") is None
        assert list_accounts(connection) == [made]


def two_accounts_never_share_a_name(database: Database) -> None:
    make_account(database)
    with pytest.raises(IntegrityError):
        make_account(database)
    make_account(database, "acme 2")


def a_key_comes_back_as_it_was_made(database: Database) -> None:
    account = make_account(database)
    new = replace(new_key(account), name="Schlüssel 鍵", is_local=True, expires_at_s=2**40 - 1)
    key_id = put(database, new)
    with database.read() as connection:
        found = store.find_key(connection, key_id)
        assert found is not None
        assert found == store.find_digest(connection, new.digest)
        assert store.find_local_keys(connection) == [found]
    assert (found.account, found.tier, found.revoked_at_s) == ("acme", "pro", 0)
    assert {name: getattr(found, name) for name in NewKey.__struct_fields__} == {
        name: getattr(new, name) for name in NewKey.__struct_fields__
    }


def two_keys_never_share_a_digest(database: Database) -> None:
    account = make_account(database)
    put(database, new_key(account))
    with pytest.raises(IntegrityError):
        put(database, new_key(account))


def a_key_needs_its_account(database: Database) -> None:
    account = make_account(database)
    with pytest.raises(IntegrityError):
        put(database, replace(new_key(account), account_id=account.id + 1))


def a_failed_transaction_leaves_nothing(database: Database) -> None:
    account = make_account(database)
    put(database, new_key(account, 2))
    with pytest.raises(IntegrityError), database.write() as connection:
        store.insert_key(connection, new_key(account, 1))
        store.insert_key(connection, new_key(account, 2))
    with database.read() as connection:
        assert store.find_digest(connection, new_key(account, 1).digest) is None


def the_first_revocation_is_the_one_that_counts(database: Database) -> None:
    key_id = put(database, new_key(make_account(database)))
    for revoked_at_s in (NOW_S + 1, NOW_S + 2):
        with database.write() as connection:
            store.mark_revoked(connection, key_id, revoked_at_s)
    with database.read() as connection:
        found = store.find_key(connection, key_id)
    assert found is not None
    assert found.revoked_at_s == NOW_S + 1


def only_live_keys_are_listed_as_live(database: Database) -> None:
    account = make_account(database)
    live = put(database, new_key(account, 1))
    revoked = put(database, new_key(account, 2))
    expired = put(database, replace(new_key(account, 3), expires_at_s=NOW_S))
    expiring = put(database, new_key(account, 4))
    with database.write() as connection:
        store.mark_revoked(connection, revoked, NOW_S)
        store.set_expiry(connection, expiring, NOW_S + 1)
    with database.read() as connection:
        every = store.list_keys(connection, is_live_only=False, now_s=NOW_S)
        alive = store.list_keys(connection, is_live_only=True, now_s=NOW_S)
    assert [key.id for key in every] == [live, revoked, expired, expiring]
    assert [key.id for key in alive] == [live, expiring]


def keys_are_packed_for_the_segment_in_pieces(database: Database) -> None:
    account = make_account(database)
    count = store.ROWS_AT_ONCE + 3
    with database.write() as connection:
        for number in range(count):
            store.insert_key(connection, new_key(account, number))
        store.mark_revoked(connection, store.insert_key(connection, new_key(account, count)), NOW_S)
    with database.read() as connection:
        assert store.count_loadable(connection, NOW_S) == count
        pieces = list(store.pack_loadable(connection, NOW_S))
    assert [len(piece) // PACKED.size for piece in pieces] == [store.ROWS_AT_ONCE, 3]
    rows = [row for piece in pieces for row in PACKED.iter_unpack(piece)]
    assert sorted(row[0] for row in rows) == [number.to_bytes(32) for number in range(count)]
    assert {row[2:] for row in rows} == {(account.id, 0, 5, 2)}


EXERCISES: tuple[Exercise, ...] = (
    an_account_comes_back_as_it_was_made,
    two_accounts_never_share_a_name,
    a_key_comes_back_as_it_was_made,
    two_keys_never_share_a_digest,
    a_key_needs_its_account,
    a_failed_transaction_leaves_nothing,
    the_first_revocation_is_the_one_that_counts,
    only_live_keys_are_listed_as_live,
    keys_are_packed_for_the_segment_in_pieces,
)
