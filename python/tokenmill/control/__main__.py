"""The control process: `python -m tokenmill.control`, a child of the supervisor.

The order of its start is the house's time to the first answer: engines are looked at while the
database loads, keys and fleet go out, and only then the web framework is imported. A control that
nobody waits for imports all of it first: one that stands by until it is called, and one that begins
when the control of the house before has left. There are never two.
"""

import asyncio
import gc
import importlib
import logging
import os
import select
import signal
import sys
from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import uvloop

from tokenmill._native import Segment
from tokenmill.child import ChildStart, leave, name_process, read_start, run_child
from tokenmill.control.engine_entries import take_entries
from tokenmill.control.keeper import Keeper, KeeperSettings
from tokenmill.engines.errors import KubernetesUnknown
from tokenmill.engines.rules import Patience
from tokenmill.engines.targets import list_targets
from tokenmill.errors import ApiError
from tokenmill.handover import Handover, relieve
from tokenmill.models.fleet import Fleet
from tokenmill.models.fleet_file import read_fleet
from tokenmill.settings import KubernetesSettings
from tokenmill.state_folder import handover_socket
from tokenmill.stop_signal import StopSignal

if TYPE_CHECKING:  # imports SQLAlchemy
    from tokenmill.control.joined_engines import JoinedEngines
    from tokenmill.control.kubernetes_engines import KubernetesEngines, SliceFollower
    from tokenmill.control.opening import OpenHouse

    Opened = tuple[OpenHouse, JoinedEngines, SliceFollower | None]

T = TypeVar("T")

FIRST_FLEET_S_MAX = 1.0
"""How long the web framework waits for the first fleet, which is worth more to clients."""

FIRST_ANSWERS_S = 0.25
"""Those who waited for the first fleet are answered before the web framework takes a processor."""

BEAT_S = 1.0

SERVING = "tokenmill.control.serving"
"""Imports all that control needs, for most of a second."""

LAST_FLUSH_S_MAX = 3.0
"""How long control's end waits for the database; what it does not take stays in its cells."""

logger = logging.getLogger("tokenmill.control")


def main() -> bool:
    """Serves until told to stop; whether all ended by itself."""
    start = read_start(sys.argv[1:], "control")
    # A thousand modules are imported from here on: looking for garbage among them is a sixth of it.
    gc.disable()
    if start.call_fd >= 0:
        stand_by(start.call_fd)
    elif start.predecessor_fd >= 0:
        follow(start)
    try:
        return uvloop.run(run_control(start))
    except ApiError as error:
        logger.critical(error.message)
        raise SystemExit(1) from error


def stand_by(call_fd: int) -> None:
    """Imports all there is and waits; returns when this process is control. Told to leave, or with
    its supervisor gone, it ends."""
    signal.signal(signal.SIGTERM, lambda *_: leave(0))
    importlib.import_module(SERVING)
    if not os.read(call_fd, 1):
        leave(0)
    os.close(call_fd)
    name_process("control")


def follow(start: ChildStart) -> None:
    """Imports all there is, and returns when the control before is gone. With its supervisor gone
    this process ends: the house after it may have been handed that control, which goes on then."""
    importlib.import_module(SERVING)
    leave_if_orphaned(start.life_fd)
    relieve(start.predecessor_fd)
    leave_if_orphaned(start.life_fd)


def leave_if_orphaned(life_fd: int) -> None:
    """Ends this process if its supervisor is gone."""
    if select.select([life_fd], [], [], 0)[0]:
        leave(0)


async def run_control(start: ChildStart) -> bool:
    """Keeps the fleet and serves the control plane. Raises: ApiError, if the database cannot be
    used or holds too many keys."""
    place = handover_socket(start.child.settings.state, "control")
    stop = StopSignal(start.life_fd, Handover(place, "control", start.listen_fd))
    segment = Segment.attach(start.child.segment)
    is_ready = segment.keys_ready and segment.accounts_ready and segment.fleet_generation > 0
    keeper = make_keeper(start, segment)
    beating = asyncio.create_task(_beat(segment))
    keeping = asyncio.create_task(keeper.run())
    opening = _open(start, keeper, segment, is_awaited=not is_ready)
    serving = asyncio.create_task(_open_and_serve(start, keeper, segment, opening, stop))
    done, _ = await asyncio.wait({keeping, serving}, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()  # the keeper never ends but by an error
    keeping.cancel()
    beating.cancel()
    return await serving


async def _beat(segment: Segment) -> None:
    """A sign of life every second: the supervisor replaces a control that gives none."""
    while True:
        segment.beat_control()
        await asyncio.sleep(BEAT_S)


def make_keeper(start: ChildStart, segment: Segment) -> Keeper:
    """The keeper for these settings, going on from the last fleet of this house."""
    settings = start.child.settings
    return Keeper(
        KeeperSettings(
            state=settings.state,
            targets=tuple(list_targets(settings, start.child.local_engines)),
            interval_ms=settings.discovery.interval_ms,
            look_ms=settings.discovery.probe_ms,
            patience=Patience(
                start_ms=int(settings.vllm.start_s * 1000),
                silent_ms=settings.forward.stall_ms,
            ),
            engines_max=settings.segment.engines_max,
            aliases=settings.aliases,
            places=settings.queue.engine_requests_max,
        ),
        segment,
        last_fleet(start, segment),
    )


def last_fleet(start: ChildStart, segment: Segment) -> Fleet:
    """The fleet in force when control is started again; an empty one when the house starts: what an
    earlier house saw says nothing about now."""
    fleet = read_fleet(start.child.settings.state)
    is_in_force = 0 < segment.fleet_generation == fleet.generation
    return fleet if is_in_force else Fleet()


async def _open_and_serve(
    start: ChildStart,
    keeper: Keeper,
    segment: Segment,
    opening: "Coroutine[None, None, Opened]",
    stop: StopSignal,
) -> bool:
    house, joined, follower = await _unless_told(opening, stop)
    from tokenmill.control.serving import serve_control

    try:
        return await serve_control(start, keeper, segment, house, joined, stop=stop)
    finally:
        if follower is not None:
            follower.stop()
        await asyncio.to_thread(house.money.stop, LAST_FLUSH_S_MAX)
        house.database.close()


async def _unless_told(opening: Coroutine[None, None, T], stop: StopSignal) -> T:
    """What `opening` gives. Told to stop before that, this process ends at once: nothing is served
    yet, and what is half done is as after a kill."""
    opened = asyncio.create_task(opening)
    told = asyncio.create_task(stop.wanted.wait())
    await asyncio.wait({opened, told}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if not opened.done():
        leave(0)
    return await opened


async def _open(
    start: ChildStart, keeper: Keeper, segment: Segment, *, is_awaited: bool
) -> "Opened":
    """`is_awaited`: no worker can answer before the first fleet is out."""
    from tokenmill.control.opening import open_house

    cluster, follower = find_cluster(start.child.settings.kubernetes, keeper)
    house = await asyncio.to_thread(open_house, start, segment, lambda: keeper.fleet)
    from tokenmill.control.joined_engines import JoinedEngines

    in_flight = partial(engine_in_flight, keeper, segment)
    joined = JoinedEngines(keeper, house.database, start.child.settings.join, in_flight)
    take_entries(keeper, house.entries)
    joined.apply(house.leases)
    keeper.name_adapters(house.adapters)
    if cluster is not None:
        await cluster.first()
    keeper.assign({name: owner.account_id for name, owner in house.owners.items()})
    if is_awaited:
        await _let_first_answers_go(keeper)
    # In a thread: the looks at engines that are still on their way up go on meanwhile.
    await asyncio.to_thread(importlib.import_module, SERVING)
    gc.freeze()
    gc.enable()
    return house, joined, follower


async def _let_first_answers_go(keeper: Keeper) -> None:
    try:
        async with asyncio.timeout(FIRST_FLEET_S_MAX):
            await keeper.has_published.wait()
        await asyncio.sleep(FIRST_ANSWERS_S)
    except TimeoutError:
        logger.info("no fleet yet: an engine is still loading")


def find_cluster(
    settings: KubernetesSettings, keeper: Keeper
) -> "tuple[KubernetesEngines, SliceFollower] | tuple[None, None]":
    """Who follows the cluster's engines, if some are looked for, and has begun to. Raises:
    KubernetesUnknown."""
    if not settings.selector:
        return None, None
    from tokenmill.control.kubernetes_engines import KubernetesEngines
    from tokenmill.engines.kubernetes.api import SliceApi, find_place

    try:
        place = find_place(settings, os.environ)
    except ValueError as error:
        raise KubernetesUnknown(str(error)) from error
    cluster = KubernetesEngines(keeper, settings)
    return cluster, cluster.follow(SliceApi(place, settings.selector))


def engine_in_flight(keeper: Keeper, segment: Segment, name: str) -> int:
    """Requests of this house with the engine of that name."""
    slots = [engine.slot for engine in keeper.fleet.engines if engine.name == name]
    return sum(map(segment.engine_in_flight, slots))


if __name__ == "__main__":
    run_child(main)
