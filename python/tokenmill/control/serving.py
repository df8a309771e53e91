"""Control's two listeners: the app on its inherited socket, and metrics on a private port."""

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, cast

from msgspec import Struct
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

from tokenmill._native import Segment
from tokenmill.accounts.registry import AccountRegistry
from tokenmill.accounts.rules import limits_of
from tokenmill.accounts.store import Account
from tokenmill.adapters.endpoints import load_route
from tokenmill.asgi_server import AsgiApp, ServerBounds, serve
from tokenmill.child import ChildStart
from tokenmill.control.adapter_keeper import AdapterKeeper
from tokenmill.control.adapter_register import HouseAdapters
from tokenmill.control.adapter_turns import AdapterTurns
from tokenmill.control.app import Routes, create_app
from tokenmill.control.change_keeper import ChangeKeeper
from tokenmill.control.dashboard_api import DashboardParts, private_router, public_router
from tokenmill.control.documentation.endpoints import DOCUMENTATION_ROUTES
from tokenmill.control.engine_metrics import EngineCollector
from tokenmill.control.engine_register import HouseEngines
from tokenmill.control.grammar_metrics import WarmUpCollector
from tokenmill.control.grammar_warmer import GrammarWarmer
from tokenmill.control.house_money import send_for_ever
from tokenmill.control.joined_engines import JoinedEngines
from tokenmill.control.keeper import Keeper
from tokenmill.control.ledger_metrics import LedgerCollector, PurseCollector
from tokenmill.control.ledger_verification import verification_route
from tokenmill.control.metrics import HouseCollector
from tokenmill.control.metrics_listener import MetricsListener
from tokenmill.control.opening import OpenHouse
from tokenmill.control.status import StatusReader, status_route
from tokenmill.control.usage_mover import move_for_ever
from tokenmill.control.usage_retention import forget_for_ever
from tokenmill.control.warm_engines import WarmEngines
from tokenmill.engines.endpoints import engine_routes
from tokenmill.grammar.endpoints import warm_route
from tokenmill.keys.endpoints import key_routes
from tokenmill.keys.registry import KeyRegistry
from tokenmill.keys.visitors import VisitorFinder
from tokenmill.models.numbers import model_number
from tokenmill.settings import Settings
from tokenmill.stop_signal import StopSignal
from tokenmill.usage.reports import UsageReader
from tokenmill.usage.requests import RequestReader

if TYPE_CHECKING:  # imports redis, which is an extra
    from tokenmill.control.other_houses import OtherHouses

END_S = 5.0
"""The workers have drained before control is told to stop: what is left here is short."""

logger = logging.getLogger("tokenmill.control")


class Registers(Struct, frozen=True):
    """Who knows engines, keys and adapters, and who works on engines."""

    engines: HouseEngines
    keys: KeyRegistry
    joined: JoinedEngines
    adapters: HouseAdapters
    loader: AdapterKeeper
    warmer: GrammarWarmer


async def serve_control(
    start: ChildStart,
    keeper: Keeper,
    segment: Segment,
    house: OpenHouse,
    joined: JoinedEngines,
    *,
    stop: StopSignal,
) -> bool:
    """Serves until told to stop; whether all ended by itself."""
    settings = start.child.settings
    engines = HouseEngines(keeper, house.database, segment, house.owners)
    keys = KeyRegistry(house.database, segment, settings.state)
    changes = ChangeKeeper(
        house.database, keys, partial(publish_account, house, keys), house.last_change
    )
    adapters, loader = make_adapters(settings, keeper, segment, house)
    warmer = GrammarWarmer(WarmEngines(keeper, segment), settings.grammar)
    registers = Registers(engines, keys, joined, adapters, loader, warmer)
    app = make_app(start, keeper, segment, house, registers)
    registry = make_registry(start, keeper, segment, engines)
    registry.register(LedgerCollector(house.money.ledger))
    registry.register(WarmUpCollector(warmer))
    if house.money.purses is not None:
        registry.register(PurseCollector(house.money.purses))
    houses = follow_other_houses(settings, segment, keeper)
    if houses is not None:
        registry.register(houses.collector())
    metrics = MetricsListener(registry)
    if settings.metrics.port:
        await metrics.open(settings.metrics.host, settings.metrics.port)
    logger.info("control serves")
    kept_days = settings.usage.rows_kept_days
    going_on = [
        asyncio.create_task(send_for_ever(house.money.wallets)),
        asyncio.create_task(forget_for_ever(house.database, kept_days)),
        asyncio.create_task(joined.follow()),
        asyncio.create_task(loader.follow()),
    ]
    if house.database.address.kind != "sqlite":  # ordered, and of one house alone
        going_on.append(asyncio.create_task(move_for_ever(house.database)))
        going_on.append(asyncio.create_task(changes.follow()))
        going_on.append(asyncio.create_task(engines.follow()))
        going_on.append(asyncio.create_task(adapters.follow()))
    try:
        return await serve(
            app,
            listen_fd=start.listen_fd,
            stop=stop,
            bounds=ServerBounds(header_read_ms=settings.http.header_read_ms, end_s=END_S),
        )
    finally:
        for task in going_on:
            task.cancel()
        await warmer.close()
        if houses is not None:
            await asyncio.to_thread(houses.stop, settings.redis.answer_ms / 1000)
        await metrics.close()


def follow_other_houses(
    settings: Settings, segment: Segment, keeper: Keeper
) -> "OtherHouses | None":
    """Who tells what other houses have in flight, where houses share a Redis."""
    if not settings.redis_url:
        return None
    from tokenmill.control.other_houses import OtherHouses
    from tokenmill.purses.connection import connect
    from tokenmill.purses.script import Names

    redis = connect(settings.redis_url, settings.redis)
    houses = OtherHouses(redis, Names(settings.redis.prefix), segment, lambda: keeper.fleet)
    houses.start()
    return houses


def publish_account(house: OpenHouse, keys: KeyRegistry, account: Account) -> None:
    """The account and its keys stand in the segment as they are now."""
    house.money.publish(account)
    keys.republish(account.id)


def make_app(
    start: ChildStart,
    keeper: Keeper,
    segment: Segment,
    house: OpenHouse,
    registers: Registers,
) -> AsgiApp:
    """The wired app of the control plane."""
    settings = start.child.settings
    engines, keys = registers.engines, registers.keys
    status = StatusReader(
        segment, settings.segment.workers_max, engines.views, lambda: keeper.fleet
    )
    parts = make_parts(settings, house, registers)
    admin: list[Routes] = [
        key_routes(keys),
        *engine_routes(engines),
        load_route(registers.loader),
        warm_route(registers.warmer),
        status_route(status),
        private_router(parts),
        verification_route(house.database, house.money.check_wallets),
    ]
    dashboard = public_router(parts, VisitorFinder(house.database))
    app = create_app(admin=admin, public=[*DOCUMENTATION_ROUTES, dashboard])
    return cast("AsgiApp", app)  # Litestar types the same calls by its own names


def make_adapters(
    settings: Settings, keeper: Keeper, segment: Segment, house: OpenHouse
) -> tuple[HouseAdapters, AdapterKeeper]:
    """Who knows the adapters, and who loads them."""
    uses_ms = house.money.ledger.model_uses_ms

    def requests(engine: str) -> int:
        slots = [each.slot for each in keeper.fleet.engines if each.name == engine]
        return sum(map(segment.engine_in_flight, slots))

    def last_use_ms(adapter: str) -> int:
        return uses_ms.get(model_number(adapter), 0)

    turns = AdapterTurns(house.database, segment.incarnation, settings.adapters.load_ms)
    loader = AdapterKeeper(keeper, settings.adapters, requests, last_use_ms, house_turn=turns.turn)
    named_max = settings.adapters.named_max
    return HouseAdapters(keeper, loader, house.database, named_max), loader


def make_parts(settings: Settings, house: OpenHouse, registers: Registers) -> DashboardParts:
    """Who answers the dashboard's routes."""
    return DashboardParts(
        accounts=AccountRegistry(
            house.database,
            partial(limits_of, settings),
            partial(publish_account, house, registers.keys),
            accounts_max=settings.segment.accounts_max,
        ),
        keys=registers.keys,
        wallets=house.money.wallets,
        usage=UsageReader(house.database),
        requests=RequestReader(house.database),
        engines=registers.engines,
        joiner=registers.joined,
        adapters=registers.adapters,
    )


def make_registry(
    start: ChildStart, keeper: Keeper, segment: Segment, engines: HouseEngines
) -> CollectorRegistry:
    """What the private listener shows."""
    registry = CollectorRegistry()
    workers_max = start.child.settings.segment.workers_max
    registry.register(HouseCollector(segment, workers_max, lambda: keeper.fleet))
    registry.register(EngineCollector(segment, engines.readings, lambda: keeper.fleet))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry
