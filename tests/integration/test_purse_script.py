"""The script that works on purses: nothing is done twice, and no nano is lost in any order."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.redis_server import RedisServer, TestPurses
from tokenmill.purses.values import read_answer, read_look, read_purse

ACCOUNT = 7
HOUSE = 2**62 + 1
DOLLAR = 10**9


@pytest.fixture
def purses(redis: RedisServer) -> Iterator[TestPurses]:
    made = TestPurses(redis, redis.fresh_settings())
    made.put(ACCOUNT, DOLLAR)
    yield made


def admit(
    purses: TestPurses,
    request_id: str,
    reserve: int,
    tokens: int = 0,
    *,
    limits: tuple[int, int, int] = (0, 0, 0),
    enforce: int = 1,
) -> Any:
    wish = (request_id, HOUSE, reserve, tokens, *limits, enforce)
    return read_answer(purses.run(ACCOUNT, "admit", *wish))


class Refill:
    """What a bucket may have got back since this was made."""

    def __init__(self, per_min: int) -> None:
        self._per_min = per_min
        self._began = time.monotonic()

    def most(self) -> int:
        return int(self._per_min * (time.monotonic() - self._began) / 60) + 1


def available(purses: TestPurses) -> int:
    return int(purses.fields(ACCOUNT)["available"])


def test_a_deed_that_is_sent_again_is_done_once(purses: TestPurses) -> None:
    refill = Refill(1_000)
    for _ in range(2):
        assert admit(purses, "a", 300, 50, limits=(0, 1_000, 0)).word == "ok"
        assert (available(purses), purses.fields(ACCOUNT)["in_flight"]) == (DOLLAR - 300, "1")
    for _ in range(2):
        told = read_answer(purses.run(ACCOUNT, "settle", "a", 120, 20, 0, 1_000))
        assert available(purses) == DOLLAR - 120
        assert 980 <= told.tokens_remaining <= 980 + refill.most()
    for _ in range(2):
        purses.run(ACCOUNT, "post", DOLLAR - 120, 5, 1_000, "a", 20, 0)
        fields = purses.fields(ACCOUNT)
        assert (fields["available"], fields["ledger"]) == (str(DOLLAR - 120),) * 2
        assert "h:a" not in fields
    assert purses.fields(ACCOUNT)["in_flight"] == "0"
    late = read_answer(purses.run(ACCOUNT, "settle", "a", 999, 20, 0, 1_000))
    assert (late.word, available(purses)) == ("ok", DOLLAR - 120)


def test_a_request_that_never_ran_gives_all_back(purses: TestPurses) -> None:
    limits = (0, 60, 0)
    assert admit(purses, "a", 300, 60, limits=limits).tokens_remaining == 0
    for _ in range(2):
        purses.run(ACCOUNT, "void", "a", 60)
    assert available(purses) == DOLLAR
    assert admit(purses, "b", 300, 60, limits=limits).word == "ok"


def test_an_older_line_of_the_ledger_changes_nothing(purses: TestPurses) -> None:
    purses.run(ACCOUNT, "post", 500, 9, 0)
    purses.run(ACCOUNT, "post", 700, 8, 0)
    purses.run(ACCOUNT, "open", 700, 9, 0, 0)
    assert available(purses) == 500


def test_refusals_name_what_is_missing_and_hold_nothing(purses: TestPurses) -> None:
    refused = admit(purses, "a", DOLLAR + 17)
    assert (refused.word, refused.number) == ("balance", 17)
    assert admit(purses, "b", 1, limits=(0, 0, 1)).word == "ok"
    assert admit(purses, "c", 1, limits=(0, 0, 1)).word == "concurrency"
    assert admit(purses, "d", 1, 61, limits=(0, 60, 0)).word == "never"
    refill = Refill(60)
    assert admit(purses, "e", 1, 60, limits=(0, 60, 0)).word == "ok"
    wait = admit(purses, "f", 1, 30, limits=(0, 60, 0))
    assert wait.word == "tokens"
    assert 30_000 - 1_000 * refill.most() <= wait.wait_ms <= 30_000
    assert available(purses) == DOLLAR - 2


def test_what_costs_nothing_is_not_refused_for_a_debt(purses: TestPurses) -> None:
    purses.run(ACCOUNT, "post", -5, 1, 0)
    assert admit(purses, "a", 0).word == "ok"
    assert admit(purses, "b", 1).word == "balance"


def test_in_shadow_all_is_held_and_nothing_refused(purses: TestPurses) -> None:
    refill = Refill(60)
    told = admit(purses, "a", DOLLAR + 5, 10, limits=(0, 60, 0), enforce=0)
    assert (told.word, told.tokens_remaining) == ("balance", 50)
    assert available(purses) == -5
    told = admit(purses, "b", 0, 60, limits=(0, 60, 0), enforce=0)
    assert (told.word, 50 <= told.tokens_remaining <= 50 + refill.most()) == ("tokens", True)
    purses.run(ACCOUNT, "settle", "b", 0, 0, 0, 60)
    left = read_answer(purses.run(ACCOUNT, "settle", "x", 0, 0, 0, 60)).tokens_remaining
    assert 50 <= left <= 50 + refill.most()


def test_a_bucket_gives_what_a_minute_has_and_refills_evenly(purses: TestPurses) -> None:
    took = 0
    began = time.monotonic()
    while (told := read_answer(purses.run(ACCOUNT, "take", 600, 0))).word == "ok":
        took += 1
    assert 600 <= took <= 600 + 10 * (time.monotonic() - began) + 1
    assert 1 <= told.wait_ms <= 100
    assert (told.requests_remaining, told.requests_reset_ms > 59_000) == (0, True)
    time.sleep(told.wait_ms / 1_000)
    assert read_answer(purses.run(ACCOUNT, "take", 600, 0)).word == "ok"


def test_a_purse_that_is_not_there_or_closed_does_nothing(purses: TestPurses) -> None:
    for deed in (("take", 9, 9), ("admit", "a", 1, 1, 1, 0, 0, 0, 1), ("settle", "a", 1, 1, 0, 0)):
        assert read_answer(purses.run(99, *deed)).word == "unknown"
    assert read_look(purses.run(99, "look", 0, 0)) is None
    assert purses.fields(99) == {}
    purses.run(ACCOUNT, "open", DOLLAR, 0, 0, 60_000_000)
    told = read_answer(purses.run(ACCOUNT, "take", 9, 9))
    assert (told.word, 55_000 < told.wait_ms <= 60_000) == ("closed", True)
    assert admit(purses, "a", 1).word == "closed"


def test_nanos_beyond_what_a_double_holds_are_exact(purses: TestPurses) -> None:
    most = 288 * 10**15 + 1
    purses.put(ACCOUNT, most)
    assert admit(purses, "a", most - 1).word == "ok"
    assert available(purses) == 1
    assert admit(purses, "b", 2).number == 1
    purses.run(ACCOUNT, "settle", "a", 10**17 + 1, 0, 0, 0)
    assert available(purses) == most - 10**17 - 1
    look = read_look(purses.run(ACCOUNT, "look", 0, 0))
    assert look is not None
    assert (look.available_nanos, look.in_flight) == (most - 10**17 - 1, 0)


def test_the_largest_quota_is_counted_to_a_permit(purses: TestPurses) -> None:
    quota = 100_000_000
    assert admit(purses, "a", 0, quota - 3, limits=(0, quota, 0)).tokens_remaining >= 3
    assert admit(purses, "b", 0, quota, limits=(0, quota, 0)).word == "tokens"


def test_a_clock_that_is_behind_does_not_lock_a_bucket(purses: TestPurses) -> None:
    key = f"{purses.settings.prefix}:{{{ACCOUNT}}}"
    hour_us = 3_600_000_000
    at = str(time.time_ns() // 1_000 + hour_us)
    purses.server.client.hset(key, mapping={"requests_at": at, "requests_spent": "60000000"})
    told = read_answer(purses.run(ACCOUNT, "take", 1, 0))
    assert (told.word, told.wait_ms <= 60_000) == ("requests", True)


NAMES = st.sampled_from("abcd")
NANOS = st.integers(0, 2 * 10**17)
DEEDS = st.lists(
    st.one_of(
        st.tuples(st.just("admit"), NAMES, NANOS),
        st.tuples(st.just("settle"), NAMES, NANOS),
        st.tuples(st.just("void"), NAMES),
        st.tuples(st.just("post"), NAMES, st.integers(-(10**17), 10**17), st.integers(0, 9)),
        st.tuples(st.just("declare"), NAMES, NANOS, st.sampled_from("HS")),
    ),
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(deeds=DEEDS)
def test_any_order_keeps_the_sum(redis: RedisServer, deeds: list[tuple[Any, ...]]) -> None:
    """available = ledger - the nanos of all requests; in flight are those that have not ended."""
    purses = TestPurses(redis, redis.fresh_settings())
    purses.put(ACCOUNT, 2 * 10**17)
    model: dict[str, tuple[str, int]] = {}
    ledger, line = 2 * 10**17, 0
    for deed, name, *rest in deeds:
        if deed == "admit":
            fits = rest[0] == 0 or ledger - sum(n for _, n in model.values()) >= rest[0]
            told = admit(purses, name, rest[0])
            assert (told.word == "ok") == (name in model or fits)
            if told.word == "ok":
                model.setdefault(name, ("H", rest[0]))
        elif deed == "settle":
            purses.run(ACCOUNT, "settle", name, rest[0], 0, 0, 0)
            if model.get(name, ("", 0))[0] == "H":
                model[name] = ("S", rest[0])
        elif deed == "void":
            purses.run(ACCOUNT, "void", name, 0)
            if model.get(name, ("", 0))[0] == "H":
                del model[name]
        elif deed == "post":
            purses.run(ACCOUNT, "post", rest[0], rest[1], 0, name, 0, 0)
            if rest[1] > line:
                ledger, line = rest
            model.pop(name, None)
        else:
            purses.run(ACCOUNT, "declare", HOUSE, name, rest[1], rest[0], 0)
            model.setdefault(name, (rest[1], rest[0]))
    fields = {name.encode(): text.encode() for name, text in purses.fields(ACCOUNT).items()}
    purse = read_purse(fields)
    assert purse is not None
    assert (purse.ledger_nanos, purse.line) == (ledger, line)
    assert purse.available_nanos == ledger - sum(nanos for _, nanos in model.values())
    held = {one.request_id: ("S" if one.has_ended else "H", one.nanos) for one in purse.held}
    assert held == model
    running = sum(state == "H" for state, _ in model.values())
    assert purses.fields(ACCOUNT)["in_flight"] == str(running)
