"""What other houses have in flight with the engines that this one uses too, through Redis.

Five times a second each house says how many requests it has with which engine, and reads what the
others said; the sums stand in the hot segment, where they are part of an engine's load. What a
house said is believed for two seconds by Redis's clock, what stands in the segment for two more:
so no load is staler than four seconds, however Redis or the house ended. In a thread of its own.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, Protocol
from uuid import getnode

import msgspec
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from tokenmill.control.own_thread import OwnThread
from tokenmill.engines.address import parse_address
from tokenmill.models.fleet import Engine, Fleet
from tokenmill.purses.script import Names

SAY_S = 0.2
BELIEVED_MS = 2_000
KEPT_MS = 10_000
"""The key goes by itself when no house is left."""

COUNT_MAX = 2**31
_SCRIPT = """
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f %s', now, ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
local told = {}
for _, house in ipairs(redis.call('HKEYS', KEYS[1])) do
  local text = redis.call('HGET', KEYS[1], house)
  local said = tonumber(string.match(text, '^%d+')) or 0
  if now - said > tonumber(ARGV[3]) or said > now + 1000 then
    redis.call('HDEL', KEYS[1], house)
  elseif house ~= ARGV[1] then
    table.insert(told, string.match(text, '^%d+ (.*)$') or '{}')
  end
end
return told
"""
"""Says what this house has, forgets houses that were silent for too long, tells of the others."""

_counts = msgspec.json.Decoder(dict[str, int])

logger = logging.getLogger("tokenmill.control.houses")


class LoadSegment(Protocol):
    """What is needed of the hot segment."""

    @property
    def incarnation(self) -> int: ...
    def engine_in_flight(self, engine: int, /) -> int: ...
    def note_engine_others(self, engine: int, requests: int, /) -> None: ...


class OtherHouses:
    """Says and reads, from its own thread or, in tests, by `look`."""

    def __init__(
        self, redis: Any, names: Names, segment: LoadSegment, fleet: Callable[[], Fleet]
    ) -> None:
        self._redis = redis
        self._key = names.loads
        self._segment = segment
        self._fleet = fleet
        self._script = redis.register_script(_SCRIPT)
        self._thread = OwnThread("houses", self._run)
        self._is_away = False
        self.count = 0
        """Other houses that were heard of at the last look."""
        self.elsewhere: dict[str, int] = {}
        """What they have, by the engine's name."""

    def start(self) -> None:
        """Goes on until `stop`."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Ends the thread. What this house said last is forgotten by itself."""
        self._thread.stop(timeout_s)
        self._redis.close()

    def look(self) -> None:
        """Says and reads once. Raises: RedisError, OSError."""
        engines = self._fleet().engines
        mine = {place_of(one): self._segment.engine_in_flight(one.slot) for one in engines}
        mine = {place: count for place, count in mine.items() if count}
        house = str(self._segment.incarnation)
        wish = [house, msgspec.json.encode(mine), BELIEVED_MS, KEPT_MS]
        told: list[bytes] = self._script(keys=[self._key], args=wish)
        total = added_up(told)
        self.count = len(told)
        self.elsewhere = {one.name: total[place_of(one)] for one in engines}
        for one in engines:
            self._segment.note_engine_others(one.slot, total[place_of(one)])

    def collector(self) -> Collector:
        """What metrics are told."""
        return OtherHousesCollector(self)

    def _run(self) -> None:
        while not self._thread.ending.wait(SAY_S):
            try:
                self.look()
                self._is_away = False
            except (RedisError, OSError) as error:
                self._redis.connection_pool.disconnect(inuse_connections=False)
                self._forget()
                if not self._is_away:
                    logger.warning("other houses' loads are not known: %s", error)
                self._is_away = True

    def _forget(self) -> None:
        self.count = 0
        self.elsewhere = {}


def added_up(told: Iterable[bytes]) -> "Counter[str]":
    """Requests by place over all houses; what is no such count is left out."""
    total: Counter[str] = Counter()
    for text in told:
        try:
            said = _counts.decode(text)
        except msgspec.MsgspecError:
            logger.warning("a house says what nobody understands")
            continue
        total.update({place: min(max(count, 0), COUNT_MAX) for place, count in said.items()})
    return total


def place_of(engine: Engine) -> str:
    """Which engine that is, for all houses: a loopback address or socket is one of its machine."""
    address = parse_address(engine.url)
    return f"{_machine()} {engine.url}" if address.is_local else engine.url


@cache
def _machine() -> str:
    """What houses have in common that mean the same by 127.0.0.1: a boot and a network namespace,
    where there are such things."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/net').stat().st_ino}"
    except OSError:
        return f"{getnode():x}"


class OtherHousesCollector(Collector):
    """How many other houses there are, and what they have, as Prometheus metrics."""

    def __init__(self, houses: OtherHouses) -> None:
        self._houses = houses

    def collect(self) -> Iterable[Metric]:
        houses = self._houses
        yield GaugeMetricFamily(
            "tokenmill_other_houses", "Houses that share Redis and were heard of.", houses.count
        )
        elsewhere = GaugeMetricFamily(
            "tokenmill_engine_requests_elsewhere",
            "Requests that other houses have with the engine.",
            labels=["engine"],
        )
        for name, count in houses.elsewhere.items():
            elsewhere.add_metric([name], count)
        yield elsewhere
