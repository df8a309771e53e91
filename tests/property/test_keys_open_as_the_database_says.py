"""Law: whatever is made, rotated, revoked, and whoever dies in between, a secret opens exactly when
the database has its key as live; what was acknowledged as revoked never opens again."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from tokenmill._native import KeyEntry, Segment
from tokenmill.accounts.store import insert_account
from tokenmill.database.upgrade import open_database
from tokenmill.keys.loading import load_keys
from tokenmill.keys.registry import KeyRegistry
from tokenmill.keys.views import CreateKey, MadeKey, RotateKey

if TYPE_CHECKING:
    from tokenmill.database.connection import Database

BEGAN_S = 1_700_000_000
SPANS_S = st.sampled_from([0, 1, 60])


class Killed(BaseException):
    """The process ends here."""


class MortalSegment:
    """A segment whose process dies at the next change of a key, if `is_doomed`."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.is_doomed = False

    def put_key(self, *arguments: int, **fields: int) -> None:
        self._die_if_doomed()
        self.segment.put_key(*arguments, **fields)  # type: ignore[arg-type]

    def revoke_key(self, digest: bytes) -> bool:
        was_live = self.segment.revoke_key(digest)
        self._die_if_doomed()
        return was_live

    def _die_if_doomed(self) -> None:
        if self.is_doomed:
            self.is_doomed = False
            raise Killed


class Keys(RuleBasedStateMachine):
    """A house whose control may die and start again, beside a plain dictionary."""

    made = Bundle("made")

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="tokenmill-keys-")
        self.state = Path(self.folder.name)
        self.now_s = BEGAN_S
        self.expiry_by_secret: dict[str, int] = {}  # of live keys; 0: never
        self.revoked: set[str] = set()
        self.database: Database = open_database("", self.state)
        with self.database.write() as connection:
            insert_account(connection, "local", "internal", self.now_s)
        self.open_segment()

    def open_segment(self) -> None:
        path = str(self.state / "hot.segment")
        segment = Segment.create(path, keys_max=64, workers_max=1, engines_max=1)
        load_keys(self.database, segment, self.now_s)
        self.segment = MortalSegment(segment)
        self.registry = KeyRegistry(
            self.database,
            self.segment,  # type: ignore[arg-type]
            self.state,
            now_s=lambda: self.now_s,
        )

    @rule(target=made, span_s=SPANS_S)
    def create(self, span_s: int) -> MadeKey:
        made = self.registry.create(CreateKey(name="key", expires_in_s=span_s))
        self.expiry_by_secret[made.secret] = self.now_s + span_s if span_s else 0
        return made

    @rule(target=made, old=consumes(made), overlap_s=SPANS_S)
    def rotate(self, old: MadeKey, overlap_s: int) -> object:
        if not self.is_live(old.secret):
            return multiple()
        made = self.registry.rotate(old.key.id, RotateKey(overlap_s=overlap_s))
        before_s = self.expiry_by_secret[old.secret]
        self.expiry_by_secret[made.secret] = before_s
        if overlap_s:
            ends_s = self.now_s + overlap_s
            self.expiry_by_secret[old.secret] = min(before_s, ends_s) if before_s else ends_s
        else:
            self.forget(old.secret)
        return multiple(made, old) if overlap_s else made

    @rule(key=consumes(made))
    def revoke(self, key: MadeKey) -> None:
        self.registry.revoke(key.key.id)
        self.forget(key.secret)

    @rule(key=made)
    def die_while_revoking(self, key: MadeKey) -> None:
        """Nobody was told that it is revoked: after the restart it is as before."""
        if not self.is_live(key.secret):
            return
        self.segment.is_doomed = True
        try:
            self.registry.revoke(key.key.id)
        except Killed:
            self.open_segment()

    @rule()
    def die_while_creating(self) -> None:
        """Nobody was told the secret."""
        self.segment.is_doomed = True
        try:
            self.registry.create(CreateKey(name="unknown"))
        except Killed:
            self.open_segment()

    @rule(seconds=SPANS_S)
    def wait(self, seconds: int) -> None:
        self.now_s += seconds

    @rule()
    def restart_control(self) -> None:
        load_keys(self.database, self.segment.segment, self.now_s)

    @rule()
    def restart_the_machine(self) -> None:
        (self.state / "hot.segment").unlink()
        self.open_segment()

    def is_live(self, secret: str) -> bool:
        expires_at_s = self.expiry_by_secret.get(secret, -1)
        return expires_at_s == 0 or expires_at_s > self.now_s

    def forget(self, secret: str) -> None:
        self.expiry_by_secret.pop(secret, None)
        self.revoked.add(secret)

    @invariant()
    def secrets_open_as_they_should(self) -> None:
        for secret in [*self.expiry_by_secret, *self.revoked]:
            found = self.segment.segment.find_key(secret.encode(), self.now_s)
            assert isinstance(found, KeyEntry) == self.is_live(secret)

    def teardown(self) -> None:
        self.database.close()
        self.folder.cleanup()


Keys.TestCase.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
TestKeys = Keys.TestCase
