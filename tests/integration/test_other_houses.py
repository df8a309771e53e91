"""Houses on a real Redis tell each other what they have in flight, and it counts as load."""

import json
from typing import Any

import msgspec
import pytest
from redis.exceptions import RedisError

from tests.support.gateway import fleet_of
from tests.support.redis_server import RedisServer, redis_server
from tests.support.waiting import eventually
from tokenmill.control import other_houses
from tokenmill.control.other_houses import OtherHouses, OtherHousesCollector, added_up, place_of
from tokenmill.models.fleet import Fleet
from tokenmill.purses.connection import connect
from tokenmill.purses.script import Names
from tokenmill.settings import RedisSettings

SHARED, OWN = "http://10.0.0.1:8000", "http://10.0.0.2:8000"
LOCAL = "http://127.0.0.1:8000"


class CountingSegment:
    """A segment of one house, and what was noted there."""

    def __init__(self, incarnation: int, *in_flight: int) -> None:
        self.incarnation = incarnation
        self.in_flight = list(in_flight)
        self.others: dict[int, int] = {}

    def engine_in_flight(self, engine: int) -> int:
        return self.in_flight[engine]

    def note_engine_others(self, engine: int, requests: int) -> None:
        self.others[engine] = requests


def house(
    redis: RedisServer, settings: RedisSettings, segment: CountingSegment, fleet: Fleet
) -> OtherHouses:
    client = connect(redis.url, settings)
    return OtherHouses(client, Names(settings.prefix), segment, lambda: fleet)


def test_each_house_adds_up_what_the_others_have(redis: RedisServer) -> None:
    settings = redis.fresh_settings()
    one, two, three = (CountingSegment(n, 0, 0, 0) for n in (1, 2, 3))
    one.in_flight, two.in_flight, three.in_flight = [5, 0, 2], [7, 1, 3], [0, 0, 0]
    first = house(redis, settings, one, fleet_of(SHARED, OWN, LOCAL))
    second = house(redis, settings, two, fleet_of(LOCAL, SHARED, "http://10.0.0.3:8000"))
    third = house(redis, settings, three, fleet_of(SHARED, LOCAL, OWN))
    for each in (first, second, third, first):
        each.look()
    assert one.others == {0: 1, 1: 0, 2: 7}
    assert two.others == {0: 2, 1: 5, 2: 0}
    assert three.others == {0: 6, 1: 9, 2: 0}
    assert (first.count, second.count, third.count) == (2, 1, 2)
    two.in_flight = [0, 0, 0]
    second.look()
    first.look()
    assert one.others == {0: 0, 1: 0, 2: 0}
    told = {family.name: family for family in OtherHousesCollector(third).collect()}
    assert told["tokenmill_other_houses"].samples[0].value == 2
    shown = told["tokenmill_engine_requests_elsewhere"].samples
    assert {one.labels["engine"]: one.value for one in shown} == {"e0": 6, "e1": 9, "e2": 0}


def test_a_house_that_is_silent_is_forgotten(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(other_houses, "BELIEVED_MS", 60_000)
    settings = redis.fresh_settings()
    one, two = CountingSegment(1, 4), CountingSegment(2, 9)
    first = house(redis, settings, one, fleet_of(SHARED))
    house(redis, settings, two, fleet_of(SHARED)).look()
    first.look()
    assert (one.others, first.count) == ({0: 9}, 1)
    monkeypatch.setattr(other_houses, "BELIEVED_MS", 300)
    eventually(lambda: first.look() or one.others == {0: 0}, "it is forgotten", within_s=10)
    assert redis.client.hkeys(Names(settings.prefix).loads) == [b"1"]
    assert 0 < redis.client.pttl(Names(settings.prefix).loads) <= other_houses.KEPT_MS


def test_redis_that_ends_leaves_nothing_known_and_one_that_comes_back_does(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with redis_server() as server:
        settings = RedisSettings(prefix="x", connect_ms=500, answer_ms=500)
        one = CountingSegment(1, 4)
        first = house(server, settings, one, fleet_of(SHARED))
        patient = RedisSettings(prefix="x", connect_ms=5_000, answer_ms=5_000)
        house(server, patient, CountingSegment(2, 9), fleet_of(SHARED)).look()
        first.start()
        eventually(lambda: one.others == {0: 9}, "it is known")
        with server.paused():
            eventually(lambda: first.elsewhere == {}, "it is not known any more", within_s=30)
            one.others.clear()
        eventually(lambda: 0 in one.others, "it is said again", within_s=30)
        first.stop(10)
    assert len([one for one in caplog.records if "not known" in one.message]) <= 2
    with pytest.raises((RedisError, OSError)):
        first.look()


def test_what_nobody_understands_is_left_out() -> None:
    said: list[Any] = [{"a": 2}, {"a": -5}, {"a": "x"}, [1], {"a": 2**40, "b": 1}]
    told = [json.dumps(each).encode() for each in said] + [b"{", b"\xff"]
    assert added_up(told) == {"a": 2 + other_houses.COUNT_MAX, "b": 1}


def test_a_loopback_address_is_one_of_its_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    shared, local = fleet_of(SHARED, LOCAL).engines
    socket = msgspec.structs.replace(local, url="unix:/run/engine.sock")
    here = [place_of(each) for each in (shared, local, socket)]
    monkeypatch.setattr(other_houses, "_machine", lambda: "elsewhere")
    there = [place_of(each) for each in (shared, local, socket)]
    assert here[0] == there[0] == SHARED
    assert here[1] != there[1] and here[2] != there[2]
