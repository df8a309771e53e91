"""The law of the ledger: whatever happens in whatever order, the database says what 40 lines say.

Accounts get money, ask, are refunded; keepers flush, crash at any statement or after the commit,
and are replaced; what they freed comes again. Money is neither lost nor made, nothing counts twice.
The model below knows requests and credits and nothing of cells, tickets, books or transactions.

TOKENMILL_TEST_LEDGER_STEPS asks for that many steps instead of the few of every run. Some examples
have fewer than they may: how many steps were made is printed.
"""

import contextlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.support.ledger import (
    Crash,
    CrashPoint,
    balances,
    give,
    make_accounts,
    make_keeper,
    total,
)
from tests.support.memory_cells import MemoryCells, Request
from tokenmill.billing.verification import verify_ledger
from tokenmill.billing.views import RefundFunds
from tokenmill.billing.wallets import LedgerRoad, Wallets
from tokenmill.database.upgrade import open_database
from tokenmill.errors import ClientError

# A crash in the middle of a statement leaves a connection behind that nobody gave back.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.timeout(0 if "TOKENMILL_TEST_LEDGER_STEPS" in os.environ else 120),
]

ACCOUNTS = 3
STEPS = int(os.environ.get("TOKENMILL_TEST_LEDGER_STEPS", "400"))
STEPS_OF_ONE = 50

one_account = st.integers(0, ACCOUNTS - 1)
amounts = st.integers(1, 10**12)


class Model:
    """What accounts own, were billed and got back."""

    def __init__(self) -> None:
        self.owned = [0] * ACCOUNTS
        self.billed = [0] * ACCOUNTS
        self.refunded = [0] * ACCOUNTS
        self.references: set[tuple[int, str]] = set()
        self.requests = 0

    def top_up(self, account: int, reference: str, nanos: int) -> bool:
        if (account, reference) in self.references:
            return False
        self.references.add((account, reference))
        self.owned[account] += nanos
        return True

    def ask(self, account: int, nanos: int) -> None:
        self.owned[account] -= nanos
        self.billed[account] += nanos
        self.requests += 1

    def refund(self, account: int, nanos: int) -> bool:
        if self.refunded[account] + nanos > self.billed[account]:
            return False
        self.owned[account] += nanos
        self.refunded[account] += nanos
        return True


class Ledger(RuleBasedStateMachine):
    """The real stores beside the model."""

    steps = 0

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.database = open_database("", Path(self.folder.name))
        self.accounts = make_accounts(self.database, ACCOUNTS)
        self.cells = MemoryCells()
        self.keeper = make_keeper(self.database, self.cells)
        self.wallets = Wallets(self.database, LedgerRoad(self.database))
        self.model = Model()
        self.freed: dict[int, bytes] = {}
        self.count = 0

    @rule(account=one_account, reference=st.sampled_from("abcdef"), nanos=amounts)
    def top_up(self, account: int, reference: str, nanos: int) -> None:
        is_new = self.model.top_up(account, reference, nanos)
        given = give(self.database, self.cells, self.accounts[account], nanos, reference)
        assert given == is_new

    @rule(
        account=one_account,
        service_class=st.integers(0, 2),
        endpoint=st.integers(0, 2),
        tokens=st.integers(0, 5_000),
        price=st.sampled_from([0, 20, 100]),
        copies=st.integers(1, 4),
    )
    def ask(
        self,
        *,
        account: int,
        service_class: int,
        endpoint: int,
        tokens: int,
        price: int,
        copies: int,
    ) -> None:
        request = Request(
            account_id=self.accounts[account],
            service_class=service_class,
            endpoint=endpoint,
            completion_tokens=tokens,
            price_nanos=price,
        )
        for _ in range(copies):
            self.cells.settle(request)
            self.model.ask(account, request.amount_nanos)

    @rule(account=one_account, nanos=amounts)
    def refund(self, account: int, nanos: int) -> None:
        """After a flush: what is not billed yet cannot be refunded."""
        self.flush()
        is_right = self.model.refund(account, nanos)
        self.count += 1
        wish = RefundFunds(amount_nanos=nanos, reference=f"refund {self.count}")
        try:
            self.wallets.refund(self.accounts[account], wish)
        except ClientError:
            assert not is_right
        else:
            assert is_right
            self.cells.available[self.accounts[account]] += nanos

    @rule()
    def flush(self) -> None:
        self.freed |= self.cells.settled
        self.keeper.flush_all()
        assert self.cells.settled == {}
        self.compare()

    @rule(at=st.integers(1, 14), after=st.booleans())
    def crash(self, at: int, after: bool) -> None:
        """The keeper dies at a statement; another one starts."""
        with CrashPoint(self.database._engine, at, after=after), contextlib.suppress(Crash):
            self.keeper.flush_all()
        assert sum(balances(self.database).values()) == 0
        self.keeper = make_keeper(self.database, self.cells)

    @rule()
    def die_before_freeing(self) -> None:
        """The commit was made, the cells were not freed."""
        settled = dict(self.cells.settled)
        self.keeper.flush_all()
        self.cells.settled = settled
        self.keeper = make_keeper(self.database, self.cells)

    @rule()
    def replay(self) -> None:
        """All that was ever freed comes once more."""
        self.cells.settled |= self.freed

    @invariant()
    def count_steps(self) -> None:
        Ledger.steps += 1

    def compare(self) -> None:
        """Nothing is on its way: database, words and model are one."""
        books = balances(self.database)
        assert sum(books.values()) == 0
        for number, account in enumerate(self.accounts):
            owned = self.model.owned[number]
            assert books.get(f"customer:{account}", 0) == owned
            assert self.cells.available.get(account, 0) == owned
        billed = (self.model.requests, sum(self.model.billed))
        for table in ("transfers", "usage_days", "usage_hours", "usage_rows"):
            assert total(self.database, table) == billed

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.keeper.flush_all()
            self.compare()
            assert verify_ledger(self.database, []).is_right
            self.database.close()
            self.folder.cleanup()


def teardown_module() -> None:
    print(f"{Ledger.steps} steps beside the model")


TestLedger = Ledger.TestCase
TestLedger.settings = settings(
    max_examples=max(1, STEPS // STEPS_OF_ONE),
    stateful_step_count=STEPS_OF_ONE,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
