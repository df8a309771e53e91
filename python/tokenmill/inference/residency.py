"""A route whose engines can answer it: an adapter that none of them holds is loaded first.

Control loads it, once for all who wait; a worker asks for it once for all of its own. An adapter is
never answered by its base: where none can be had, the request is refused.
"""

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from tokenmill._native import End, EndReason, Forwarder, KeyEntry, Whole
from tokenmill.adapters.views import LoadWish
from tokenmill.engines.recognition import Task
from tokenmill.errors import ApiError, ModelLoading, ServiceUnavailable
from tokenmill.inference.client_watch import Event
from tokenmill.inference.control_asking import Told, ask_control
from tokenmill.models.fleet import Route
from tokenmill.models.lookup import RETRY_MS
from tokenmill.protocol.errors import ErrorEnvelope

if TYPE_CHECKING:
    from tokenmill.inference.serving import Serving

_TARGET = "/control/adapters/load"
_GONE = (
    EndReason.NO_ENGINE,
    EndReason.REFUSED,
    EndReason.CONNECT_TIMEOUT,
    EndReason.CLOSED,
)

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


async def answered_route(serving: "Serving", asked: str | None, key: KeyEntry, task: Task) -> Route:
    """The route that answers, with engines that can. Raises: ApiError, where there is none."""
    route = serving.route(asked, key, task)
    if not route.is_loadable or serving.fleet_index().has_engines(route):
        return route
    await serving.loads.load(route, serving.control_pool)
    route = serving.route(asked, key, task)
    if not serving.fleet_index().has_engines(route):  # it went as soon as it was there
        raise ModelLoading(retry_after_ms=RETRY_MS)
    return route


def is_astray(event: Event) -> bool:
    """Whether an answer's first event says that the engine does not hold the adapter any more, is
    gone, or is about to go: nothing was made for the request there."""
    if isinstance(event, Whole):
        return event.status in (404, 503)
    return isinstance(event, End) and event.reason in _GONE and not event.sent_tokens


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
