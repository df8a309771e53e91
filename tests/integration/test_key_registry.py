"""Keys in database and hot segment together: made, listed, rotated, revoked."""

from pathlib import Path

import pytest
from sqlalchemy import event

from tokenmill import clock
from tokenmill._native import KeyEntry, KeyRefusal, Segment
from tokenmill.accounts.errors import AccountNotFound
from tokenmill.database.connection import Database
from tokenmill.errors import InvalidRequest
from tokenmill.keys.errors import KeyIsOver, KeyNotFound, TooManyKeys
from tokenmill.keys.loading import ensure_local_key, start_keys
from tokenmill.keys.local_secret import ensure_local_secret, local_key_path
from tokenmill.keys.registry import KeyRegistry
from tokenmill.keys.views import CreateKey, RotateKey


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now_s = clock.wall_s()

    def __call__(self) -> int:
        return self.now_s


@pytest.fixture(name="wall")
def _wall() -> Clock:
    return Clock()


@pytest.fixture
def registry(database: Database, segment: Segment, tmp_path: Path, wall: Clock) -> KeyRegistry:
    start_keys(database, segment, tmp_path)
    return KeyRegistry(database, segment, tmp_path, now_s=wall)


def opens(segment: Segment, secret: str, now_s: int) -> KeyEntry | KeyRefusal:
    return segment.find_key(secret.encode(), now_s)


def test_a_new_key_opens_at_once(registry: KeyRegistry, segment: Segment, wall: Clock) -> None:
    made = registry.create(CreateKey(name="ci", scopes=("inference", "usage")))
    found = opens(segment, made.secret, wall.now_s)
    assert isinstance(found, KeyEntry)
    assert (found.key_id, found.tier, found.scopes) == (made.key.id, 3, 9)
    assert (made.key.name, made.key.state, made.key.scopes) == (
        "ci",
        "live",
        ("inference", "usage"),
    )


def test_a_key_without_scopes_may_do_everything(registry: KeyRegistry) -> None:
    made = registry.create(CreateKey())
    assert made.key.scopes == ("inference", "batches", "tuning", "usage")


def test_no_secret_is_stored(registry: KeyRegistry, database: Database, tmp_path: Path) -> None:
    secret = registry.create(CreateKey(name="ci")).secret
    with database.read() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM keys").all()
    assert rows
    assert secret not in repr(rows)
    texts = [path.read_bytes() for path in tmp_path.iterdir() if path.is_file()]
    assert not any(secret.encode() in text for text in texts)


def test_unknown_accounts_and_scopes_are_refused(registry: KeyRegistry) -> None:
    with pytest.raises(AccountNotFound, match="'acme'"):
        registry.create(CreateKey(account="acme"))
    with pytest.raises(InvalidRequest, match="no scope 'admin'") as caught:
        registry.create(CreateKey(scopes=("admin",)))
    assert caught.value.param == "scopes"


def test_a_key_ends_when_its_time_is_over(
    registry: KeyRegistry, segment: Segment, wall: Clock
) -> None:
    made = registry.create(CreateKey(name="short", expires_in_s=60))
    assert isinstance(opens(segment, made.secret, wall.now_s + 59), KeyEntry)
    assert opens(segment, made.secret, wall.now_s + 60) == KeyRefusal.EXPIRED
    wall.now_s += 60
    assert [key.name for key in registry.list(is_live_only=True)] == ["local"]
    assert [key.state for key in registry.list()] == ["live", "expired"]


def test_a_revoked_key_opens_nothing_and_stays_in_the_list(
    registry: KeyRegistry, segment: Segment, wall: Clock
) -> None:
    made = registry.create(CreateKey(name="ci"))
    revoked = registry.revoke(made.key.id)
    assert (revoked.state, revoked.revoked_at_s) == ("revoked", wall.now_s)
    assert opens(segment, made.secret, wall.now_s) == KeyRefusal.REVOKED
    wall.now_s += 5
    assert registry.revoke(made.key.id).revoked_at_s == wall.now_s - 5
    assert [key.state for key in registry.list()] == ["live", "revoked"]


def test_what_is_not_there_cannot_be_changed(registry: KeyRegistry) -> None:
    with pytest.raises(KeyNotFound):
        registry.revoke(999)
    with pytest.raises(KeyNotFound):
        registry.rotate(999, RotateKey())


def test_both_keys_of_a_rotation_open_during_the_overlap(
    registry: KeyRegistry, segment: Segment, wall: Clock
) -> None:
    old = registry.create(CreateKey(name="ci", scopes=("usage",), expires_in_s=1_000))
    new = registry.rotate(old.key.id, RotateKey(overlap_s=60))
    assert (new.key.name, new.key.scopes) == ("ci", ("usage",))
    assert new.key.expires_at_s == old.key.expires_at_s
    for secret in (old.secret, new.secret):
        assert isinstance(opens(segment, secret, wall.now_s + 59), KeyEntry)
    assert opens(segment, old.secret, wall.now_s + 60) == KeyRefusal.EXPIRED
    assert isinstance(opens(segment, new.secret, wall.now_s + 60), KeyEntry)


def test_a_rotation_without_overlap_revokes(
    registry: KeyRegistry, segment: Segment, wall: Clock
) -> None:
    old = registry.create(CreateKey(name="ci"))
    new = registry.rotate(old.key.id, RotateKey())
    assert opens(segment, old.secret, wall.now_s) == KeyRefusal.REVOKED
    assert isinstance(opens(segment, new.secret, wall.now_s), KeyEntry)
    with pytest.raises(KeyIsOver, match="revoked"):
        registry.rotate(old.key.id, RotateKey())


def test_rotating_the_local_key_changes_its_file(
    registry: KeyRegistry, segment: Segment, tmp_path: Path, wall: Clock
) -> None:
    [local] = registry.list()
    made = registry.rotate(local.id, RotateKey(overlap_s=60))
    assert ensure_local_secret(tmp_path) == made.secret
    assert made.key.is_local
    assert local_key_path(tmp_path).stat().st_mode & 0o777 == 0o600


def test_revoking_the_local_key_makes_another_one_at_the_next_start(
    registry: KeyRegistry, database: Database, segment: Segment, tmp_path: Path, wall: Clock
) -> None:
    [local] = registry.list()
    before = ensure_local_secret(tmp_path)
    registry.revoke(local.id)
    assert not local_key_path(tmp_path).exists()
    start_keys(database, segment, tmp_path)
    after = ensure_local_secret(tmp_path)
    assert after != before
    assert opens(segment, before, wall.now_s) == KeyRefusal.REVOKED
    assert isinstance(opens(segment, after, wall.now_s), KeyEntry)


def test_a_key_that_finds_no_room_is_not_left_behind(
    database: Database, tmp_path: Path, wall: Clock
) -> None:
    small = Segment.create(str(tmp_path / "small"), keys_max=2, workers_max=1, engines_max=1)
    start_keys(database, small, tmp_path)
    registry = KeyRegistry(database, small, tmp_path, now_s=wall)
    registry.create(CreateKey(name="fits"))
    with pytest.raises(TooManyKeys, match=r"segment\.keys_max"):
        registry.create(CreateKey(name="does not"))
    assert [key.name for key in registry.list(is_live_only=True)] == ["local", "fits"]


def test_a_key_is_in_the_database_before_it_opens_and_revoked_there_last(
    database: Database, segment: Segment, tmp_path: Path
) -> None:
    """Whatever dies in between: no acknowledged key is lost, no revoked one opens."""
    start_keys(database, segment, tmp_path)
    registry = KeyRegistry(database, segment, tmp_path)
    live_at_commit: list[int] = []
    note = lambda _: live_at_commit.append(segment.key_count())  # noqa: E731
    event.listen(database._engine, "commit", note)
    made = registry.create(CreateKey(name="ci"))
    assert live_at_commit == [1]
    assert segment.key_count() == 2
    live_at_commit.clear()
    registry.revoke(made.key.id)
    event.remove(database._engine, "commit", note)
    assert live_at_commit[-1] == 1


def test_without_a_segment_the_next_start_tells_the_workers(
    database: Database, segment: Segment, tmp_path: Path, wall: Clock
) -> None:
    ensure_local_key(database, tmp_path, wall.now_s)
    offline = KeyRegistry(database, None, tmp_path, now_s=wall)
    kept = offline.create(CreateKey(name="kept"))
    gone = offline.create(CreateKey(name="gone"))
    offline.revoke(gone.key.id)
    start_keys(database, segment, tmp_path)
    assert isinstance(opens(segment, kept.secret, wall.now_s), KeyEntry)
    assert opens(segment, gone.secret, wall.now_s) == KeyRefusal.UNKNOWN
