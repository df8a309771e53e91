"""Prometheus metrics of engines and of the pools that they make up.

An engine's counters lie in the hot segment, in a row a slot; what it says of its own load is what
the keeper last read. Labels are bounded by the slots for engines: a pool is named by its model, and
of models only so many are shown. Which engines a pool has is a metric of its own, so that sums over
pools are left to whoever asks.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from msgspec import Struct
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tokenmill._native import ENGINE_COUNTERS
from tokenmill.control.samples import PREFIX, parse_sample
from tokenmill.engines.load_report import LoadReport
from tokenmill.engines.rules import POOLED, STANDINGS
from tokenmill.engines.views import EngineView
from tokenmill.models.fleet import Fleet

POOLS_SHOWN_MAX = 256
POOL_ENGINES_SHOWN_MAX = 1_024
"""Lines of "this engine is in that pool": an engine can serve many models."""

SAMPLES = tuple(map(parse_sample, ENGINE_COUNTERS))
_WORDS = {
    "engine_requests": "Requests that the engine was asked, each try for itself.",
    "engine_outcomes": "How tries at the engine ended.",
    "engine_ejections": "Times that the engine was left out, by cause.",
    "engine_retries": "Requests that another engine was asked after this one.",
    "engine_first_byte_seconds": "From asking the engine to the first byte of a stream.",
}


class EngineReading(Struct, frozen=True):
    """An engine, its slot if it has one, and what it last said of its load."""

    view: EngineView
    slot: int | None
    load: LoadReport | None


class EngineRows(Protocol):
    """What is read from the hot segment."""

    def engine_totals(self, engine: int) -> list[int]: ...


class EngineCollector(Collector):
    """What the private listener tells about engines and pools."""

    def __init__(
        self,
        segment: EngineRows,
        readings: Callable[[], Sequence[EngineReading]],
        fleet: Callable[[], Fleet],
    ) -> None:
        self._segment = segment
        self._readings = readings
        self._fleet = fleet

    def collect(self) -> Iterable[Metric]:
        readings = self._readings()
        yield from self._counters(readings)
        yield from _states(readings)
        yield from _loads(readings)
        yield from _pools(readings, self._fleet())

    def _counters(self, readings: Sequence[EngineReading]) -> Iterable[Metric]:
        families: dict[str, Metric] = {}
        for sample in SAMPLES:
            words = _WORDS[sample.family.removeprefix(f"{PREFIX}_")]
            families.setdefault(sample.family, Metric(sample.family, words, sample.type))
        for reading in readings:
            if reading.slot is None:
                continue
            engine = {"engine": reading.view.name}
            totals = self._segment.engine_totals(reading.slot)
            for sample, total in zip(SAMPLES, totals, strict=True):
                labels = engine | sample.labels
                families[sample.family].add_sample(sample.name, labels, total / sample.unit)
        yield from families.values()


def _states(readings: Sequence[EngineReading]) -> Iterable[Metric]:
    up = _family("engine_up", "1: serving. 0: loading or gone.", "engine", "kind")
    busy = _family("engine_requests_in_flight", "Requests of this house by engine.", "engine")
    standing = _family(
        "engine_standing", "1 at how the engine stands now, 0 elsewhere.", "engine", "standing"
    )
    for view in (reading.view for reading in readings):
        up.add_metric([view.name, view.kind], float(view.state == "serving"))
        busy.add_metric([view.name], view.in_flight)
        for name in STANDINGS:
            standing.add_metric([view.name, name], float(view.standing == name))
    yield from (up, busy, standing)


def _loads(readings: Sequence[EngineReading]) -> Iterable[Metric]:
    """Only of engines that tell: a zero would look like an idle one."""
    told = _family(
        "engine_reported_requests",
        "Requests that the engine says it runs, and that wait there.",
        "engine",
        "state",
    )
    cache = _family("engine_kv_cache_usage_ratio", "How full the engine's KV cache is.", "engine")
    for reading in readings:
        load, name = reading.load, reading.view.name
        if load is not None:
            told.add_metric([name, "running"], load.running)
            told.add_metric([name, "waiting"], load.waiting)
            cache.add_metric([name], load.cache_permille / 1000)
    yield from (told, cache)


def _pools(readings: Sequence[EngineReading], fleet: Fleet) -> Iterable[Metric]:
    engines = _family("pool_engines", "Engines of the pool by standing.", "pool", "standing")
    busy = _family("pool_requests_in_flight", "Requests that the pool works on.", "pool")
    members = _family("pool_engine", "1: the engine is in the pool.", "pool", "engine")
    by_slot = {reading.slot: reading.view for reading in readings}
    lines_left = POOL_ENGINES_SHOWN_MAX
    for name, slots in shown_pools(fleet).items():
        views = [by_slot[slot] for slot in sorted(slots) if slot in by_slot]
        standings = Counter(view.standing for view in views)
        for standing in POOLED:
            engines.add_metric([name, standing], standings[standing])
        busy.add_metric([name], sum(view.in_flight for view in views))
        for view in views[:lines_left]:
            members.add_metric([name, view.name], 1.0)
        lines_left = max(lines_left - len(views), 0)
    yield from (engines, busy, members)


def shown_pools(fleet: Fleet) -> dict[str, set[int]]:
    """Slots of engines by model: the first whole models, not the adapters, which can be many.

    Engines that accounts have to themselves stand under the same name as everyone's.
    """
    found: dict[str, set[int]] = {}
    for route in fleet.routes:
        if route.parent or (route.id not in found and len(found) >= POOLS_SHOWN_MAX):
            continue
        found.setdefault(route.id, set()).update(fleet.pools[route.pool])
    return found


def _family(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=labels)
