"""The house's engines as the warmer of grammars sees them, and how it asks one.

A vLLM keeps the grammars that it compiled; other kinds are left alone.
"""

from tokenmill._native import Segment
from tokenmill.control.grammar_warmer import Outcome, Pool
from tokenmill.control.keeper import Keeper
from tokenmill.control.known_engines import Known
from tokenmill.engines.http_get import BrokenAnswer, connect
from tokenmill.models.fleet import Engine, Fleet

_TARGET = "/v1/completions"
_WELL = ("well", "warming")
"""An engine that came back has lost the grammars that it kept."""


class WarmEngines:
    """What the keeper and the hot segment say of engines now."""

    def __init__(self, keeper: Keeper, segment: Segment) -> None:
        self._keeper = keeper
        self._segment = segment
        self._fleet = Fleet()
        self._places: dict[int, tuple[Engine, Known]] = {}  # of that fleet, by slot

    def pool(self, model: str, account_id: int) -> Pool | None:
        """Where requests for the model of such a route go."""
        fleet = self._keeper.fleet
        for route in fleet.routes:
            if (route.account_id, route.id) == (account_id, model):
                return Pool(route.engine_model, fleet.pools[route.pool])
        return None

    def tenant(self, slot: int) -> str:
        """Who is in a slot; empty: nobody who keeps grammars of ours."""
        found = self._find(slot)
        if found is None:
            return ""
        engine, known = found
        return f"{engine.name} {engine.url} {known.watch.since_ms}"

    def has_time(self, slot: int) -> bool:
        """Whether the engine is well, wanted and not full."""
        found = self._find(slot)
        if found is None:
            return False
        engine, known = found
        if engine.state != "serving" or engine.is_draining:
            return False
        if self._segment.engine_health(slot).standing not in _WELL:
            return False
        if engine.places and self._segment.engine_in_flight(slot) >= engine.places:
            return False
        return known.load is None or not known.load.waiting

    async def send(self, slot: int, body: bytes) -> Outcome:
        """Asks the engine. Takes as long as it takes."""
        found = self._find(slot)
        if found is None:
            return "away"
        target = found[1].target
        try:
            connection = await connect(target.address)
        except OSError:
            return "away"
        try:
            answer = await connection.post(_TARGET, body, target.api_key)
        except (BrokenAnswer, OSError):
            return "broken"
        return "taken" if answer.status == 200 else "refused"

    def _find(self, slot: int) -> tuple[Engine, Known] | None:
        fleet = self._keeper.fleet
        if fleet is not self._fleet:
            known = {one.target.name: one for one in self._keeper.known if one.is_listed}
            self._fleet = fleet
            self._places = {
                engine.slot: (engine, known[engine.name])
                for engine in fleet.engines
                if engine.kind == "vllm" and engine.name in known
            }
        return self._places.get(slot)
