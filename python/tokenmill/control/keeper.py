"""The keeper's loop over engines: looks at each target on and on, and publishes the fleet.

A target has a task of its own, so that one that hangs delays no other. What a look means is decided
in `engines/rules.py`, what the fleet is in `models/rules.py`; this file holds the state, the
waiting and the writing.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from tokenmill.adapters.rules import Adapter
from tokenmill.clock import monotonic_ms
from tokenmill.control.known_engines import Known, as_wanted, is_awaited, known_of, log_change
from tokenmill.control.lost_engines import LostEngines
from tokenmill.engines.address import Address
from tokenmill.engines.probe import look, look_at_load
from tokenmill.engines.recognition import ServedModel
from tokenmill.engines.rules import Patience, served_models, watch
from tokenmill.engines.targets import Target, is_same_place
from tokenmill.models.fleet import Fleet
from tokenmill.models.fleet_file import write_fleet
from tokenmill.models.offers import EngineReport
from tokenmill.models.rules import (
    build_fleet,
    is_same_fleet,
    new_tenants,
    newly_serving,
)

HASTY_LOOK_MS = 25
"""Between looks at the embedded engine on its way up: the first answer waits for it."""

LOAD_LOOK_MS = 2_000
"""Between looks at a vLLM's metrics, which are believed for five seconds."""

FIRST_FLEET_MS_MAX = 3_000
"""A worker lets a request wait 5 s for the first fleet; past this it goes out as it is."""

logger = logging.getLogger("tokenmill.control.keeper")


class FleetSegment(Protocol):
    """What the keeper needs of the hot segment."""

    @property
    def fleet_generation(self) -> int: ...
    def publish_fleet(self, generation: int) -> None: ...
    def begin_engine(self, engine: int, has_returned: bool) -> None: ...
    def clear_engine_totals(self, engine: int) -> None: ...
    def note_engine_metrics(
        self, engine: int, *, running: int, waiting: int, cache_permille: int
    ) -> None: ...


class KeeperSettings(Struct, frozen=True, kw_only=True):
    """What the keeper is told at its start."""

    state: Path
    targets: tuple[Target, ...]
    interval_ms: int
    look_ms: int
    patience: Patience
    engines_max: int
    aliases: Mapping[str, str]
    places: int = 0  # of an engine that an operator adds; 0: any number of requests


class Keeper:
    """The state of all targets, and the last fleet that was published."""

    def __init__(
        self,
        settings: KeeperSettings,
        segment: FleetSegment,
        previous: Fleet,
        *,
        now_ms: Callable[[], int] = monotonic_ms,
    ) -> None:
        self.settings = settings
        self.fleet = previous
        self._segment = segment
        self._now_ms = now_ms
        self._started_ms = now_ms()
        self._assignments: Mapping[str, int] | None = None
        self._is_holding = True
        self._looked = asyncio.Event()
        self.has_published = asyncio.Event()
        self.known = [known_of(target, previous, now_ms()) for target in settings.targets]
        self._draining: dict[str, frozenset[str]] = {}
        self._lost = LostEngines(now_ms)
        self._dismissed: set[str] = set()  # engines that operators took away
        self.adapters: Mapping[str, Adapter] = {}
        self.retired: set[tuple[str, str]] = set()
        """Engines, and adapters there that get no new requests: they are about to be unloaded."""
        self._group: asyncio.TaskGroup | None = None
        self._followers: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Looks at every target for ever, and publishes what changes."""
        async with asyncio.TaskGroup() as tasks:
            self._group = tasks
            for known in self.known:
                self._begin_to_follow(known)
            tasks.create_task(self._release_when_whole())
            await asyncio.Event().wait()  # a house without engines is given some later

    def add(self, target: Target) -> None:
        """One more target, before those that are merely tried. It is published once it answers."""
        known = known_of(target, self.fleet, self._now_ms())
        is_tried = (at for at, one in enumerate(self.known) if one.target.origin == "found")
        self.known.insert(next(is_tried, len(self.known)), known)
        self._dismissed.discard(target.name)
        self._begin_to_follow(known)

    def remove(self, name: str, *, is_lost: bool = False) -> None:
        """That target is no engine of the house any more. `is_lost`: nobody wants it so, and its
        models stay known for a while."""
        gone = self.find(name)
        if is_lost and gone is not None:
            self._lost.remember(self.report(gone))
        elif gone is not None and name in (self._assignments or {}):
            self._dismissed.add(name)
        self.known = [known for known in self.known if known.target.name != name]
        follower = self._followers.pop(name, None)
        if follower is not None:
            follower.cancel()
        self.publish()

    def name_adapters(self, adapters: Iterable[Adapter]) -> None:
        """These are the adapters that operators named, and no others."""
        self.adapters = {adapter.name: adapter for adapter in adapters}
        self.publish()

    def find(self, name: str) -> Known | None:
        """The engine of that name, if it is one."""
        return next((one for one in self.known if one.is_listed and one.target.name == name), None)

    def name_in(self, slot: int) -> str:
        """What the engine in this slot is called; empty, if there is none."""
        return next((each.name for each in self.fleet.engines if each.slot == slot), "")

    async def look_at(self, name: str) -> None:
        """Looks at the engine now, beside its turn, and publishes what it saw."""
        known = self.find(name)
        if known is not None:
            await self._look(known)
            self.publish()

    def forget_tried(self, address: Address) -> None:
        """Somebody named what was merely tried at this address."""
        tried = (one.target for one in self.known if one.target.origin == "found")
        for target in tuple(tried):
            if is_same_place(target.address, address):
                self.remove(target.name)

    def drain(self, urls: Iterable[str], by: str = "operators") -> None:
        """Whoever says so wants no new requests for the engines at these addresses, and for no
        others."""
        self._draining[by] = frozenset(urls)
        self.publish()

    def _begin_to_follow(self, known: Known) -> None:
        if self._group is not None:
            task = self._group.create_task(self._follow(known))
            self._followers[known.target.name] = task

    def reports(self) -> list[EngineReport]:
        """The engines as they are now, in order of preference."""
        return [self.report(known) for known in self.known if known.is_listed]

    def assign(self, assignments: Mapping[str, int]) -> None:
        """Engine names -> accounts; an engine that is not in it is for everyone.

        Nothing is published before this was called once: an engine that belongs to an account must
        not be everyone's for a moment.
        """
        self._assignments = dict(assignments)
        self._looked.set()
        self.publish()

    def publish(self) -> None:
        """Writes the fleet and raises its generation, if it is another one than before."""
        settings = self.settings
        fleet = build_fleet(
            self.reports(),
            settings.aliases,
            self.fleet,
            settings.engines_max,
            adapters=self.adapters,
            lost=self._lost.reports(),
            missing=self._missing(),
        )
        is_published = self.fleet.generation > 0
        if self._is_holding:
            return
        if is_published and is_same_fleet(fleet, self.fleet):
            self.has_published.set()
            return
        generation = max(self.fleet.generation, self._segment.fleet_generation) + 1
        fleet = replace(fleet, generation=generation)
        try:
            write_fleet(settings.state, fleet)
        except OSError as error:
            logger.error("the fleet could not be written", extra={"error": str(error)})
            return  # the old one stays in force, and the next look tries again
        for slot in new_tenants(self.fleet, fleet):
            self._segment.clear_engine_totals(slot)
        for engine in newly_serving(self.fleet, fleet):
            self._segment.begin_engine(engine.slot, has_returned=is_published)
        self._segment.publish_fleet(generation)
        self.fleet = fleet
        self.has_published.set()
        logger.info(
            "fleet published",
            extra={"generation": generation, "models": [route.id for route in fleet.routes]},
        )

    def _missing(self) -> frozenset[int]:
        """Accounts with an engine that is in no list, though nobody took it away."""
        listed = {known.target.name for known in self.known if known.is_listed}
        owners = (self._assignments or {}).items()
        return frozenset(
            account_id
            for name, account_id in owners
            if name not in listed and name not in self._dismissed
        )

    async def _release_when_whole(self) -> None:
        """The first fleet goes out with the embedded engine in it, unless that takes too long."""
        while not self._is_whole():
            self._looked.clear()
            await self._looked.wait()
        self._is_holding = False
        self.publish()

    def _is_whole(self) -> bool:
        if self._assignments is None:
            return False
        is_late = self._now_ms() - self._started_ms > FIRST_FLEET_MS_MAX
        return is_late or not any(map(is_awaited, self.known))

    async def _follow(self, known: Known) -> None:
        while True:
            try:
                await self._look(known)
                self.publish()
                await self._look_at_load(known)
            except Exception:  # a worker loop: one bad look must not end all others
                logger.exception("a look failed", extra={"engine": known.target.name})
            self._looked.set()
            in_haste = self._is_holding and known.target.is_embedded
            pause_ms = HASTY_LOOK_MS if in_haste else self.settings.interval_ms
            # Many houses look at one engine: by chance, so that they do not fall into step.
            await asyncio.sleep(pause_ms / 1000 * random.uniform(0.8, 1.2))

    async def _look(self, known: Known) -> None:
        async with known.turn:
            await self._look_in_turn(known)

    async def _look_in_turn(self, known: Known) -> None:
        target, before = known.target, known.watch
        found = await look(
            target.address,
            api_key=target.api_key,
            timeout_ms=self.settings.look_ms,
            known=before.last if before.state == "serving" else None,
        )
        found = as_wanted(target, found)
        known.watch = watch(
            before,
            found,
            self._now_ms(),
            origin=target.origin,
            patience=self.settings.patience,
        )
        is_missed = target.origin in ("named", "added") and not known.is_looked_at
        known.is_looked_at = True
        known.is_listed = known.is_listed or known.watch.has_served
        log_change(target, before, known.watch, found)
        if is_missed and before.state == known.watch.state == "gone":
            extra = {"engine": target.name, "url": target.address.url, "outcome": found.outcome}
            logger.warning("an engine of the settings does not answer", extra=extra)

    async def _look_at_load(self, known: Known) -> None:
        """Notes how busy a vLLM says it is, now and then: its metrics are long."""
        watched, now_ms = known.watch, self._now_ms()
        is_due = now_ms - known.load_looked_ms >= LOAD_LOOK_MS
        target = known.target
        slots = (each.slot for each in self.fleet.engines if each.name == target.name)
        slot = next(slots, None)
        is_vllm = watched.state == "serving" and watched.last.kind == "vllm"
        if slot is None or not is_vllm:
            known.load = None
            return
        if not is_due:
            return
        known.load_looked_ms = now_ms
        found = await look_at_load(
            target.address, api_key=target.api_key, timeout_ms=self.settings.look_ms
        )
        known.load = found
        if found is not None:
            self._segment.note_engine_metrics(
                slot,
                running=found.running,
                waiting=found.waiting,
                cache_permille=found.cache_permille,
            )

    def report(self, known: Known) -> EngineReport:
        """One engine as the fleet is made of it."""
        target, watched = known.target, known.watch
        return EngineReport(
            name=target.name,
            url=target.address.url,
            kind=watched.last.kind,
            state=watched.state,
            version=watched.last.version,
            api_key=target.api_key,
            account_id=(self._assignments or {}).get(target.name, 0),
            parses_tools=watched.last.parses_tools is not False,
            places=target.places,
            is_draining=any(target.address.url in urls for urls in self._draining.values()),
            models=self._offered_models(known),
            last_models=self._last_models(known),
        )

    def _offered_models(self, known: Known) -> tuple[ServedModel, ...]:
        served, name = served_models(known.watch), known.target.name
        return tuple(model for model in served if (name, model.id) not in self.retired)

    def _last_models(self, known: Known) -> tuple[ServedModel, ...]:
        """What the engine is missed for. One that was merely found is not missed for ever."""
        watched = known.watch
        is_over = watched.state == "gone" and self._lost.is_over(watched.since_ms)
        return () if is_over and known.target.origin == "found" else watched.last.models
