"""Engines that went without being removed: their successors are on their way.

Until then clients are told to come again, and not that there is no such model.
"""

from collections.abc import Callable

from msgspec.structs import replace

from tokenmill.models.offers import EngineReport

LOST_MS = 3_600_000
"""How long the models of an engine are known that went by itself."""

LOST_MAX = 256
"""Engines; of more, those that went last are known."""


class LostEngines:
    """The last report of each, for a while."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._reports: dict[str, tuple[EngineReport, int]] = {}

    def remember(self, report: EngineReport) -> None:
        """It went now; one that served no model is not missed."""
        self._reports.pop(report.name, None)
        if report.last_models:
            gone = replace(report, state="gone", is_draining=False, models=())
            self._reports[report.name] = gone, self._now_ms()
        while len(self._reports) > LOST_MAX:
            del self._reports[next(iter(self._reports))]

    def reports(self) -> list[EngineReport]:
        """Of those that went of late."""
        self._reports = {
            name: one for name, one in self._reports.items() if not self.is_over(one[1])
        }
        return [report for report, _ in self._reports.values()]

    def is_over(self, since_ms: int) -> bool:
        """Whether one that went then is not missed any more."""
        return self._now_ms() - since_ms >= LOST_MS
