"""Whose secret it is that a request to the control plane brings: looked up in the database.

The hot segment is for inference; dashboard tokens never stand there. What is no secret of ours is
refused before the database is asked, and all refusals of unknown ones read alike.
"""

from collections.abc import Callable
from contextlib import suppress

from tokenmill import clock
from tokenmill.accounts.errors import NotAllowed
from tokenmill.accounts.visitor import Visitor
from tokenmill.database.connection import Database
from tokenmill.database.errors import DatabaseUnavailable
from tokenmill.errors import InvalidApiKey
from tokenmill.keys import rules, store
from tokenmill.keys.rules import (
    API_KEY_PREFIX,
    DASHBOARD,
    ENGINE,
    OPERATOR,
    TOKEN_PREFIX,
    Scope,
)
from tokenmill.keys.store import StoredKey

_CHALLENGE = {"www-authenticate": "Bearer"}
_HOW_TO_JOIN = "`tokenmill keys create --kind engine` makes one."
_HOW = "Send `Authorization: Bearer dt_live_…`; `tokenmill keys create --kind dashboard` makes one."


class VisitorFinder:
    """Finds the visitor behind a secret; from any thread."""

    def __init__(self, database: Database, *, now_s: Callable[[], int] = clock.wall_s) -> None:
        self._database = database
        self._now_s = now_s
        self._noted_s: dict[int, int] = {}  # at most one entry a token

    def find(self, authorization: str | None) -> Visitor:
        """The visitor. Raises: InvalidApiKey, NotAllowed, DatabaseUnavailable."""
        key = self._key(authorization)
        is_token = bool(key.scopes & DASHBOARD)
        if key.scopes & ENGINE:
            raise NotAllowed("By this token engines register themselves; it opens nothing else.")
        if not is_token and not key.scopes & Scope.USAGE:
            raise NotAllowed("This key has no scope `usage`. Send a dashboard token (dt_live_…).")
        return Visitor(
            account_id=key.account_id,
            key_id=key.id,
            may_change=is_token,
            is_operator=bool(key.scopes & OPERATOR),
        )

    def find_engine(self, authorization: str | None) -> int:
        """The number of the token by which an engine registers itself. Raises: as `find`."""
        key = self._key(authorization, "token of an engine", _HOW_TO_JOIN)
        if not key.scopes & ENGINE:
            raise NotAllowed(
                "Engines register with a token of their own:"
                " `tokenmill keys create --kind engine` makes one."
            )
        return key.id

    def _key(
        self, authorization: str | None, what: str = "dashboard token", how: str = _HOW
    ) -> StoredKey:
        if not authorization:
            raise InvalidApiKey(f"No {what} provided. {how}", headers=_CHALLENGE)
        scheme, _, rest = authorization.partition(" ")
        secret = rest.strip().encode("utf-8", "replace")
        is_ours = any(rules.is_well_formed(secret, each) for each in (TOKEN_PREFIX, API_KEY_PREFIX))
        if scheme.lower() != "bearer" or not is_ours:
            raise InvalidApiKey(f"Invalid {what} provided. {how}", headers=_CHALLENGE)
        with self._database.read() as connection:
            key = store.find_digest(connection, rules.digest(secret.decode()))
        state = key and rules.key_state(key.revoked_at_s, key.expires_at_s, self._now_s())
        if key is None or state != "live":
            reason = f": it is {state}" if key is not None else ""
            raise InvalidApiKey(f"Invalid {what} provided{reason}.", headers=_CHALLENGE)
        self._note_use(key)
        return key

    def _note_use(self, key: StoredKey) -> None:
        """Writes down that it was used, once a minute. A database that cannot take it now hears of
        the next use."""
        minute_s = self._now_s() // 60 * 60
        if minute_s > max(key.last_used_at_s, self._noted_s.get(key.id, 0)):
            self._noted_s[key.id] = minute_s
            with suppress(DatabaseUnavailable), self._database.write() as connection:
                store.mark_used(connection, {key.id: minute_s})
