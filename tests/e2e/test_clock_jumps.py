"""The wall clock of a whole house jumps, by hours and by a leap second: limits, holds, bills and
deadlines do not notice, and the books stay right."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import StartHouse
from tests.e2e.test_money import ask, check_books
from tests.support.chat import PATH, Stream, body
from tests.support.house import House
from tests.support.waiting import eventually
from tests.support.wall_clock import WallClock

WRONG_BY_S = (3_600, -3_600, 1, -1, 86_400, -90_000)
"""By how much the house's clock is wrong, one after the other: each is a jump from the last."""

PER_MIN = 10
WORDS = 200


@dataclass(frozen=True)
class Refused:
    """When there will be a permit, by the machine's monotonic clock: no earlier and no later."""

    earliest_ms: float
    latest_ms: float
    reset_s: int  # when the limit is full again, by the house's wall clock

    def agrees_with(self, other: "Refused") -> bool:
        """Whether both can mean the same moment, which is told in whole milliseconds."""
        return self.earliest_ms <= other.latest_ms + 1 and other.earliest_ms <= self.latest_ms + 1


@pytest.fixture
def clock(tmp_path: Path) -> WallClock:
    return WallClock(tmp_path)


@contextmanager
def limited_client(house: House) -> Iterator[httpx.Client]:
    """A client of an account with a limit of requests."""
    ask(house, "accounts", "create", "jumper")
    ask(house, "accounts", "change", "jumper", "--requests-per-min", str(PER_MIN))
    ask(house, "wallet", "add", "jumper", "1", "--reference", "first")
    secret = ask(house, "keys", "create", "--account", "jumper")["secret"]
    headers = {"authorization": f"Bearer {secret}"}
    with httpx.Client(base_url=house.url, headers=headers, timeout=30) as client:
        yield client


def refusal(client: httpx.Client) -> Refused:
    """What a request beyond the limit is told."""
    sent = time.monotonic() * 1000
    answer = client.post(PATH, json=body(1))
    received = time.monotonic() * 1000
    assert answer.status_code == 429, answer.text
    wait_ms = int(answer.headers["retry-after-ms"])
    reset_s = int(answer.headers["x-ratelimit-reset"])
    return Refused(sent + wait_ms, received + wait_ms, reset_s)


def test_jumps_of_the_wall_clock_change_no_limit_no_hold_and_no_bill(
    start_house: StartHouse, clock: WallClock
) -> None:
    house = start_house(environment=clock.environment)
    with house.client() as local, limited_client(house) as client:
        stream = Stream(local, WORDS)
        assert stream.has_begun.wait(20)
        while client.post(PATH, json=body(1)).status_code == 200:
            pass
        told = refusal(client)
        for seconds in WRONG_BY_S:
            clock.be_wrong_by(seconds)
            again = refusal(client)
            assert again.agrees_with(told), (seconds, told, again)
            assert abs(again.reset_s - told.reset_s - seconds) <= 2  # so it did jump
        # No lock-out either: at that moment there is a permit, by a clock that is a day behind.
        time.sleep(max(told.latest_ms / 1000 - time.monotonic(), 0) + 0.002)
        assert client.post(PATH, json=body(1)).status_code == 200
        assert stream.wait(60).is_whole
    assert house.events("child died; it is replaced") == []
    eventually(lambda: stream_row(house)["completion_tokens"] == WORDS, "the stream is billed")
    assert stream_row(house)["failed_requests"] == 0
    check_books(house)
    assert house.stop() == 0


def stream_row(house: House) -> dict[str, int]:
    """What the local account was billed, whatever day the house takes it for."""
    span = ("--from", "2000-01-01", "--to", "2199-01-01", "--by", "total")
    total: dict[str, int] = ask(house, "usage", "local", *span)["total"]
    return total
