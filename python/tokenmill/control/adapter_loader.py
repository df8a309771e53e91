"""One engine's adapters: loads one there, unloads one, and makes room for it.

Whether an engine has an adapter is what it lists afterwards, never what it says it did. While one
is taken from an engine no new request goes there for it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext

from msgspec import Struct

from tokenmill.adapters.rules import Adapter, Host, in_order, is_held, is_same, makes_room
from tokenmill.clock import monotonic_ms
from tokenmill.control.keeper import Keeper
from tokenmill.control.known_engines import Known
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
    ServiceUnavailable,
)
from tokenmill.models.lookup import ABSENT_RETRY_MS, RETRY_MS
from tokenmill.settings import AdapterSettings

FAILED_MS = 10_000
"""How long an engine that refused an adapter is not asked to load it again."""

ENGINES_SHOWN_MAX = 3
TURNS_MAX = 1_024
LEAVE_S = 0.25
"""Between the fleet that sends no more requests and the unloading: a worker may have one."""

Turn = Callable[[str], AbstractAsyncContextManager[bool]]
"""Of an engine, by its URL: whether this house may change what it holds."""

logger = logging.getLogger("tokenmill.control.adapters")


def always(_: str) -> AbstractAsyncContextManager[bool]:
    """The turns of a house that shares no engine."""
    return nullcontext(enter_result=True)


class Failure(Struct, frozen=True):
    """An engine refused an adapter: when, and its words, which are for operators."""

    at_ms: int
    words: str


class AdapterLoader:
    """What engines hold, and what they could not load of late."""

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
        """`requests` of an engine, `last_use_ms` of an adapter, both by name. `house_turn`: among
        the houses before the engine; without it there is one."""
        self._keeper = keeper
        self._settings = settings
        self._requests = requests
        self._last_use_ms = last_use_ms
        self._house_turn = house_turn
        self._now_ms = now_ms
        self._turns: dict[str, asyncio.Lock] = {}  # by engine
        self._failures: dict[tuple[str, str], Failure] = {}  # by engine and adapter

    def holds(self, known: Known, adapter: Adapter) -> bool:
        """Whether requests for the adapter may go to the engine."""
        is_going = (known.target.name, adapter.engine_name) in self._keeper.retired
        return known.watch.state == "serving" and not is_going and is_held(adapter, _served(known))

    def has_room(self, known: Known) -> bool:
        """Whether the engine may hold one more without giving one up."""
        return len(_held(known)) < self._settings.resident_max

    def has_failed(self, known: Known, adapter: Adapter) -> bool:
        """Whether the engine refused the adapter of late."""
        failure = self._failures.get((known.target.name, adapter.name))
        return failure is not None and self._now_ms() - failure.at_ms < FAILED_MS

    def load_of(self, known: Known) -> int:
        """Requests that the engine has, of this house and, where it tells, of all."""
        told = known.load.running + known.load.waiting if known.load is not None else 0
        return max(told, self._requests(known.target.name))

    def in_order(self, hosts: Sequence[Known], adapter: Adapter) -> list[Host]:
        """The engines, the best one for the adapter first."""
        found = [
            Host(name=known.target.name, requests=self.load_of(known), held=len(_held(known)))
            for known in hosts
        ]
        return in_order(found, adapter, self._settings.resident_max)

    def detail(self, name: str) -> str:
        """Why the adapter could not be loaded of late; empty, if nothing is wrong with it."""
        now_ms = self._now_ms()
        found = [
            f"{engine}: {failure.words}"
            for (engine, adapter), failure in self._failures.items()
            if adapter == name and now_ms - failure.at_ms < FAILED_MS
        ]
        return "; ".join(found[:ENGINES_SHOWN_MAX])

    async def forget(self, adapter: Adapter) -> None:
        """Every engine that holds the adapter is told to let go of it."""
        for known in list(self._keeper.known):
            if any(is_same(adapter, each, _served(known)) for each in _served(known)):
                async with self._turn(known.target.name):
                    await self._unload(known, adapter.engine_name)
        self._failures = {key: one for key, one in self._failures.items() if key[1] != adapter.name}

    async def load_on(self, known: Known, adapter: Adapter) -> ApiError | None:
        """Nothing, if the engine holds it now; else why not. One adapter at a time an engine."""
        url = known.target.address.url
        async with self._turn(known.target.name), self._house_turn(url) as is_ours:
            if not is_ours:
                return ModelLoading(
                    "Other adapters are being loaded. Try again in a moment.",
                    retry_after_ms=RETRY_MS,
                )
            return await self._load_in_turn(known, adapter)

    async def _load_in_turn(self, known: Known, adapter: Adapter) -> ApiError | None:
        # Another house may have loaded it, or others, since the last look.
        await self._keeper.look_at(known.target.name)
        if self.holds(known, adapter):
            return None
        return await self._prepare(known, adapter) or await self._ask(known, adapter)

    async def _prepare(self, known: Known, adapter: Adapter) -> ApiError | None:
        """Makes room for it; why there is none."""
        name = adapter.engine_name
        if known.watch.state != "serving":
            return EnginesAway(retry_after_ms=RETRY_MS)
        if any(each.id == name and each.parent for each in _served(known)):
            await self._unload(known, name)  # other files by this name
        if not await self._make_room(known):
            return ServiceUnavailable(
                "The engines hold as many adapters as they may, and all are in use.",
                retry_after_ms=ABSENT_RETRY_MS,
            )
        return None

    async def _ask(self, known: Known, adapter: Adapter) -> ApiError | None:
        target = known.target
        extra = {"engine": target.name, "adapter": adapter.name}
        try:
            words = await load_adapter(
                target.address,
                adapter.engine_name,
                adapter.path,
                api_key=target.api_key,
                timeout_ms=self._settings.load_ms,
            )
        except NoAnswer as error:
            logger.warning("an engine did not load an adapter: %s", error, extra=extra)
            return EnginesAway(retry_after_ms=RETRY_MS)
        await self._keeper.look_at(target.name)
        if self.holds(known, adapter):
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
        return nobody_can(adapter)

    async def _make_room(self, known: Known) -> bool:
        """Whether the engine may hold one more, after one had to go if there was no room."""
        while not self.has_room(known):
            named = self._keeper.adapters.values()
            uses = {each.engine_name: self._last_use_ms(each.name) for each in named}
            name = makes_room(_held(known), await self._in_use(known), uses)
            if name is None or not await self._unload(known, name, if_idle=True):
                return False
        return True

    async def _unload(self, known: Known, name: str, *, if_idle: bool = False) -> bool:
        """Whether the engine holds it no more. `name`: as the engine knows it."""
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
        """The adapters that the engine is busy with, for whatever house; where it does not say, all
        that it holds if it is busy at all."""
        target = known.target
        timeout_ms = self._keeper.settings.look_ms
        found = await adapters_in_use(target.address, api_key=target.api_key, timeout_ms=timeout_ms)
        if found is not None:
            return found
        return frozenset(_held(known)) if self._requests(target.name) else frozenset()

    def _turn(self, engine: str) -> asyncio.Lock:
        if len(self._turns) > TURNS_MAX:  # engines come and go
            self._turns = {name: one for name, one in self._turns.items() if one.locked()}
        return self._turns.setdefault(engine, asyncio.Lock())


def nobody_can(adapter: str) -> AdapterFailed:
    """What a client is told where engines refuse the adapter."""
    return AdapterFailed(f"No engine can load the adapter '{adapter}'.", should_retry=False)


def _served(known: Known) -> tuple[ServedModel, ...]:
    return known.watch.last.models


def _held(known: Known) -> list[str]:
    return [model.id for model in _served(known) if model.parent]
