"""Loads adapters on engines: on demand, once for all who wait, and elsewhere when an engine drains.

Which engine is decided in `adapters/rules.py`; whether it has the adapter afterwards is what it
lists. While an adapter is taken from an engine no new request goes there for it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from tokenmill.adapters.rules import (
    Adapter,
    Host,
    in_order,
    is_held,
    is_same,
    makes_room,
    wants_another,
)
from tokenmill.adapters.views import Held, LoadWish
from tokenmill.clock import monotonic_ms
from tokenmill.control.keeper import Keeper, Known
from tokenmill.engines.adapter_calls import (
    NoAnswer,
    adapters_in_use,
    load_adapter,
    unload_adapter,
)
from tokenmill.engines.recognition import ServedModel
from tokenmill.errors import (
    AdapterFailed,
    ApiError,
    EnginesAway,
    ModelLoading,
    ModelNotFound,
    ServiceUnavailable,
)
from tokenmill.models.lookup import ABSENT_RETRY_MS, RETRY_MS
from tokenmill.settings import AdapterSettings

LOOK_S = 0.5
ENGINES_TRIED_MAX = 3
FAILED_MS = 10_000
"""How long an engine that refused an adapter is not asked to load it again."""

WANTED_MS = 60_000
"""An adapter that nobody has asked for so long is not brought to more engines."""

TURNS_MAX = 1_024
LEAVE_S = 0.25
"""Between the fleet that sends no more requests and the unloading: a worker may have one."""

logger = logging.getLogger("tokenmill.control.adapters")


class Failure(Struct, frozen=True):
    """An engine refused an adapter: when, and its words, which are for operators."""

    at_ms: int
    words: str


class AdapterKeeper:
    """What is being loaded, and what could not be."""

    def __init__(
        self,
        keeper: Keeper,
        settings: AdapterSettings,
        requests: Callable[[str], int],
        last_use_ms: Callable[[str], int],
        *,
        now_ms: Callable[[], int] = monotonic_ms,
    ) -> None:
        """`requests` of an engine, `last_use_ms` of an adapter, both by name."""
        self._keeper = keeper
        self._settings = settings
        self._requests = requests
        self._last_use_ms = last_use_ms
        self._now_ms = now_ms
        self._loading: dict[tuple[str, int], asyncio.Task[Held]] = {}
        self._turns: dict[str, asyncio.Lock] = {}  # by engine
        self._failures: dict[tuple[str, str], Failure] = {}  # by engine and adapter
        self._asked_ms: dict[str, int] = {}
        self._moved_ms: dict[tuple[str, int], int] = {}

    async def ensure(self, wish: LoadWish) -> Held:
        """An engine of the adapter's route that holds it, and is known to the workers to.

        Raises: ModelNotFound, EnginesAway, ModelLoading, AdapterFailed, ServiceUnavailable.
        """
        adapter = self._keeper.adapters.get(wish.name)
        if adapter is None:
            raise ModelNotFound(param="model")
        failed = await self._failed_engine(adapter, wish.failed)
        for known in self._hosts(adapter, wish.account_id, failed):
            if self._holds(known, adapter):
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
        is_well = known.watch.state == "serving" and not self._holds(known, adapter)
        return "" if is_well else known.target.name

    def detail(self, name: str) -> str:
        """Why the adapter could not be loaded of late; empty, if nothing is wrong with it."""
        now_ms = self._now_ms()
        found = [
            f"{engine}: {failure.words}"
            for (engine, adapter), failure in self._failures.items()
            if adapter == name and now_ms - failure.at_ms < FAILED_MS
        ]
        return "; ".join(found[:ENGINES_TRIED_MAX])

    async def forget(self, adapter: Adapter) -> None:
        """Every engine that holds the adapter is told to let go of it."""
        for known in list(self._keeper.known):
            if any(is_same(adapter, each, _served(known)) for each in _served(known)):
                async with self._turn(known.target.name):
                    await self._unload(known, adapter.name)
        self._failures = {key: one for key, one in self._failures.items() if key[1] != adapter.name}
        self._asked_ms.pop(adapter.name, None)

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
        fleet, now_ms = self._keeper.fleet, self._now_ms()
        wanted = [
            (self._keeper.adapters[route.id], route.account_id)
            for route in fleet.routes
            if route.is_loadable and fleet.pools[route.pool] and route.id in self._keeper.adapters
            if now_ms - self._used_ms(route.id) < WANTED_MS
        ]
        for adapter, account_id in wanted:
            hosts = self._hosts(adapter, account_id, "")
            holders = [known for known in hosts if self._holds(known, adapter)]
            others = [known for known in hosts if self._may_hold_too(known, adapter)]
            if not wants_another(map(self._load_of, holders), map(self._load_of, others)):
                continue
            host = self._in_order(others, adapter)[0]
            known = self._keeper.find(host.name)
            if known is not None:
                async with self._turn(host.name):
                    await self._load_on(known, adapter)

    def _may_hold_too(self, known: Known, adapter: Adapter) -> bool:
        has_room = len(_held(known)) < self._settings.resident_max
        is_free = not self._holds(known, adapter) and not self._has_failed(known, adapter)
        return has_room and is_free

    def _load_of(self, known: Known) -> int:
        """Requests that the engine has, of this house and, where it tells, of all."""
        told = known.load.running + known.load.waiting if known.load is not None else 0
        return max(told, self._requests(known.target.name))

    def _stranded(self) -> list[tuple[str, int]]:
        fleet, adapters = self._keeper.fleet, self._keeper.adapters
        drained = [known for known in self._keeper.known if self._keeper.report(known).is_draining]
        return [
            (route.id, route.account_id)
            for route in fleet.routes
            if route.is_loadable and not fleet.pools[route.pool]
            if any(route.id in adapters and self._holds(one, adapters[route.id]) for one in drained)
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
        able = [known for known in hosts if not self._has_failed(known, adapter)]
        error: ApiError | None = None
        for host in self._in_order(able, adapter)[:ENGINES_TRIED_MAX]:
            known = self._keeper.find(host.name)
            if known is None:
                continue
            async with self._turn(host.name):
                found = await self._load_on(known, adapter)
            if found is None:
                return Held(host.name)
            # What somebody has to mend is told rather than what passes by itself.
            error = found if error is None or isinstance(found, AdapterFailed) else error
        raise error or _nobody_can(adapter.name)

    async def _load_on(self, known: Known, adapter: Adapter) -> ApiError | None:
        """Nothing, if the engine holds it now; else why not."""
        target = known.target
        if self._holds(known, adapter):
            return None
        if any(each.id == adapter.name and each.parent for each in _served(known)):
            await self._unload(known, adapter.name)  # other files by this name
        if not await self._make_room(known):
            return ServiceUnavailable(
                "The engines hold as many adapters as they may, and all are in use.",
                retry_after_ms=ABSENT_RETRY_MS,
            )
        try:
            words = await load_adapter(
                target.address,
                adapter.name,
                adapter.path,
                api_key=target.api_key,
                timeout_ms=self._settings.load_ms,
            )
        except NoAnswer as error:
            extra = {"engine": target.name, "adapter": adapter.name}
            logger.warning("an engine did not load an adapter: %s", error, extra=extra)
            return EnginesAway(retry_after_ms=RETRY_MS)
        await self._keeper.look_at(target.name)
        if self._holds(known, adapter):
            extra = {"engine": target.name, "adapter": adapter.name}
            logger.info("an adapter is loaded", extra=extra)
            return None
        if known.watch.state != "serving":
            return EnginesAway(retry_after_ms=RETRY_MS)
        return self._refused(target.name, adapter.name, words)

    def _refused(self, engine: str, adapter: str, words: str) -> ApiError:
        now_ms = self._now_ms()
        failure = Failure(now_ms, words or "it says that it loaded it, and does not list it")
        recent = {key: one for key, one in self._failures.items() if now_ms - one.at_ms < FAILED_MS}
        self._failures = recent | {(engine, adapter): failure}
        extra = {"engine": engine, "adapter": adapter, "words": failure.words}
        logger.warning("an engine refused an adapter", extra=extra)
        return _nobody_can(adapter)

    async def _make_room(self, known: Known) -> bool:
        """Whether the engine may hold one more, after one had to go if there was no room."""
        while len(_held(known)) >= self._settings.resident_max:
            uses = {name: self._used_ms(name) for name in self._keeper.adapters}
            name = makes_room(_held(known), await self._in_use(known), uses)
            if name is None or not await self._unload(known, name, if_idle=True):
                return False
        return True

    async def _unload(self, known: Known, name: str, *, if_idle: bool = False) -> bool:
        """Whether the engine holds it no more."""
        target = known.target
        with self._retired(known, name):
            await asyncio.sleep(LEAVE_S)
            if if_idle and name in await self._in_use(known):
                return False
            with contextlib.suppress(NoAnswer):
                await unload_adapter(
                    target.address,
                    name,
                    api_key=target.api_key,
                    timeout_ms=self._keeper.settings.look_ms,
                )
            await self._keeper.look_at(target.name)
        is_gone = name not in _held(known)
        if is_gone:
            logger.info("an adapter is unloaded", extra={"engine": target.name, "adapter": name})
        return is_gone

    @contextlib.contextmanager
    def _retired(self, known: Known, name: str) -> Iterator[None]:
        """The fleet sends no request for the adapter to the engine meanwhile."""
        place = (known.target.name, name)
        self._keeper.retired.add(place)
        self._keeper.publish()
        try:
            yield
        finally:
            self._keeper.retired.discard(place)
            self._keeper.publish()

    async def _in_use(self, known: Known) -> frozenset[str]:
        """The adapters that the engine is busy with; where it does not say, all that it holds if it
        is busy at all."""
        target = known.target
        timeout_ms = self._keeper.settings.look_ms
        found = await adapters_in_use(target.address, api_key=target.api_key, timeout_ms=timeout_ms)
        if found is not None:
            return found
        return frozenset(_held(known)) if self._requests(target.name) else frozenset()

    def _hosts(self, adapter: Adapter, account_id: int, but: str) -> list[Known]:
        """The engines of the base's pool that can hold adapters, without one."""
        fleet = self._keeper.fleet
        bases = (
            route.pool
            for route in fleet.routes
            if (route.account_id, route.id, route.parent) == (account_id, adapter.base, "")
        )
        slots = next((fleet.pools[pool] for pool in bases), ())
        names = {engine.name for engine in fleet.engines if engine.slot in slots}
        return [
            known
            for known in self._keeper.known
            if known.target.name in names - {but} and known.watch.last.kind != "openai"
        ]

    def _in_order(self, hosts: Sequence[Known], adapter: Adapter) -> list[Host]:
        found = [
            Host(
                name=known.target.name,
                requests=self._load_of(known),
                held=len(_held(known)),
            )
            for known in hosts
        ]
        return in_order(found, adapter, self._settings.resident_max)

    def _holds(self, known: Known, adapter: Adapter) -> bool:
        is_going = (known.target.name, adapter.name) in self._keeper.retired
        return known.watch.state == "serving" and not is_going and is_held(adapter, _served(known))

    def _has_failed(self, known: Known, adapter: Adapter) -> bool:
        failure = self._failures.get((known.target.name, adapter.name))
        return failure is not None and self._now_ms() - failure.at_ms < FAILED_MS

    def _used_ms(self, name: str) -> int:
        return max(self._last_use_ms(name), self._asked_ms.get(name, 0))

    def _turn(self, engine: str) -> asyncio.Lock:
        if len(self._turns) > TURNS_MAX:  # engines come and go
            self._turns = {name: one for name, one in self._turns.items() if one.locked()}
        return self._turns.setdefault(engine, asyncio.Lock())


def _nobody_can(adapter: str) -> AdapterFailed:
    return AdapterFailed(f"No engine can load the adapter '{adapter}'.", should_retry=False)


def _served(known: Known) -> tuple[ServedModel, ...]:
    return known.watch.last.models


def _held(known: Known) -> list[str]:
    return [model.id for model in _served(known) if model.parent]
