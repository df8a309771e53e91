"""Accounts, limits and cells of the hot segment, over processes and deaths."""

import multiprocessing
import struct
import time
from pathlib import Path

import pytest

from tokenmill._native import CELL_BYTES, CELL_FORMAT, RefusalKind, Refused, Segment

PROCESSES = 8
DOLLAR = 1_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "hot.segment")


def make(path: str, *, accounts_max: int = 8, cells_max: int = 64) -> Segment:
    sizes = {"keys_max": 8, "workers_max": 2, "engines_max": 1}
    return Segment.create(path, **sizes, accounts_max=accounts_max, cells_max=cells_max)


def put(segment: Segment, account_id: int = 1, nanos: int = DOLLAR, *, rpm: int = 0) -> bool:
    return segment.put_account(
        account_id,
        requests_per_min=rpm,
        tokens_per_min=0,
        concurrency_max=0,
        weight=1,
        opening_nanos=nanos,
    )


def hammer(path: str, results: "multiprocessing.Queue[tuple[int, int]]") -> None:
    """Asks for permits for a second and a half, without pause."""
    segment = Segment.attach(path)
    taken = asked = 0
    ends = time.monotonic() + 1.5
    while time.monotonic() < ends:
        asked += 1
        taken += segment.take_request(1) is None
    results.put((taken, asked))


def test_processes_together_get_exactly_what_the_bucket_gives(path: str) -> None:
    segment = make(path)
    rpm = 600
    put(segment, rpm=rpm)
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[tuple[int, int]] = context.Queue()
    began_ns = time.monotonic_ns()
    taken = 0
    while segment.take_request(1) is None:
        taken += 1
    empty_ns = time.monotonic_ns()  # from here on it is never full: nothing is lost
    children = [context.Process(target=hammer, args=(path, results)) for _ in range(PROCESSES)]
    for child in children:
        child.start()
    got = [results.get(timeout=60) for _ in children]
    for child in children:
        child.join()
    # What is left is taken here: the sum is all that the bucket gave since it was made.
    taken += sum(each[0] for each in got)
    refused = None
    while refused is None:
        asked_ns = time.monotonic_ns()
        refused = segment.take_request(1)
        taken += refused is None
    ended_ns = time.monotonic_ns()
    assert refused.kind == RefusalKind.REQUESTS
    given_min, given_max = (
        rpm + rpm * (end_ns - begin_ns) // 60_000_000_000
        for begin_ns, end_ns in ((empty_ns, asked_ns), (began_ns, ended_ns))
    )
    assert given_min - 1 <= taken <= given_max
    assert sum(each[1] for each in got) > taken


def test_retry_after_is_the_millisecond_in_which_there_is_room(path: str) -> None:
    segment = make(path)
    put(segment, rpm=600)
    while (refused := segment.take_request(1)) is None:
        pass
    assert 1 <= refused.retry_after_ms <= 100
    time.sleep(refused.retry_after_ms / 1_000)
    assert segment.take_request(1) is None


def test_a_balance_opens_once_and_limits_change_at_will(path: str) -> None:
    segment = make(path)
    assert put(segment, nanos=5)
    assert not put(segment, nanos=7, rpm=3)
    view = segment.account(1)
    assert view is not None
    assert (view.available_nanos, view.requests_per_min) == (5, 3)
    assert segment.account(2) is None
    again = make(path)  # the next house of this boot
    assert not put(again, nanos=9)
    assert again.incarnation == segment.incarnation


def test_many_accounts_at_once(path: str) -> None:
    segment = make(path)
    one = struct.pack("<QqIIIHBx", 3, -4, 5, 6, 7, 8, 1)
    assert segment.put_accounts(one * 2) == 2
    view = segment.account(3)
    assert view is not None
    assert (view.available_nanos, view.tokens_per_min, view.weight) == (-4, 6, 8)
    with pytest.raises(ValueError, match="32 bytes"):
        segment.put_accounts(b"x")
    with pytest.raises(MemoryError, match=r"segment\.accounts_max"):
        put(segment, account_id=8)


def test_credits_go_through_cells(path: str) -> None:
    segment = make(path)
    put(segment, nanos=0)
    ticket = segment.credit(1, 50, reference=7, wall_ms=123)
    assert isinstance(ticket, int)
    assert segment.open_credits() == [7]
    assert segment.audit(1) == (50, 0, 50)
    packed = segment.settled_cells(10)
    assert packed == segment.settled_cells(10)
    assert (len(packed), struct.calcsize(CELL_FORMAT)) == (CELL_BYTES, CELL_BYTES)
    record = struct.unpack(CELL_FORMAT, packed)
    assert record[:6] == (ticket, 7, 1, 0, 0, 50)
    assert record[10] == 123
    assert segment.free_cells(packed) == 1
    assert segment.free_cells(packed) == 0
    assert (segment.open_cells(), segment.open_credits()) == (0, [])
    assert segment.audit(1) == (50, 0, 0)


def test_what_a_balance_does_not_cover_is_not_taken(path: str) -> None:
    segment = make(path)
    put(segment, nanos=10)
    refused = segment.credit(1, -11, reference=1, wall_ms=0)
    assert isinstance(refused, Refused)
    assert (refused.kind, refused.missing_nanos) == (RefusalKind.BALANCE, 1)
    assert segment.open_cells() == 0
    with pytest.raises(ValueError, match="nanos"):
        segment.credit(1, 1 << 62, reference=1, wall_ms=0)


def test_a_full_table_of_cells_refuses(path: str) -> None:
    segment = make(path, cells_max=16)
    put(segment)
    for reference in range(16):
        assert isinstance(segment.credit(1, 1, reference=reference + 1, wall_ms=0), int)
    refused = segment.credit(1, 1, reference=99, wall_ms=0)
    assert isinstance(refused, Refused)
    assert refused.kind == RefusalKind.NO_CELL
    assert segment.free_cells(segment.settled_cells(1)) == 1
    assert isinstance(segment.credit(1, 1, reference=99, wall_ms=0), int)


def test_a_balance_is_reset_only_at_rest(path: str) -> None:
    segment = make(path)
    put(segment)
    segment.credit(1, 1, reference=1, wall_ms=0)
    assert not segment.reset_balance(1, 5)
    segment.free_cells(segment.settled_cells(9))
    assert segment.reset_balance(1, 5)
    assert segment.audit(1) == (5, 0, 0)


def test_headers_name_both_limits(path: str) -> None:
    segment = make(path)
    put(segment, rpm=60)
    assert segment.take_request(1) is None
    headers = dict(segment.limit_headers(1, 1_000))
    assert headers[b"x-ratelimit-limit"] == headers[b"x-ratelimit-limit-requests"] == b"60"
    assert headers[b"x-ratelimit-remaining"] == b"59"
    assert headers[b"x-ratelimit-reset"] == b"1001"
    assert b"x-ratelimit-limit-tokens" not in headers
    assert segment.limit_headers(2, 1_000) == []


def test_a_segment_of_other_sizes_stays_for_the_ledger(path: str) -> None:
    small = make(path)
    put(small)
    small.credit(1, 1, reference=1, wall_ms=0)
    large = make(path, cells_max=128)
    assert large.open_cells() == 0
    assert large.incarnation != small.incarnation
    assert Segment.attach(f"{path}.previous").open_credits() == [1]


def test_accounts_are_not_ready_before_control_says_so(path: str) -> None:
    segment = make(path)
    assert not segment.accounts_ready
    segment.set_accounts_ready()
    assert Segment.attach(path).accounts_ready
    assert not make(path).accounts_ready


def test_a_million_accounts_cost_only_room(path: str) -> None:
    segment = make(path, accounts_max=1_000_001)
    assert Path(path).stat().st_size > 64_000_000
    assert put(segment, account_id=1_000_000)
