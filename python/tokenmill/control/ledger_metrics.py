"""How the ledger keeps up, as Prometheus metrics: what waits, what failed, since when."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from tokenmill.clock import monotonic_ms
from tokenmill.control.ledger_keeper import LedgerKeeper
from tokenmill.money import NANOS_PER_DOLLAR

if TYPE_CHECKING:
    from tokenmill.control.purse_keeper import PurseKeeper

PREFIX = "tokenmill_ledger"


class PurseCollector(Collector):
    """Whether the Redis that houses share answers."""

    def __init__(self, purses: "PurseKeeper") -> None:
        self._purses = purses

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(
            "tokenmill_redis_away_seconds", "Since when Redis does not answer.", self._purses.away_s
        )


class LedgerCollector(Collector):
    """What the keeper says of itself."""

    def __init__(self, keeper: LedgerKeeper) -> None:
        self._keeper = keeper

    def collect(self) -> Iterable[Metric]:
        keeper = self._keeper
        since_ms = keeper.behind_since_ms
        behind_s = (monotonic_ms() - since_ms) / 1000 if since_ms else 0.0
        yield CounterMetricFamily(
            f"{PREFIX}_cells", "Cells that are in the ledger.", keeper.cells_written
        )
        billed = CounterMetricFamily(
            "tokenmill_billed_dollars", "Billed since control began, by class.", labels=["class"]
        )
        for name, nanos in keeper.billed_nanos.items():
            billed.add_metric([name], nanos / NANOS_PER_DOLLAR)
        yield billed
        yield CounterMetricFamily(
            f"{PREFIX}_failures", "Flushes that the database did not take.", keeper.failures
        )
        yield GaugeMetricFamily(
            f"{PREFIX}_behind_seconds", "Since when the database takes nothing.", behind_s
        )
        yield GaugeMetricFamily(
            f"{PREFIX}_stuck_cells", "Cells that the ledger cannot take.", keeper.stuck_count
        )
