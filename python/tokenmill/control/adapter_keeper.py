"""Which engine gets an adapter, and when: on demand, once for all who wait, and elsewhere when an
engine drains or has a queue.

What is decided is in `adapters/rules.py`, what is done to an engine in `adapter_loader.py`.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

from tokenmill.adapters.rules import Adapter, wants_another
from tokenmill.adapters.views import Held, LoadWish
from tokenmill.clock import monotonic_ms
from tokenmill.control.adapter_loader import FAILED_MS, AdapterLoader, Turn, always, nobody_can
from tokenmill.control.keeper import Keeper
from tokenmill.control.known_engines import Known
from tokenmill.errors import AdapterFailed, ApiError, EnginesAway, ModelLoading, ModelNotFound
from tokenmill.models.lookup import ABSENT_RETRY_MS, RETRY_MS
from tokenmill.settings import AdapterSettings

LOOK_S = 0.5
ENGINES_TRIED_MAX = 3
WANTED_MS = 60_000
"""An adapter that nobody has asked for so long is not brought to more engines."""

logger = logging.getLogger("tokenmill.control.adapters")


class AdapterKeeper:
    """What is being loaded, and for whom."""

    def __init__(
        self,
        keeper: Keeper,
        settings: AdapterSettings,
        requests: Callable[[str], int],
        last_use_ms: Callable[[str], int],
        *,
        house_turn: Turn = always,
        now_ms: Callable[[], int] = monotonic_ms,
    ) -> None:
        """`requests` of an engine, `last_use_ms` of an adapter in this house, both by name."""
        self._keeper = keeper
        self._settings = settings
        self._last_use_ms = last_use_ms
        self._now_ms = now_ms
        self._loader = AdapterLoader(
            keeper, settings, requests, self._used_ms, house_turn=house_turn, now_ms=now_ms
        )
        self._loading: dict[tuple[str, int], asyncio.Task[Held]] = {}
        self._asked_ms: dict[str, int] = {}
        self._moved_ms: dict[tuple[str, int], int] = {}
        self.house_uses_ms: Mapping[str, int] = {}
        """When adapters were used last in any house, as far as it is told."""

    async def ensure(self, wish: LoadWish) -> Held:
        """An engine of the adapter's route that holds it, and is known to the workers to.

        Raises: ModelNotFound, EnginesAway, ModelLoading, AdapterFailed, ServiceUnavailable.
        """
        adapter = self._keeper.adapters.get(wish.name)
        if adapter is None or adapter.account_id not in (0, wish.account_id):
            raise ModelNotFound(param="model")
        failed = await self._failed_engine(adapter, wish.failed)
        for known in self._hosts(adapter, wish.account_id, failed):
            if self._loader.holds(known, adapter):
                return Held(known.target.name)
        task = self._begin(adapter, wish.account_id, failed)
        try:
            async with asyncio.timeout(self._settings.load_ms / 1000):
                return await asyncio.shield(task)
        except TimeoutError:
            raise ModelLoading(
                f"The adapter '{adapter.name}' is being loaded. Try again in a moment.",
                retry_after_ms=RETRY_MS,
            ) from None

    async def _failed_engine(self, adapter: Adapter, slot: int) -> str:
        """The engine in the slot, unless it is well and merely does not hold the adapter: then it
        may be asked to load it again. Empty: there is none."""
        known = self._keeper.find(self._keeper.name_in(slot))
        if known is None:
            return ""
        await self._keeper.look_at(known.target.name)
        is_well = known.watch.state == "serving" and not self._loader.holds(known, adapter)
        return "" if is_well else known.target.name

    def detail(self, name: str) -> str:
        """Why the adapter could not be loaded of late; empty, if nothing is wrong with it."""
        return self._loader.detail(name)

    async def forget(self, adapter: Adapter) -> None:
        """Every engine that holds the adapter is told to let go of it."""
        await self._loader.forget(adapter)
        self._asked_ms.pop(adapter.name, None)

    def own_uses_ms(self) -> dict[str, int]:
        """When each adapter was used last in this house."""
        return {name: self._own_use_ms(name) for name in self._keeper.adapters}

    async def follow(self) -> None:
        """Moves what engines hold that are drained, for ever. Ends by being cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.move()
                await self.spread()
            except ApiError as error:
                logger.warning("an adapter could not be moved: %s", error.message)
            except Exception:  # a worker loop: it must not end before control does
                logger.exception("a look for adapters to move failed")

    async def move(self) -> None:
        """Loads elsewhere what only engines hold that get no new requests. Raises: ApiError."""
        since_ms = self._now_ms() - FAILED_MS
        self._moved_ms = {one: at_ms for one, at_ms in self._moved_ms.items() if at_ms > since_ms}
        for one in self._stranded():
            if one not in self._moved_ms:
                self._moved_ms[one] = self._now_ms()
                await self.ensure(LoadWish(*one))

    async def spread(self) -> None:
        """Loads on one more engine what is asked for and whose engines are all busy, if another has
        room and far less to do."""
        fleet, now_ms, loader = self._keeper.fleet, self._now_ms(), self._loader
        wanted = [
            (self._keeper.adapters[route.id], route.account_id)
            for route in fleet.routes
            if route.is_loadable and fleet.pools[route.pool] and route.id in self._keeper.adapters
            if now_ms - self._used_ms(route.id) < WANTED_MS
        ]
        for adapter, account_id in wanted:
            hosts = self._hosts(adapter, account_id, "")
            holders = [known for known in hosts if loader.holds(known, adapter)]
            others = [known for known in hosts if self._may_hold_too(known, adapter)]
            if not wants_another(map(loader.load_of, holders), map(loader.load_of, others)):
                continue
            known = self._keeper.find(loader.in_order(others, adapter)[0].name)
            if known is not None:
                await loader.load_on(known, adapter)

    def _may_hold_too(self, known: Known, adapter: Adapter) -> bool:
        loader = self._loader
        is_free = not loader.holds(known, adapter) and not loader.has_failed(known, adapter)
        return is_free and loader.has_room(known)

    def _stranded(self) -> list[tuple[str, int]]:
        fleet, adapters = self._keeper.fleet, self._keeper.adapters
        drained = [known for known in self._keeper.known if self._keeper.report(known).is_draining]
        return [
            (route.id, route.account_id)
            for route in fleet.routes
            if route.is_loadable and not fleet.pools[route.pool] and route.id in adapters
            if any(self._loader.holds(one, adapters[route.id]) for one in drained)
        ]

    def _begin(self, adapter: Adapter, account_id: int, but: str) -> asyncio.Task[Held]:
        """The one load that is under way for all who wait for it."""
        key = (adapter.name, account_id)
        task = self._loading.get(key)
        if task is None:
            task = asyncio.create_task(self._load(adapter, account_id, but))
            self._loading[key] = task
            task.add_done_callback(lambda done: self._end(key, done))
        return task

    def _end(self, key: tuple[str, int], task: asyncio.Task[Held]) -> None:
        self._loading.pop(key, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            words = error.message if isinstance(error, ApiError) else repr(error)
            logger.warning("an adapter was not loaded: %s", words, extra={"adapter": key[0]})

    async def _load(self, adapter: Adapter, account_id: int, but: str) -> Held:
        self._asked_ms[adapter.name] = self._now_ms()
        hosts = self._hosts(adapter, account_id, but)
        if not hosts:
            raise EnginesAway(retry_after_ms=ABSENT_RETRY_MS)
        able = [known for known in hosts if not self._loader.has_failed(known, adapter)]
        chosen = self._loader.in_order(able, adapter)[:ENGINES_TRIED_MAX]
        error: ApiError | None = None
        for host in chosen:
            known = self._keeper.find(host.name)
            if known is None:
                continue
            found = await self._loader.load_on(known, adapter)
            if found is None:
                return Held(host.name)
            # What somebody has to mend is told rather than what passes by itself.
            error = found if error is None or isinstance(found, AdapterFailed) else error
        raise error or nobody_can(adapter.name)

    def _hosts(self, adapter: Adapter, account_id: int, but: str) -> list[Known]:
        """The engines that may hold the adapter for the account's route, without one."""
        fleet = self._keeper.fleet
        bases = {
            route.account_id: route.pool
            for route in fleet.routes
            if (route.id, route.parent) == (adapter.base, "")
        }
        owners = (account_id, 0) if adapter.account_id else (account_id,)
        pools = [bases[owner] for owner in owners if owner in bases]
        slots = fleet.pools[pools[0]] if pools else ()
        names = {engine.name for engine in fleet.engines if engine.slot in slots} - {but}
        return [
            known
            for known in self._keeper.known
            if known.target.name in names and known.watch.last.kind != "openai"
        ]

    def _used_ms(self, name: str) -> int:
        return max(self._own_use_ms(name), self.house_uses_ms.get(name, 0))

    def _own_use_ms(self, name: str) -> int:
        return max(self._last_use_ms(name), self._asked_ms.get(name, 0))
