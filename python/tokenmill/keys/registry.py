"""What happens to keys: the one place that changes database and hot segment, in the safe order.

A key is made in the database, then in the segment; revoked in the segment, then in the database.
Whatever dies between the two, no key is lost that was acknowledged and none opens that was said to
be revoked: the next start loads the database. Control has one registry; a command that works while
the house is down has one without a segment.
"""

import threading
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace
from sqlalchemy import Connection

from tokenmill import clock, ids
from tokenmill._native import Segment
from tokenmill.accounts.errors import AccountNotFound
from tokenmill.accounts.rules import tier_index
from tokenmill.accounts.store import find_account
from tokenmill.database.connection import Database
from tokenmill.errors import InvalidRequest
from tokenmill.keys import local_secret, rules, store
from tokenmill.keys.errors import KeyIsOver, KeyNotFound, TooManyKeys
from tokenmill.keys.model_lists import ModelLists
from tokenmill.keys.rules import KeyKind
from tokenmill.keys.store import NewKey, StoredKey
from tokenmill.keys.views import CreateKey, KeyView, MadeKey, RotateKey


class KeyRegistry:
    """Makes, lists, rotates and revokes keys; from any thread, one change after the other."""

    def __init__(
        self,
        database: Database,
        segment: Segment | None,
        state: Path,
        *,
        now_s: Callable[[], int] = clock.wall_s,
    ) -> None:
        self._database = database
        self._segment = segment
        self._state = state
        self._now_s = now_s
        # Two changes of one key at once could reach database and segment in different orders.
        self._turn = threading.Lock()
        self._lists = ModelLists(state)

    def create(self, wish: CreateKey) -> MadeKey:
        """A new key. Raises: InvalidRequest, AccountNotFound, TooManyKeys, DatabaseUnavailable."""
        now_s = self._now_s()
        secret = fresh_secret(wish.kind)
        with self._turn:
            with self._database.write() as connection:
                account = find_account(connection, wish.account)
                if account is None:
                    message = f"There is no account called {wish.account!r}."
                    raise AccountNotFound(message, param="account")
                new = NewKey(
                    account_id=account.id,
                    name=wish.name,
                    shown=rules.shown(secret),
                    digest=rules.digest(secret),
                    scopes=_scopes(wish),
                    is_local=False,
                    created_at_s=now_s,
                    expires_at_s=now_s + wish.expires_in_s if wish.expires_in_s else 0,
                    models=rules.models_text(wish.models),
                )
                key = _insert(connection, new)
            self._publish(key, now_s)
        return MadeKey(secret=secret, key=key_view(key, now_s))

    def list(self, *, is_live_only: bool = False, account_id: int | None = None) -> list[KeyView]:
        """Keys of an account or of all, oldest first. Raises: DatabaseUnavailable."""
        now_s = self._now_s()
        with self._database.read() as connection:
            found = store.list_keys(
                connection, is_live_only=is_live_only, now_s=now_s, account_id=account_id
            )
        return [key_view(key, now_s) for key in found]

    def find(self, key_id: int) -> KeyView:
        """The key of this number. Raises: KeyNotFound, DatabaseUnavailable."""
        with self._database.read() as connection:
            return key_view(_known_key(connection, key_id), self._now_s())

    def republish(self, account_id: int) -> None:
        """The account's live keys stand in the segment with the account's tier of now."""
        with self._turn:
            now_s = self._now_s()
            with self._database.read() as connection:
                found = store.list_keys(
                    connection, is_live_only=True, now_s=now_s, account_id=account_id
                )
            for key in found:
                self._put(key)

    def refresh(self, key_id: int) -> None:
        """The key stands in the segment as the database has it: another house changed it.

        Raises: DatabaseUnavailable, MemoryError (the segment has no room for it).
        """
        with self._turn:
            with self._database.read() as connection:
                key = store.find_key(connection, key_id)
            if key is None or self._segment is None:
                return
            if key.revoked_at_s:
                self._segment.revoke_key(key.digest)
            else:
                self._put(key)

    def rotate(self, key_id: int, wish: RotateKey) -> MadeKey:
        """A new key in the place of an old one, which still opens for `overlap_s`.

        Raises: KeyNotFound, KeyIsOver, TooManyKeys, DatabaseUnavailable.
        """
        now_s = self._now_s()
        with self._turn:
            with self._database.write() as connection:
                old = _live_key(connection, key_id, now_s)
                secret = fresh_secret(rules.kind_of(old.scopes))
                key = _insert(connection, _successor(old, secret, now_s))
                if wish.overlap_s:
                    ends_at_s = rules.expiry_after_rotation(old.expires_at_s, wish.overlap_s, now_s)
                    store.set_expiry(connection, old.id, ends_at_s)
                    old = replace(old, expires_at_s=ends_at_s)
            self._publish(key, now_s)
            if key.is_local:
                local_secret.replace_local_secret(self._state, secret)
                local_secret.keep_local_number(self._state, key.id)
            if wish.overlap_s:
                self._put(old)
            else:
                self._revoke(old, now_s)
        return MadeKey(secret=secret, key=key_view(key, now_s))

    def revoke(self, key_id: int) -> KeyView:
        """The key, which opens nothing any more. Raises: KeyNotFound, DatabaseUnavailable."""
        now_s = self._now_s()
        with self._turn:
            with self._database.read() as connection:
                key = _known_key(connection, key_id)
            if key.revoked_at_s:
                return key_view(key, now_s)
            self._revoke(key, now_s)
            if key.is_local:
                local_secret.remove_local_secret(self._state)
        return key_view(replace(key, revoked_at_s=now_s), now_s)

    def _publish(self, key: StoredKey, now_s: int) -> None:
        """Raises: TooManyKeys; the key is then revoked, as nobody was told of it."""
        try:
            self._put(key)
        except MemoryError as error:
            with self._database.write() as connection:
                store.mark_revoked(connection, key.id, now_s)
            raise TooManyKeys from error

    def _put(self, key: StoredKey) -> None:
        if self._segment is not None and rules.kind_of(key.scopes) == "api":
            if key.models:
                self._lists.put(key.id, rules.parse_models(key.models))
            self._segment.put_key(
                key.digest,
                key_id=key.id,
                account_id=key.account_id,
                tier=tier_index(key.tier),
                scopes=key.scopes,
                expires_at_s=key.expires_at_s,
            )

    def _revoke(self, key: StoredKey, now_s: int) -> None:
        if self._segment is not None:
            self._segment.revoke_key(key.digest)
        with self._database.write() as connection:
            store.mark_revoked(connection, key.id, now_s)


def fresh_secret(kind: KeyKind = "api") -> str:
    """The secret of a new key."""
    return rules.make_secret(ids.base62(rules.RANDOM_CHARACTERS), rules.prefix_of(kind))


def key_view(key: StoredKey, now_s: int) -> KeyView:
    """What may be shown of a key."""
    return KeyView(
        id=key.id,
        kind=rules.kind_of(key.scopes),
        name=key.name,
        account=key.account,
        account_id=key.account_id,
        tier=key.tier,
        shown=key.shown,
        scopes=rules.scope_names(key.scopes),
        models=rules.parse_models(key.models),
        state=rules.key_state(key.revoked_at_s, key.expires_at_s, now_s),
        is_local=key.is_local,
        created_at_s=key.created_at_s,
        expires_at_s=key.expires_at_s,
        revoked_at_s=key.revoked_at_s,
        last_used_at_s=key.last_used_at_s,
    )


def _scopes(wish: CreateKey) -> int:
    try:
        scopes = rules.parse_scopes(wish.scopes) if wish.scopes else rules.ALL_SCOPES
        scopes |= rules.SOME_MODELS if wish.models else 0
        return scopes | rules.kind_bits(wish.kind)
    except ValueError as error:
        raise InvalidRequest(f"{error}.", param="scopes") from error


def _insert(connection: Connection, new: NewKey) -> StoredKey:
    return _known_key(connection, store.insert_key(connection, new))


def _known_key(connection: Connection, key_id: int) -> StoredKey:
    key = store.find_key(connection, key_id)
    if key is None:
        raise KeyNotFound
    return key


def _live_key(connection: Connection, key_id: int, now_s: int) -> StoredKey:
    key = _known_key(connection, key_id)
    state = rules.key_state(key.revoked_at_s, key.expires_at_s, now_s)
    if state != "live":
        raise KeyIsOver(f"The key is {state}. Make a new one with `tokenmill keys create`.")
    return key


def _successor(old: StoredKey, secret: str, now_s: int) -> NewKey:
    return NewKey(
        account_id=old.account_id,
        name=old.name,
        shown=rules.shown(secret),
        digest=rules.digest(secret),
        scopes=old.scopes,
        is_local=old.is_local,
        created_at_s=now_s,
        expires_at_s=old.expires_at_s,
        models=old.models,
    )
