"""What one house changes in a shared database, another one takes over by its lines."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tokenmill._native import KeyEntry, KeyRefusal, Segment
from tokenmill.accounts.registry import AccountRegistry
from tokenmill.accounts.rules import AccountLimits, limits_of
from tokenmill.accounts.store import Account
from tokenmill.accounts.views import ChangeAccount, CreateAccount
from tokenmill.control.change_keeper import ChangeKeeper
from tokenmill.control.segment_accounts import SegmentAccounts
from tokenmill.database import changes
from tokenmill.database.connection import Database
from tokenmill.errors import ServiceUnavailable
from tokenmill.keys.registry import KeyRegistry
from tokenmill.keys.views import CreateKey, RotateKey
from tokenmill.settings import Settings

NOW_S = 1_800_000_000


class House:
    """The parts of a house's control that change keys and accounts, and a segment of its own."""

    def __init__(self, database: Database, state: Path) -> None:
        state.mkdir()
        path = str(state / "hot.segment")
        self.segment = Segment.create(path, keys_max=8, workers_max=1, engines_max=1)
        self.keys = KeyRegistry(database, self.segment, state, now_s=lambda: NOW_S)
        tier_limits: partial[AccountLimits] = partial(limits_of, Settings())
        segment_accounts = SegmentAccounts(database, self.segment, tier_limits)

        def publish(account: Account) -> None:
            segment_accounts.publish(account)
            self.keys.republish(account.id)

        self.accounts = AccountRegistry(database, tier_limits, publish, accounts_max=100)
        self.changes = ChangeKeeper(database, self.keys, publish, 0)

    def find(self, secret: str) -> KeyEntry | KeyRefusal:
        return self.segment.find_key(secret.encode(), NOW_S)


@pytest.fixture
def houses(database: Database, tmp_path: Path) -> Iterator[tuple[House, House]]:
    yield House(database, tmp_path / "one"), House(database, tmp_path / "other")


def test_a_key_that_is_made_and_revoked_elsewhere(houses: tuple[House, House]) -> None:
    here, there = houses
    here.accounts.create(CreateAccount(name="acme", tier="pro"))
    made = here.keys.create(CreateKey(name="ci", account="acme", models=("m",)))
    assert there.find(made.secret) == KeyRefusal.UNKNOWN
    assert there.changes.take_over() == 2
    found = there.find(made.secret)
    assert isinstance(found, KeyEntry)
    assert found.tier == 2
    view = there.segment.account(found.account_id)
    assert view is not None
    assert view.requests_per_min == 200
    here.keys.revoke(made.key.id)
    assert there.changes.take_over() == 1
    assert there.find(made.secret) == KeyRefusal.REVOKED
    assert there.changes.take_over() == 0


def test_a_rotation_and_another_tier(houses: tuple[House, House]) -> None:
    here, there = houses
    account = here.accounts.create(CreateAccount(name="acme", tier="free"))
    old = here.keys.create(CreateKey(name="ci", account="acme"))
    there.changes.take_over()
    new = here.keys.rotate(old.key.id, RotateKey(overlap_s=60))
    here.accounts.change(account.id, ChangeAccount(tier="standard", concurrency_max=3))
    there.changes.take_over()
    entry = there.find(new.secret)
    assert isinstance(entry, KeyEntry)
    assert entry.tier == 1
    assert isinstance(there.segment.find_key(old.secret.encode(), NOW_S + 59), KeyEntry)
    assert there.segment.find_key(old.secret.encode(), NOW_S + 60) == KeyRefusal.EXPIRED
    view = there.segment.account(account.id)
    assert view is not None
    assert (view.requests_per_min, view.concurrency_max) == (60, 3)


def test_what_a_house_changed_itself_stays_as_it_is(houses: tuple[House, House]) -> None:
    here, _ = houses
    here.accounts.create(CreateAccount(name="acme", tier="free"))
    made = here.keys.create(CreateKey(name="ci", account="acme"))
    gone = here.keys.create(CreateKey(name="gone", account="acme"))
    here.keys.revoke(gone.key.id)
    here.changes.take_over()
    assert isinstance(here.find(made.secret), KeyEntry)
    assert here.find(gone.secret) == KeyRefusal.REVOKED


def test_a_full_segment_takes_over_the_rest(houses: tuple[House, House]) -> None:
    """More keys than there is room for: logged, and what comes after them is still seen."""
    here, there = houses
    here.accounts.create(CreateAccount(name="acme", tier="free"))
    first = here.keys.create(CreateKey(name="first", account="acme"))
    for number in range(8):
        there.segment.put_key(
            bytes([number]) * 32,
            key_id=100 + number,
            account_id=1,
            tier=0,
            scopes=1,
            expires_at_s=0,
        )
    assert there.changes.take_over() == 2
    assert there.find(first.secret) == KeyRefusal.UNKNOWN
    there.segment.revoke_key(bytes(32))
    here.keys.revoke(first.key.id)
    assert there.changes.take_over() == 1


def test_a_change_that_cannot_be_put_in_force_does_not_hide_the_next(
    houses: tuple[House, House], database: Database, tmp_path: Path
) -> None:
    here, there = houses

    def publish(account: Account) -> None:
        raise ServiceUnavailable("The state folder is full.")

    here.accounts.create(CreateAccount(name="acme", tier="free"))
    made = here.keys.create(CreateKey(name="ci", account="acme"))
    assert ChangeKeeper(database, there.keys, publish, 0).take_over() == 2
    assert isinstance(there.find(made.secret), KeyEntry)


def test_old_lines_are_deleted_and_numbers_go_on(
    houses: tuple[House, House], monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    here, there = houses
    monkeypatch.setattr(changes, "KEPT", 1)
    for name in ("one", "two", "three"):
        here.accounts.create(CreateAccount(name=name, tier="free"))
    there.changes.take_over()
    there.changes.forget_old()
    with database.read() as connection:
        assert changes.newest_change(connection) == 3
        assert [one.id for one in changes.changes_after(connection, 0, 9)] == [3]
