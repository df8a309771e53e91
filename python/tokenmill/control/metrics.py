"""Prometheus metrics of the whole machine: the hot segment's counters, fleet, workers.

Read when they are asked for; nothing is counted here. Labels are bounded: states and reasons, never
keys, accounts or model ids that a client invents. Engines have a file of their own.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tokenmill._native import COUNTERS, VERSION, WorkerState
from tokenmill.control.samples import PREFIX, parse_sample
from tokenmill.models.fleet import Fleet

WORKER_STATES = {
    "starting": WorkerState.STARTING,
    "serving": WorkerState.SERVING,
    "draining": WorkerState.DRAINING,
}

SAMPLES = tuple(map(parse_sample, COUNTERS))


class CountingSegment(Protocol):
    """What is read from the hot segment."""

    def totals(self) -> list[int]: ...
    def key_count(self) -> int: ...
    def worker_state(self, worker: int) -> WorkerState: ...
    def worker_in_flight(self, worker: int) -> int: ...
    def waiting(self) -> int: ...


class HouseCollector(Collector):
    """Everything that the private listener tells about the house."""

    def __init__(
        self,
        segment: CountingSegment,
        workers_max: int,
        fleet: Callable[[], Fleet],
    ) -> None:
        self._segment = segment
        self._workers_max = workers_max
        self._fleet = fleet

    def collect(self) -> Iterable[Metric]:
        yield InfoMetricFamily(PREFIX, "The running tokenmill.", value={"version": VERSION})
        yield from self._counters()
        yield from self._workers()
        fleet = self._fleet()
        yield _gauge("fleet_generation", "Changes of the fleet so far.", fleet.generation)
        yield _gauge("models", "Model ids that can be asked for.", len(fleet.routes))
        yield _gauge("keys", "Live API keys.", self._segment.key_count())

    def _counters(self) -> Iterable[Metric]:
        families: dict[str, Metric] = {}
        for sample, total in zip(SAMPLES, self._segment.totals(), strict=True):
            words = sample.family.removeprefix(f"{PREFIX}_").replace("_", " ")
            metric = families.setdefault(
                sample.family, Metric(sample.family, f"All workers: {words}.", sample.type)
            )
            metric.add_sample(sample.name, sample.labels, total / sample.unit)
        yield from families.values()

    def _workers(self) -> Iterable[Metric]:
        states = [self._segment.worker_state(slot) for slot in range(self._workers_max)]
        workers = GaugeMetricFamily(f"{PREFIX}_workers", "Workers by state.", labels=["state"])
        for name, state in WORKER_STATES.items():
            workers.add_metric([name], sum(one == state for one in states))
        yield workers
        in_flight = sum(self._segment.worker_in_flight(slot) for slot in range(self._workers_max))
        yield _gauge("requests_in_flight", "Requests that engines work on now.", in_flight)
        waiting = self._segment.waiting()
        yield _gauge("requests_waiting", "Requests that wait for a busy engine.", waiting)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, value=value)
