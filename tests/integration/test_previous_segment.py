"""A segment of other sizes is set aside at a start: its cells come to the ledger, then it goes."""

import fcntl
import subprocess
import sys
from pathlib import Path

from tests.support.gateway import put_account
from tokenmill._native import Segment, WorkerState
from tokenmill.accounts.local_account import ensure_local_account
from tokenmill.billing import store
from tokenmill.billing.store import NewCredit
from tokenmill.control.house_money import OPENING_GRANT, open_money
from tokenmill.control.ledger_keeper import LedgerKeeper
from tokenmill.control.previous_segment import settle_previous
from tokenmill.control.usage_names import UsageNames
from tokenmill.database.connection import Database
from tokenmill.doctor.verdicts import judge_segments
from tokenmill.keys.rules import ALL_SCOPES, digest, make_secret
from tokenmill.models.fleet import Fleet
from tokenmill.settings import Settings
from tokenmill.state_folder import previous_segments, segment_path, worker_lock_path

SECRET = make_secret("a" * 36)

DYING_WORKER = """
import os, socket, sys
from tests.integration.test_queue_over_workers import TARIFF
from tests.support.relays import TARGET, limits
from tokenmill._native import AnswerKind, Forwarder, Payer, Segment

segment = Segment.attach(sys.argv[1])
listener = socket.create_server(("127.0.0.1", 0))
forwarder = Forwarder(segment, 1, limits())
forwarder.set_fleet([(0, "http://127.0.0.1:%d" % listener.getsockname()[1], None)], [[0]])
payer = Payer(
    segment.find_key(sys.argv[2].encode(), 0), TARIFF, prompt_tokens_max=10,
    completion_tokens_max=10, tokens_estimate=10, prompt_tokens_min=1, enforce=True,
)
relay = forwarder.start(0, TARGET, b"{}", kind=AnswerKind.STREAM, request_id="req-1", payer=payer)
connection, _ = listener.accept()  # and kept: closed, it would be the request's end
os._exit(7)
"""


def make(state: Path, keys_max: int) -> Segment:
    path = str(segment_path(state))
    return Segment.create(path, keys_max=keys_max, workers_max=2, engines_max=2)


def leave_credit(database: Database, segment: Segment, reference: str) -> None:
    """Seven nanos that the ledger has not."""
    wish = NewCredit(
        account_id=1, reference=reference, kind="top_up", amount_nanos=7, note="", created_at_s=1
    )
    with database.write() as connection:
        number = store.insert_credit(connection, wish)
    assert number is not None
    put_account(segment, 1, nanos=0)
    segment.credit(1, 7, reference=number, wall_ms=1)


def balance(database: Database) -> int:
    with database.read() as connection:
        return store.balance_nanos(connection, 1)


def settle(database: Database, now: Segment, state: Path, wait_s: float) -> int:
    names = UsageNames(Fleet)
    return settle_previous(now, lambda one: LedgerKeeper(database, one, names), state, wait_s)


def test_balances_are_read_after_what_was_left_has_come_to_the_ledger(
    database: Database, tmp_path: Path
) -> None:
    ensure_local_account(database, 1)
    leave_credit(database, make(tmp_path, 10), "first")
    leave_credit(database, make(tmp_path, 20), "second")
    now = make(tmp_path, 30)
    assert len(previous_segments(tmp_path)) == 2
    money = open_money(database, now, Settings(state=tmp_path), Fleet)
    money.ledger.stop(10)
    assert previous_segments(tmp_path) == []
    found = now.account(1)
    assert found is not None
    assert found.available_nanos == balance(database) == OPENING_GRANT.amount_nanos + 14


def test_a_worker_that_lives_is_waited_for_and_one_that_died_is_rescued(
    database: Database, tmp_path: Path
) -> None:
    ensure_local_account(database, 1)
    before = make(tmp_path, 10)
    put_account(before, 1, nanos=1_000_000)
    before.put_key(
        digest(SECRET), key_id=1, account_id=1, tier=3, scopes=int(ALL_SCOPES), expires_at_s=0
    )
    command = [sys.executable, "-c", DYING_WORKER, str(segment_path(tmp_path)), SECRET]
    assert subprocess.run(command, check=False, timeout=60).returncode == 7
    assert before.open_cells() == 1
    lock = worker_lock_path(tmp_path, 1)
    lock.parent.mkdir()
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        now = make(tmp_path, 20)
        assert settle(database, now, tmp_path, 0.2) == 0
        assert len(previous_segments(tmp_path)) == 1
        # This house gives the place to a worker of its own: the earlier one is dead.
        now.set_worker_state(1, WorkerState.STARTING)
        assert settle(database, now, tmp_path, 0.2) == 1
    assert previous_segments(tmp_path) == []
    found = before.account(1)
    assert found is not None
    assert (found.available_nanos, found.in_flight) == (1_000_000, 0)


def test_a_file_that_cannot_be_read_holds_nobody_up(database: Database, tmp_path: Path) -> None:
    segment_path(tmp_path).with_name("hot.segment.previous").write_bytes(b"of another version")
    assert settle(database, make(tmp_path, 10), tmp_path, 60) == 0
    assert previous_segments(tmp_path) == []


def test_a_segment_of_another_version_is_kept_for_that_version(
    database: Database, tmp_path: Path
) -> None:
    path = segment_path(tmp_path)
    make(tmp_path, 10)
    made = path.read_bytes()
    other = made[:8] + bytes([made[8] ^ 1]) + made[9:]
    path.write_bytes(other)
    assert settle(database, make(tmp_path, 10), tmp_path, 60) == 0
    [kept] = previous_segments(tmp_path)
    assert kept.read_bytes() == other
    assert judge_segments([kept.name]).level == "warn"
