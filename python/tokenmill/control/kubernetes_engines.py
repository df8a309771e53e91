"""Engines of Kubernetes: a thread follows the slices, the keeper is told on the event loop.

What is known stays in force while the API is away. An engine that Kubernetes ends, or finds not
ready, gets nothing new; one that is in no slice any more is none of the house's.
"""

import asyncio
import contextlib
import http.client
import logging
import random
from collections.abc import Callable, Mapping

import msgspec

from tokenmill.control.keeper import Keeper
from tokenmill.control.own_thread import OwnThread
from tokenmill.engines.address import parse_address
from tokenmill.engines.kubernetes.api import ApiRefused, SliceApi, VersionGone
from tokenmill.engines.kubernetes.slices import (
    FoundEngine,
    Slice,
    Wanted,
    apply,
    engines_of,
    settled,
)
from tokenmill.engines.targets import is_same_place, kubernetes_target
from tokenmill.settings import KubernetesSettings

PAUSES_S = (0.2, 30.0)
"""After a failure, and at most after many: doubled each time, by lot around it."""

FIRST_S_MAX = 2.0
"""How long the first fleet waits for the API."""

_BY = "kubernetes"
_FAILURES = (OSError, http.client.HTTPException, ApiRefused, msgspec.MsgspecError)

logger = logging.getLogger("tokenmill.control.kubernetes")


class SliceFollower:
    """The thread: lists, watches, and tells of every change."""

    def __init__(
        self,
        api: SliceApi,
        settings: KubernetesSettings,
        tell: Callable[[dict[str, FoundEngine]], None],
        *,
        pauses_s: tuple[float, float] = PAUSES_S,
    ) -> None:
        self._api = api
        self._wanted = Wanted(settings.port, settings.scheme)
        self._watch_s = settings.watch_s
        self._tell = tell
        self._pauses_s = pauses_s
        self._slices: dict[str, Slice] = {}
        self._version = ""
        self._failures = 0
        self._thread = OwnThread("kubernetes", self._run)

    def start(self) -> None:
        """Follows from now on. A watch cannot be cut short: the process does not wait for it."""
        self._thread.start()

    def stop(self) -> None:
        """Tells nothing any more."""
        self._thread.stop(0)

    def _run(self) -> None:
        while not self._thread.ending.is_set():
            try:
                self._follow()
                self._failures = 0
            except VersionGone:
                logger.info("what Kubernetes remembers does not go back so far: listing anew")
                self._version = ""
                self._pause()
            except _FAILURES as error:
                if not self._failures:
                    logger.warning("Kubernetes does not answer, engines stay: %s", error)
                self._pause()

    def _follow(self) -> None:
        """One watch, after a list where that is needed."""
        if not self._version:
            self._slices, self._version = self._api.list()
            self._say()
        for kind, one in self._api.watch(self._version, self._watch_s):
            if self._thread.ending.is_set():
                return
            self._version = one.metadata.version or self._version
            self._failures = 0
            if kind != "BOOKMARK":
                apply(self._slices, kind, one)
                self._say()

    def _say(self) -> None:
        self._tell(engines_of(self._slices.values(), self._wanted))

    def _pause(self) -> None:
        least_s, most_s = self._pauses_s
        pause_s = min(least_s * 2 ** min(self._failures, 16), most_s)
        self._failures += 1
        self._thread.ending.wait(pause_s * random.uniform(0.5, 1.0))


class KubernetesEngines:
    """What the keeper knows of the cluster's engines. On the event loop."""

    def __init__(self, keeper: Keeper, settings: KubernetesSettings) -> None:
        self._keeper = keeper
        self._settings = settings
        self._known: dict[str, FoundEngine] = {}
        self._has_heard = asyncio.Event()

    def follow(self, api: SliceApi) -> SliceFollower:
        """The started thread."""
        loop = asyncio.get_running_loop()

        def tell(found: dict[str, FoundEngine]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self.take, found)

        follower = SliceFollower(api, self._settings, tell)
        follower.start()
        return follower

    async def first(self) -> None:
        """Returns when the API has answered, or has not in time: then engines of the last fleet
        that nobody else names are taken for the cluster's, until it does."""
        try:
            async with asyncio.timeout(FIRST_S_MAX):
                await self._has_heard.wait()
        except TimeoutError:
            named = [known.target.address for known in self._keeper.known]
            left = {
                one.url: FoundEngine(one.url, one.name, is_ready=not one.is_draining)
                for one in self._keeper.fleet.engines
                if not any(is_same_place(parse_address(one.url), place) for place in named)
            }
            self.take(left)

    def take(self, found: Mapping[str, FoundEngine]) -> None:
        """These are the cluster's engines from now on."""
        self._has_heard.set()
        after = settled(self._known, found)
        for target in [known.target for known in self._keeper.known]:
            if target.origin == "kubernetes" and target.address.url not in after:
                logger.info("an engine is in no slice any more", extra={"engine": target.name})
                self._keeper.remove(target.name, is_lost=True)
        ours = {
            known.target.address.url
            for known in self._keeper.known
            if known.target.origin == "kubernetes"
        }
        for url, engine in after.items():
            if url not in ours:
                self._add(engine)
        self._known = after
        self._keeper.drain((one.url for one in after.values() if not one.is_ready), by=_BY)

    def _add(self, engine: FoundEngine) -> None:
        names = {known.target.name for known in self._keeper.known}
        name = engine.name if engine.name not in names else engine.url.partition("://")[2]
        places = self._keeper.settings.places
        try:
            target = kubernetes_target(engine.url, name, self._settings.api_key, places)
        except ValueError as error:
            logger.warning("an address of a slice is none: %s", error)
            return
        for known in self._keeper.known:
            if known.is_listed and is_same_place(known.target.address, target.address):
                return  # the settings name it, too
        self._keeper.forget_tried(target.address)
        self._keeper.add(target)
