"""What control does with keys at its start: the local key is there, and the segment has them all.

The segment may be new, or may hold what an earlier control left. It is right when `load_keys`
returns, and at no time opens for a key that the database does not have as live.
"""

from contextlib import closing
from pathlib import Path

from msgspec import Struct
from sqlalchemy import Connection

from tokenmill import clock
from tokenmill._native import Segment
from tokenmill.accounts.local_account import local_account
from tokenmill.accounts.rules import LOCAL_ACCOUNT
from tokenmill.accounts.store import Account
from tokenmill.database.connection import Database
from tokenmill.keys import rules, store
from tokenmill.keys.errors import KeysDoNotFit
from tokenmill.keys.local_secret import (
    ensure_local_secret,
    keep_local_number,
    local_number,
    replace_local_secret,
)
from tokenmill.keys.model_lists import ModelLists
from tokenmill.keys.registry import fresh_secret
from tokenmill.keys.store import NewKey, StoredKey

EXPIRED_KEPT_S = 7 * 86_400
"""Keys that expired less than this ago are loaded, to be refused as expired and not as unknown."""


class Loaded(Struct, frozen=True):
    """How many keys the segment was given, and how many that it had for live are gone."""

    count: int
    gone_count: int


def start_keys(database: Database, segment: Segment, state: Path) -> Loaded:
    """The local key exists and the workers may look keys up.

    Raises: KeysDoNotFit, DatabaseUnavailable, OSError (the state folder).
    """
    now_s = clock.wall_s()
    ensure_local_key(database, state, now_s)
    # Before the keys: one whose list a worker does not know opens no model at all.
    with database.read() as connection:
        ModelLists(state).replace(store.model_lists(connection))
    return load_keys(database, segment, now_s)


def ensure_local_key(database: Database, state: Path, now_s: int) -> str:
    """The secret of the local key, which is live; its account is there too.

    If its file was lost, the key it held is revoked: nobody knows who has it now.
    """
    secret = ensure_local_secret(state)
    with database.read() as connection:
        key = store.find_digest(connection, rules.digest(secret))
    if key is not None and rules.key_state(key.revoked_at_s, key.expires_at_s, now_s) == "live":
        keep_local_number(state, key.id)
        return secret
    with database.write() as connection:
        account = local_account(connection, now_s)
        if store.find_digest(connection, rules.digest(secret)) is not None:
            # Revoked or expired, but its file is still there: a revocation that was cut short.
            secret = fresh_secret()
            replace_local_secret(state, secret)
        for old in _lost_keys(connection, state):
            store.mark_revoked(connection, old.id, now_s)
        key_id = store.insert_key(connection, _local_key(account, secret, now_s))
    keep_local_number(state, key_id)
    return secret


def load_keys(database: Database, segment: Segment, now_s: int) -> Loaded:
    """Puts every live key into the segment, revokes there what is gone, and says that it is ready.

    Cost: some 4 µs a key, in constant memory. Raises: KeysDoNotFit, DatabaseUnavailable.
    """
    expired_after_s = now_s - EXPIRED_KEPT_S
    if not segment.keys_ready:
        # Nobody asks yet: what an earlier house left must not take the room of what is there now.
        segment.begin_key_load()
        segment.end_key_load()
    with database.read() as connection:
        segment.begin_key_load()
        try:
            with closing(store.pack_loadable(connection, expired_after_s)) as pieces:
                count = sum(map(segment.put_keys, pieces))
        except MemoryError as error:
            wanted = store.count_loadable(connection, expired_after_s)
            raise KeysDoNotFit(
                f"The database holds {wanted} live keys, more than the hot segment has room for."
                f" Set segment.keys_max to {2 * wanted} and start again."
            ) from error
    gone = segment.end_key_load()
    segment.set_keys_ready()
    return Loaded(count, gone)


def _lost_keys(connection: Connection, state: Path) -> list[StoredKey]:
    """Local keys of this house whose secret is not in its file: other houses may share a server."""
    found = store.find_local_keys(connection)
    if connection.dialect.name == "sqlite":
        return found
    return [key for key in found if key.id == local_number(state)]


def _local_key(account: Account, secret: str, now_s: int) -> NewKey:
    return NewKey(
        account_id=account.id,
        name=LOCAL_ACCOUNT,
        shown=rules.shown(secret),
        digest=rules.digest(secret),
        scopes=rules.ALL_SCOPES,
        is_local=True,
        created_at_s=now_s,
        expires_at_s=0,
    )
