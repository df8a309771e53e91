"""Numbers that cells have for models and engines, and the names that the ledger keeps for them.

A cell holds a number made of the model's id, and the slot of its engine. What they are called is
known from the fleet, and is written down with the flush that comes next.
"""

from collections.abc import Callable, Iterable

from tokenmill.models.fleet import Fleet
from tokenmill.models.numbers import model_number
from tokenmill.usage.rules import NO_ENGINE


class UsageNames:
    """The names of this house's fleets so far. Used by the ledger's thread; reads the fleet."""

    def __init__(self, fleet: Callable[[], Fleet]) -> None:
        self._fleet = fleet
        self._seen: Fleet | None = None
        self._engines: dict[int, int] = {}
        self._waiting: dict[int, str] = {}
        self._written: set[int] = set()

    def engine_number(self, slot: int) -> int:
        """The number of the engine in this slot, or of none."""
        self._look()
        return self._engines.get(slot, NO_ENGINE)

    def waiting(self) -> dict[int, str]:
        """Names that are not written down yet."""
        self._look()
        return dict(self._waiting)

    def mark_written(self, numbers: Iterable[int]) -> None:
        """These names are in the database."""
        for number in numbers:
            self._waiting.pop(number, None)
            self._written.add(number)

    def _look(self) -> None:
        fleet = self._fleet()
        if fleet is self._seen:
            return
        self._seen = fleet
        self._engines |= {engine.slot: model_number(engine.name) for engine in fleet.engines}
        names = {engine.name for engine in fleet.engines} | {route.id for route in fleet.routes}
        numbered = {model_number(name): name for name in names}
        self._waiting |= {key: name for key, name in numbered.items() if key not in self._written}
