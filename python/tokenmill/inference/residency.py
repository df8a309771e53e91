"""Adapters that no engine holds, or that the one that was asked has lost: loaded for the requests
that lack them.

Control loads one, once for all who wait; a worker asks for it once for all of its own. An adapter
is never answered by its base: where it cannot be had, the request is refused.
"""

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from tokenmill._native import Forwarder, Relay
from tokenmill.adapters.views import LoadWish
from tokenmill.errors import ApiError, ModelLoading, ServiceUnavailable
from tokenmill.inference.control_asking import Told, ask_control
from tokenmill.models.fleet import Route
from tokenmill.models.lookup import RETRY_MS
from tokenmill.protocol.errors import ErrorEnvelope

if TYPE_CHECKING:
    from tokenmill.inference.serving import Serving

_TARGET = "/control/adapters/load"

Place = tuple[str, int, int]
"""An adapter, the account of its route, and the slot of the engine that did not answer."""


class AdapterLoads:
    """What one worker has asked control to load."""

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder
        self._under_way: dict[Place, asyncio.Task[None]] = {}

    async def load(self, route: Route, control_pool: int, failed: int = -1) -> None:
        """Returns when an engine holds the route's adapter and the fleet says so.

        `failed`: the slot of an engine that was asked and did not answer. Raises: ApiError.
        """
        place = (route.id, route.account_id, failed)
        task = self._under_way.get(place)
        if task is None:
            task = asyncio.create_task(self._ask(LoadWish(*place), control_pool))
            self._under_way[place] = task
            task.add_done_callback(partial(self._end, place))
        await asyncio.shield(task)

    def _end(self, place: Place, task: asyncio.Task[None]) -> None:
        del self._under_way[place]
        if not task.cancelled():
            task.exception()  # is looked at: all who waited for it may have gone

    async def _ask(self, wish: LoadWish, control_pool: int) -> None:
        body = msgspec.json.encode(wish)
        told = await ask_control(self._forwarder, control_pool, _TARGET, body)
        if told is None:
            raise ModelLoading("The adapter cannot be loaded right now.", retry_after_ms=RETRY_MS)
        if told.status != 200:
            raise _error_of(told)


class Supply:
    """One request's wait for an engine that holds its adapter, beside the watch over its client."""

    def __init__(self, serving: "Serving", route: Route, relay: Relay) -> None:
        self._serving = serving
        self._route = route
        self._relay = relay
        self._task: asyncio.Task[None] | None = None
        self.error: ApiError | None = None  # why there is none

    def begin(self, failed: int) -> None:
        """Has the adapter loaded; the relay goes on when that is done, or ends. `failed`: the slot
        of the engine that was asked and did not answer for it, or -1."""
        self._task = asyncio.create_task(self._load(failed))

    def close(self) -> None:
        """Nobody waits any more. What is being loaded goes on being loaded."""
        if self._task is not None:
            self._task.cancel()

    async def _load(self, failed: int) -> None:
        serving = self._serving
        is_there = False
        try:
            await serving.loads.load(self._route, serving.control_pool, failed)
            serving.fleet_index()  # which says now who holds it
            self._relay.go_on(serving.pool(self._route))
            is_there = True
        except ApiError as error:
            self.error = error
        finally:
            if not is_there:
                self._relay.give_up()


def _error_of(told: Told) -> ApiError:
    """Control's refusal, as it is told to the client."""
    try:
        detail = msgspec.json.decode(told.body, type=ErrorEnvelope).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ServiceUnavailable(retry_after_ms=RETRY_MS)
    after = told.headers.get(b"retry-after-ms", b"")
    error = ApiError(
        detail.message,
        param=detail.param,
        code=detail.code,
        retry_after_ms=int(after) if after.isdigit() else None,
        should_retry=False if told.headers.get(b"x-should-retry") == b"false" else None,
    )
    error.status, error.type = told.status, detail.type
    return error
