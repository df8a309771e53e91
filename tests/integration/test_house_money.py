"""Money at control's start, on the real hot segment: whatever died before, nothing is lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tokenmill._native import Segment
from tokenmill.accounts.errors import TooManyAccounts
from tokenmill.accounts.registry import AccountRegistry
from tokenmill.accounts.rules import limits_of
from tokenmill.accounts.views import AccountView, ChangeAccount, CreateAccount
from tokenmill.billing import store
from tokenmill.billing.store import NewCredit
from tokenmill.billing.views import AddFunds
from tokenmill.billing.wallets import LedgerRoad, Wallets
from tokenmill.control.house_money import HouseMoney, open_money
from tokenmill.control.segment_accounts import AccountsDoNotFit
from tokenmill.control.wallet_checks import check_wallets
from tokenmill.database.connection import Database
from tokenmill.models.fleet import Fleet
from tokenmill.models.own_prices import read_own_prices
from tokenmill.models.prices import Price
from tokenmill.settings import Settings

GRANT_NANOS = 10**15


@contextmanager
def control(database: Database, segment: Segment) -> Iterator[HouseMoney]:
    """Money in a control from its start to its end."""
    money = open_money(database, segment, Settings(), Fleet)
    try:
        yield money
    finally:
        money.ledger.stop(10)


def registry(
    database: Database, money: HouseMoney | None = None, accounts_max: int = 100
) -> AccountRegistry:
    publish = money.accounts.publish if money else lambda _: None
    return AccountRegistry(
        database, partial(limits_of, Settings()), publish, accounts_max=accounts_max
    )


def available(segment: Segment, account_id: int) -> int:
    found = segment.account(account_id)
    assert found is not None
    return found.available_nanos


def funds(nanos: int, reference: str) -> AddFunds:
    return AddFunds(amount_nanos=nanos, reference=reference)


def test_the_local_account_has_its_grant_once(database: Database, segment: Segment) -> None:
    for _ in range(2):
        with control(database, segment) as money:
            assert segment.accounts_ready
            assert money.wallets.view(1).available.nanos == GRANT_NANOS
            assert check_wallets(database, segment, money.ledger).is_right
    assert available(segment, 1) == GRANT_NANOS


def test_a_new_account_and_its_changes_are_in_the_segment_at_once(
    database: Database, segment: Segment
) -> None:
    with control(database, segment) as money:
        accounts = registry(database, money)
        made: AccountView = accounts.create(CreateAccount(name="acme"))
        found = segment.account(made.id)
        assert found is not None
        assert (found.requests_per_min, found.tokens_per_min) == (20, 40_000)
        credit = money.wallets.add(made.id, funds(5_000, "x"))
        assert (credit.state, available(segment, made.id)) == ("posted", 5_000)
        accounts.change(made.id, ChangeAccount(tier="pro", tokens_per_min=0))
        found = segment.account(made.id)
        assert found is not None
        assert (found.requests_per_min, found.tokens_per_min) == (200, 0)
        assert found.available_nanos == 5_000
        assert segment.open_credits() == []


def test_a_credit_of_a_house_that_is_down_is_there_after_its_start(
    database: Database, segment: Segment
) -> None:
    with control(database, segment):
        pass
    Wallets(database, LedgerRoad(database)).add(1, funds(7, "while it was down"))
    assert available(segment, 1) == GRANT_NANOS
    with control(database, segment) as money:
        assert available(segment, 1) == GRANT_NANOS + 7
        assert check_wallets(database, segment, money.ledger).is_right


def test_a_credit_that_was_written_down_and_not_sent_is_sent_by_the_next_control(
    database: Database, segment: Segment
) -> None:
    with control(database, segment):
        pass
    wish = NewCredit(
        account_id=1, reference="lost", kind="top_up", amount_nanos=7, note="", created_at_s=1
    )
    with database.write() as connection:
        assert store.insert_credit(connection, wish) is not None
    with control(database, segment) as money:
        assert money.wallets.add(1, funds(7, "lost")).state == "posted"
        assert available(segment, 1) == GRANT_NANOS + 7


def test_a_credit_that_was_sent_and_not_flushed_is_not_sent_again(
    database: Database, segment: Segment
) -> None:
    with control(database, segment) as money, money.ledger.paused():
        number = add_unposted(database, segment)
        assert segment.open_credits() == [number]
        assert money.wallets.send_waiting() == 0
    with control(database, segment) as money:
        assert segment.open_credits() == []
        assert money.wallets.view(1).balance.nanos == GRANT_NANOS + 7
        assert check_wallets(database, segment, money.ledger).is_right


def add_unposted(database: Database, segment: Segment) -> int:
    """A credit as it is when control dies before its flush; its number."""
    wish = NewCredit(
        account_id=1, reference="cut", kind="top_up", amount_nanos=7, note="", created_at_s=1
    )
    with database.write() as connection:
        number = store.insert_credit(connection, wish)
    assert number is not None
    segment.credit(1, 7, reference=number, wall_ms=1)
    return number


def test_a_lost_segment_is_made_anew_from_the_ledger(
    database: Database, segment: Segment, tmp_path: Path
) -> None:
    with control(database, segment) as money:
        money.wallets.add(1, funds(7, "x"))
    fresh = Segment.create(str(tmp_path / "fresh"), keys_max=10, workers_max=1, engines_max=1)
    with control(database, fresh):
        assert available(fresh, 1) == GRANT_NANOS + 7


def test_more_accounts_than_there_is_room_for_say_what_to_set(
    database: Database, tmp_path: Path
) -> None:
    accounts = registry(database)
    for number in range(5):
        accounts.create(CreateAccount(name=f"{number}"))
    small = Segment.create(
        str(tmp_path / "small"), keys_max=10, workers_max=1, engines_max=1, accounts_max=4
    )
    with pytest.raises(AccountsDoNotFit, match=r"segment\.accounts_max"):
        open_money(database, small, Settings(), Fleet)


def test_an_account_that_no_start_could_load_is_not_made(
    database: Database, segment: Segment
) -> None:
    accounts = registry(database, accounts_max=3)
    for number in range(2):
        accounts.create(CreateAccount(name=f"{number}"))
    with pytest.raises(TooManyAccounts):
        accounts.create(CreateAccount(name="one too many"))
    assert [account.name for account in accounts.list()] == ["0", "1"]


def test_prices_of_accounts_reach_the_workers_at_a_change_and_at_a_start(
    database: Database, segment: Segment, tmp_path: Path
) -> None:
    settings = Settings(state=tmp_path)
    made = registry(database).create(CreateAccount(name="acme"))
    money = open_money(database, segment, settings, Fleet)
    try:
        assert segment.prices_generation == 0
        desk = AccountRegistry(
            database,
            lambda tier: limits_of(settings, tier),
            money.publish,
            accounts_max=100,
        )
        desk.change(made.id, ChangeAccount(prices={"m": "7/11"}))
        assert segment.prices_generation == 1
        desk.change(made.id, ChangeAccount(tier="pro"))
        assert segment.prices_generation == 1
    finally:
        money.ledger.stop(10)
    own = read_own_prices(tmp_path)
    assert own.price_of(made.id, "m", is_dedicated=False) == Price(7, 7, 11)
    registry(database).change(made.id, ChangeAccount(prices={"m": None}))  # the house is down
    money = open_money(database, segment, settings, Fleet)
    money.ledger.stop(10)
    assert segment.prices_generation == 2
    assert not read_own_prices(tmp_path).has_any(made.id)
