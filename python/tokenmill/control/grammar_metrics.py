"""What became of grammars that engines were to get ready, as Prometheus metrics."""

from collections.abc import Iterable

from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from tokenmill.control.grammar_warmer import GrammarWarmer


class WarmUpCollector(Collector):
    """What the warmer says of itself."""

    def __init__(self, warmer: GrammarWarmer) -> None:
        self._warmer = warmer

    def collect(self) -> Iterable[Metric]:
        told = CounterMetricFamily(
            "tokenmill_grammar_warm_ups",
            "Requests that had an engine get a grammar ready, by outcome; dropped: grammars.",
            labels=["outcome"],
        )
        for outcome, count in self._warmer.outcomes.items():
            told.add_metric([outcome], count)
        yield told
