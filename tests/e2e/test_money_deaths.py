"""Control killed under streams: they go on, and each is billed what its engine made, once."""

import json
import threading
from typing import Any

import httpx

from tests.e2e.conftest import StartHouse
from tests.e2e.test_money import billed, check_books
from tests.support.chat import PATH, body
from tests.support.house import House
from tests.support.waiting import eventually

WORDS = 60
STREAMS = 8


class Metered:
    """A stream whose client is told its usage with each word; `seen` is the last one."""

    def __init__(self, house: House) -> None:
        self.seen = 0
        self.is_whole = False
        self._house = house
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        options = {"include_usage": True, "continuous_usage_stats": True}
        wish: dict[str, Any] = body(WORDS, stream=True) | {"stream_options": options}
        try:
            with self._house.client() as client, client.stream("POST", PATH, json=wish) as answer:
                for line in answer.iter_lines():
                    self._read(line)
        except httpx.HTTPError:
            pass  # it broke: that is what the test is about

    def _read(self, line: str) -> None:
        if line == "data: [DONE]":
            self.is_whole = True
        elif line.startswith("data: {"):
            usage = json.loads(line[6:]).get("usage")
            if usage:
                self.seen = max(self.seen, usage["completion_tokens"])


def run_streams(house: House) -> list[Metered]:
    """Streams under which control is killed; all have ended."""
    streams = [Metered(house) for _ in range(STREAMS)]
    eventually(lambda: all(stream.seen > 3 for stream in streams), "all are under way")
    house.kill_child("control")
    for stream in streams:
        stream.wait()
    return streams


def check_bill(house: House, streams: list[Metered]) -> None:
    """Each request is billed once: what its client saw."""
    eventually(lambda: billed(house)["requests"] == len(streams), "all are billed", within_s=20)
    found = billed(house)
    assert found["completion_tokens"] == sum(stream.seen for stream in streams)
    assert found["cost_nanos"] == 100 * (found["completion_tokens"] + found["prompt_tokens"])
    check_books(house)


def test_a_killed_control_bills_nothing_twice_and_nothing_less(start_house: StartHouse) -> None:
    house = start_house()
    streams = run_streams(house)
    assert all(stream.is_whole and stream.seen == WORDS for stream in streams)
    check_bill(house, streams)
