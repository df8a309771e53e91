"""Which route answers a request: pure, for the workers. `rules.py` makes the routes.

A model may be left out or be "auto": then the first route that the account sees answers. An alias
stands for a model and is what the answer calls it. An account's own route is there for it alone; to
all others it does not exist. While an account's own engines are away nobody else answers for them:
it would be billed for what it has already.
"""

from collections.abc import Container, Iterable

from tokenmill.engines.recognition import EngineKind, Task
from tokenmill.errors import (
    ApiError,
    EnginesAway,
    EnginesDraining,
    InvalidRequest,
    ModelLoading,
    ModelNotFound,
    NoEngine,
    PermissionDenied,
)
from tokenmill.models.fleet import AbsentModel, Fleet, Route

AUTO = "auto"
NO_POOL = 1 << 30
RETRY_MS = 1_000
"""When to come back for an engine that starts or returns: discovery looks twice a second."""

ABSENT_RETRY_MS = 5_000
"""The same for engines that are drained or away: somebody restarts them, which takes longer."""

_ELSEWHERE = {
    "generate": "makes embeddings; send it to /embeddings",
    "embed": "generates text; send it to /chat/completions",
}


class FleetIndex:
    """A fleet, indexed by what requests ask for. Built once a generation."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self._by_name = {(route.account_id, route.id): route for route in fleet.routes}
        kinds = self._kind_by_slot = {engine.slot: engine.kind for engine in fleet.engines}
        self._parserless = {each.slot for each in fleet.engines if not each.parses_tools}
        self._kinds = [
            _kind_of({kinds[slot] for slot in pool if slot in kinds}) for pool in fleet.pools
        ]
        own_absent = [each for each in fleet.absent if each.account_id]
        self._missed = {(each.account_id, each.name): each for each in own_absent}
        self._accounts = {route.account_id for route in fleet.routes if route.account_id}
        self._accounts |= {each.account_id for each in own_absent}

    def find(self, name: str, account_id: int) -> Route | None:
        """The route that `name` means for an account: its own, which nobody stands in for."""
        for each in (name, self.fleet.aliases.get(name)):
            if each is None:
                break
            own = (account_id, each)
            route = self._by_name.get(own)
            if route is None and own in self._missed:
                return None
            route = route or self._by_name.get((0, each))
            if route is not None:
                return route
        return None

    def absent(self, name: str | None, account_id: int) -> AbsentModel | None:
        """What `name` means for an account, if it was served and no engine can serve it now; None:
        any such model, rather one that is drained."""
        mine = (each for each in self.fleet.absent if each.account_id in (0, account_id))
        found = [each for each in mine if name is None or each.name == name]
        return max(found, key=lambda each: each.is_draining, default=None)

    def misses(self, account_id: int, task: Task, allowed: Container[str] | None) -> bool:
        """Whether the account has a model of the task for itself whose engines are away."""
        if account_id not in self._accounts:
            return False
        return any(
            each.task == task and not each.is_adapter and (allowed is None or name in allowed)
            for (owner, name), each in self._missed.items()
            if owner == account_id
        )

    def pool_now(self, route: Route) -> int:
        """The pool of a route that may be of an earlier fleet, in which pools had other numbers;
        where the route is gone, a pool that is not there."""
        current = self._by_name.get((route.account_id, route.id))
        return NO_POOL if current is None else current.pool

    def visible(self, account_id: int) -> Iterable[Route]:
        """The routes of an account in the order of preference, its own ones first."""
        routes = self.fleet.routes
        if account_id not in self._accounts:
            return (route for route in routes if not route.account_id)
        own = {route.id for route in routes if route.account_id == account_id}
        own |= {name for owner, name in self._missed if owner == account_id}
        ranked = [route for route in routes if route.account_id == account_id]
        return ranked + [each for each in routes if not each.account_id and each.id not in own]

    def kind(self, route: Route) -> EngineKind:
        """What kind of engine answers a route; `openai`, about which nothing is known, where its
        engines are of several kinds."""
        if route.is_loadable and not self.has_engines(route):
            return _kind_of({self._kind_by_slot[slot] for slot in self._loaders(route)})
        return self._kinds[route.pool]

    def parses_tools(self, route: Route) -> bool:
        """Whether every engine of a route reads tool calls out of its answers itself."""
        pool = self.fleet.pools[route.pool] or self._loaders(route)
        return not any(slot in self._parserless for slot in pool)

    def engine_count(self, route: Route) -> int:
        """How many engines a route has, which may be of an earlier fleet."""
        pool = self.pool_now(route)
        return 0 if pool == NO_POOL else len(self.fleet.pools[pool])

    def has_engines(self, route: Route) -> bool:
        """Whether some engine can be asked; of an adapter, one that holds it."""
        return bool(self.fleet.pools[route.pool])

    def counting_route(self, route: Route) -> Route:
        """Whose engines count a prompt for the route: its own or, before an adapter is loaded, its
        base's, which has the same tokens."""
        if not route.is_loadable or self.has_engines(route):
            return route
        return self.find(route.parent, route.account_id) or route

    def _loaders(self, route: Route) -> list[int]:
        """The engines that an adapter can be loaded on: its base's that are known to do that."""
        base = self.find(route.parent, route.account_id)
        pool = () if base is None else self.fleet.pools[base.pool]
        return [slot for slot in pool if self._kind_by_slot.get(slot) not in (None, "openai")]

    def can_answer(self) -> bool:
        """Whether some engine serves some model."""
        return bool(self.fleet.routes)


def resolve(
    index: FleetIndex,
    asked: str | None,
    account_id: int,
    task: Task,
    allowed: Container[str] | None = None,
) -> Route | ApiError:
    """The route for what was asked, or why there is none. `auto` never means an adapter.

    With `allowed`, other models than those are refused, and `auto` means one of them.
    """
    if asked is None or asked == AUTO:
        misses_own = index.misses(account_id, task, allowed)
        for each in index.visible(account_id):
            if misses_own and not each.account_id:
                break
            if each.task == task and not each.parent and is_allowed(each, None, allowed):
                return each
        return _nothing_there(index, None, account_id)
    route = index.find(asked, account_id)
    if route is None:
        return _not_found(index, asked, account_id, task)
    if route.task != task:
        message = f"The model '{asked[:128]}' {_ELSEWHERE[task]}."
        return InvalidRequest(message, param="model")
    if not is_allowed(route, asked, allowed):
        message = f"This key may not use the model '{asked[:128]}'."
        return PermissionDenied(message, param="model")
    return route


def is_allowed(route: Route, asked: str | None, allowed: Container[str] | None) -> bool:
    """Whether a key with this list may use the route, by its own name or the one asked for."""
    return allowed is None or route.id in allowed or (asked is not None and asked in allowed)


def answer_name(route: Route, asked: str | None) -> str:
    """What an answer calls its model: the name that was asked for, or the one that was found."""
    return route.id if asked is None or asked == AUTO else asked


def _kind_of(kinds: set[EngineKind]) -> EngineKind:
    return kinds.pop() if len(kinds) == 1 else "openai"


def why_absent(index: FleetIndex, name: str | None, account_id: int) -> ApiError | None:
    """The answer where a model was served and cannot be now; None: it is not known.

    What it says of a model it says only to those who saw it when it was there.
    """
    absent = index.absent(name, account_id)
    if absent is None:
        return None
    if index.fleet.is_loading():
        return ModelLoading(retry_after_ms=RETRY_MS)
    kind = EnginesDraining if absent.is_draining else EnginesAway
    return kind(retry_after_ms=ABSENT_RETRY_MS)


def _nothing_there(index: FleetIndex, asked: str | None, account_id: int) -> ApiError:
    if index.fleet.is_loading():
        return ModelLoading(retry_after_ms=RETRY_MS)
    name = None if asked == AUTO else asked
    return why_absent(index, name, account_id) or NoEngine(retry_after_ms=RETRY_MS)


def _not_found(index: FleetIndex, asked: str, account_id: int, task: Task) -> ApiError:
    has_any = any(route.task == task for route in index.visible(account_id))
    if index.fleet.is_loading() or not has_any or index.absent(asked, account_id):
        return _nothing_there(index, asked, account_id)
    message = (
        f"The model '{asked[:128]}' does not exist, or you have no access to it. "
        'GET /v1/models lists the models you can use; "auto" picks one.'
    )
    return ModelNotFound(message, param="model")
