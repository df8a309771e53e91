"""How the ledger keeps up, as Prometheus metrics: what waits, what failed, since when."""

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from tokenmill.clock import monotonic_ms
from tokenmill.control.ledger_keeper import LedgerKeeper

PREFIX = "tokenmill_ledger"


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
        yield CounterMetricFamily(
            f"{PREFIX}_failures", "Flushes that the database did not take.", keeper.failures
        )
        yield GaugeMetricFamily(
            f"{PREFIX}_behind_seconds", "Since when the database takes nothing.", behind_s
        )
        yield GaugeMetricFamily(
            f"{PREFIX}_stuck_cells", "Cells that the ledger cannot take.", keeper.stuck_count
        )
