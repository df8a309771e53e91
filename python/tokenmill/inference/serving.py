"""What all requests of one worker share: settings, segment, forwarder, fleet, decoders, counters.

The fleet is a file beside the segment; its generation is compared before each routing and the file
is read again when control has published a new one.
"""

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec

from tokenmill._native import Forwarder, KeyEntry, Relay, RoutingPolicy, Segment, Tariff
from tokenmill.engines.recognition import Task
from tokenmill.errors import ApiError, ModelLoading
from tokenmill.inference.client_watch import ClientWatch, WatchClock
from tokenmill.inference.counting import Counters
from tokenmill.inference.deadlines import Deadlines
from tokenmill.inference.exchange import Exchange, Receive
from tokenmill.inference.grammars import Grammars
from tokenmill.inference.residency import AdapterLoads
from tokenmill.inference.warm_ups import WarmUps
from tokenmill.keys.model_lists import ModelLists
from tokenmill.keys.rules import SOME_MODELS
from tokenmill.models.fleet import Fleet, Route, decode_fleet, fleet_path
from tokenmill.models.lookup import RETRY_MS, FleetIndex, resolve
from tokenmill.models.numbers import model_number
from tokenmill.models.own_prices import OwnPrices, read_own_prices
from tokenmill.models.policies import policies_of, salted
from tokenmill.models.prices import Price, dedicated_price_of, price_of
from tokenmill.protocol.chat import ChatRequest
from tokenmill.protocol.completions import CompletionRequest
from tokenmill.protocol.decoding import BodyDecoder
from tokenmill.protocol.embeddings import EmbeddingRequest
from tokenmill.settings import PriceSettings, Settings

if TYPE_CHECKING:
    from tokenmill.purses.worker_purses import WorkerPurses

READY_WAIT_S = 5.0
"""How long a request waits for control's first words; a start takes a fraction of it."""

_READY_POLL_S = 0.02
SESSION_BYTES_MAX = 256

logger = logging.getLogger(__name__)


class Serving:
    """The shared state of a worker's data plane. One a process, used on its event loop only."""

    def __init__(
        self,
        settings: Settings,
        segment: Segment,
        forwarder: Forwarder,
        worker: int,
        control_socket: str,
        *,
        purses: "WorkerPurses | None" = None,
    ) -> None:
        """`purses`: where many houses share limits and wallets; None: they are the segment's."""
        self.settings = settings
        self.purses = purses
        self.segment = segment
        self.forwarder = forwarder
        self.counters = Counters(segment, worker)
        self.grammars = Grammars(settings.grammar, settings.bounds)
        ignore = settings.bounds.unknown_fields == "ignore"
        self.chat_decoder = BodyDecoder(ChatRequest, ignore_unknown=ignore)
        self.completion_decoder = BodyDecoder(CompletionRequest, ignore_unknown=ignore)
        self.embedding_decoder = BodyDecoder(EmbeddingRequest, ignore_unknown=ignore)
        self._lists = ModelLists(settings.state)
        self._control_url = f"unix:{control_socket}"
        self.enforces = not settings.limits.shadow
        self._session_header = settings.routing.session_header.encode()
        self._tariffs: dict[tuple[int, str, int], Tariff] = {}
        self._own_tariffs: dict[tuple[int, str, int, bool], Tariff] = {}
        self._own_prices = OwnPrices({})
        self._prices_generation = 0
        self._index = FleetIndex(Fleet())
        self._generation = 0
        self._reader_stall_s = settings.forward.reader_stall_ms / 1000
        self._set_fleet(Fleet())
        self.loads = AdapterLoads(forwarder)
        self.warm_ups = WarmUps()
        self.is_attached = False

    def attach(self) -> None:
        """Ties this and the native I/O thread to the running event loop: once, before all else."""
        self.is_attached = True
        self.loop = asyncio.get_running_loop()
        self.deadlines = Deadlines(self.loop)
        self.watch_clock = WatchClock(self.loop)
        self.loop.add_reader(self.forwarder.wake_fd(), self.forwarder.dispatch)

    @property
    def control_pool(self) -> int:
        """The pool whose only engine is control's socket."""
        return len(self._index.fleet.pools)

    def fleet_index(self) -> FleetIndex:
        """The fleet as control last published it."""
        generation = self.segment.fleet_generation
        if generation != self._generation:
            self._reload(generation)
        return self._index

    def watch(self, relay: Relay, receive: Receive) -> ClientWatch:
        """The context in which the client of `relay` is watched."""
        return ClientWatch(relay, receive, self.watch_clock, self._reader_stall_s)

    def is_ready(self) -> bool:
        """Whether control has loaded accounts and keys and looked for engines once."""
        segment = self.segment
        return segment.keys_ready and segment.accounts_ready and segment.fleet_generation > 0

    async def wait_until_ready(self) -> None:
        """Returns once requests can be judged. Raises: ModelLoading, after five seconds."""
        waited = 0.0
        while not self.is_ready():
            if waited >= READY_WAIT_S:
                raise ModelLoading("The gateway is starting.", retry_after_ms=RETRY_MS)
            await asyncio.sleep(_READY_POLL_S)
            waited += _READY_POLL_S

    def allowed_models(self, key: KeyEntry) -> frozenset[str] | None:
        """The models that the key may use; None: every one that its account sees."""
        return self._lists.models_of(key.key_id) if key.scopes & SOME_MODELS else None

    def route(self, asked: str | None, key: KeyEntry, task: Task) -> Route:
        """The route that answers. Raises: ApiError, where there is none."""
        allowed = self.allowed_models(key)
        found = resolve(self.fleet_index(), asked, key.account_id, task, allowed)
        if isinstance(found, ApiError):
            raise found
        return found

    def pool(self, route: Route) -> int:
        """The number of the route's pool in the forwarder now."""
        return self._index.pool_now(route)

    def engine_name(self, slot: int) -> str:
        """What the engine in this slot is called; empty, if there is none."""
        named = (each.name for each in self._index.fleet.engines if each.slot == slot)
        return next(named, "")

    def session(self, exchange: Exchange, route: Route, user: str | None) -> str | None:
        """What names the client's session, where engines of the route are chosen by it."""
        if route.pool not in self._session_pools:
            return None
        named = exchange.headers.get(self._session_header)
        return user if named is None else named[:SESSION_BYTES_MAX].decode("latin-1")

    def isolated(self, body: bytes, route: Route, account_id: int) -> bytes:
        """The engine's request, with the account's part of the prefix cache where that is set."""
        if not self.settings.routing.cache_salt or self._index.kind(route) != "vllm":
            return body
        return salted(body, account_id)

    def tariff(self, route: Route, endpoint: int, account_id: int) -> Tariff:
        """What a request of the account for `route` costs, as cells hold it. Made once a fleet."""
        generation = self.segment.prices_generation
        if generation != self._prices_generation:
            self._reload_prices(generation)
        if self._own_prices.has_any(account_id):
            return self._own_tariff(route, endpoint, account_id)
        name = (route.account_id, route.id, endpoint)
        found = self._tariffs.get(name)
        if found is None:
            price = usual_price(route, self.settings.prices)
            found = self._tariffs[name] = make_tariff(route, endpoint, price)
        return found

    def _own_tariff(self, route: Route, endpoint: int, account_id: int) -> Tariff:
        is_dedicated = route.kind == "dedicated"
        name = (account_id, route.id, endpoint, is_dedicated)
        found = self._own_tariffs.get(name)
        if found is None:
            own = self._own_prices.price_of(account_id, route.id, is_dedicated=is_dedicated)
            price = own or usual_price(route, self.settings.prices)
            found = self._own_tariffs[name] = make_tariff(route, endpoint, price)
        return found

    def _reload_prices(self, generation: int) -> None:
        """Takes over what control wrote; what cannot be read leaves the old prices in force."""
        self._prices_generation = generation
        try:
            self._own_prices = read_own_prices(self.settings.state)
        except (OSError, ValueError, msgspec.MsgspecError):
            logger.exception("prices were not taken over", extra={"generation": generation})
        self._own_tariffs.clear()

    def _reload(self, generation: int) -> None:
        """Takes over the published fleet; one that cannot be read leaves the old one in force."""
        self._generation = generation
        try:
            fleet = decode_fleet(fleet_path(self.settings.state).read_bytes())
            self._set_fleet(fleet)
        except (OSError, ValueError, msgspec.MsgspecError):
            logger.exception("the fleet file was not taken over", extra={"generation": generation})

    def _set_fleet(self, fleet: Fleet) -> None:
        control_slot = self.settings.segment.engines_max - 1
        engines = [(each.slot, each.url, each.api_key or None) for each in fleet.engines]
        engines.append((control_slot, self._control_url, None))
        draining = [each.slot for each in fleet.engines if each.is_draining]
        policies = policies_of(fleet, self.settings.routing)
        places = [each.places for each in fleet.engines]
        # What drains is in a pool that no route names: it has not left, and may take its time.
        pools = [*fleet.pools, (control_slot,), draining]
        self.forwarder.set_fleet(engines, pools, policies, places=places)
        self._session_pools = {
            pool for pool, policy in enumerate(policies) if policy == RoutingPolicy.SESSION
        }
        self._index = FleetIndex(fleet)
        self._tariffs.clear()
        self._own_tariffs.clear()


def usual_price(route: Route, prices: PriceSettings) -> Price:
    """What a route costs accounts without a price of their own."""
    if route.kind == "dedicated":
        return dedicated_price_of(prices, route.id)
    return price_of(prices, route.id, route.task)


def make_tariff(route: Route, endpoint: int, price: Price) -> Tariff:
    """The tariff of a route at a price."""
    return Tariff(
        model=model_number(route.id),
        service_class=0,
        endpoint=endpoint,
        prompt_nanos=price.prompt,
        cached_nanos=price.cached,
        completion_nanos=price.completion,
    )
