"""`tokenmill up` and `serve` after the command line: equips a house, runs its loop, ends it.

Told from outside by SIGTERM and SIGINT (leave; twice: at once) and SIGHUP (reload; or leave, when
it comes because the terminal of the house was closed).
"""

import logging
import os
import signal
import socket
from collections.abc import Callable

import msgspec

from tokenmill._native import Segment
from tokenmill.clock import monotonic_ms
from tokenmill.engines.selection import select_engine
from tokenmill.engines.vllm.port import hold_port
from tokenmill.listening import listen_tcp
from tokenmill.settings import EngineSettings, Settings
from tokenmill.state_folder import segment_path
from tokenmill.supervisor.house import BUSY_MS, Equipment, House
from tokenmill.supervisor.predecessors import Predecessors, find_predecessors
from tokenmill.supervisor.refusal import Refused
from tokenmill.supervisor.reload import Reload
from tokenmill.supervisor.signals import SignalInbox
from tokenmill.supervisor.sockets import base_url, listen_control, listen_public
from tokenmill.supervisor.state_lock import Holder, take_lock

Reread = Callable[[], Settings]
OnServing = Callable[[House, str], bool]

logger = logging.getLogger("tokenmill.supervisor")


def run_house(
    settings: Settings, *, reread: Reread, may_start_engine: bool, on_serving: OnServing
) -> int:
    """The exit status of a house that has ended.

    `on_serving` is called once every look, from the time a worker serves, until it returns True:
    it shows people what there is. Raises: Refused.
    """
    lock = take_lock(settings.state)
    predecessors = find_predecessors(settings.state)
    public = listen_public(settings.host, settings.port, predecessors)
    url = base_url(public)
    holder = Holder(pid=os.getpid(), url=url)
    lock.describe(holder)
    equipment = _equip(settings, public, predecessors, may_start_engine=may_start_engine)
    house = House(settings, equipment)
    watched = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
    inbox = SignalInbox(watched)
    reload = Reload(house, reread, lambda change: lock.describe(change(holder)))
    is_shown = False
    had_terminal = has_terminal()
    try:
        while house.step(now_ms := monotonic_ms()):
            if not is_shown and house.is_serving():
                is_shown = on_serving(house, url)
            pause_ms = house.pause_ms(now_ms) if is_shown else BUSY_MS
            for received in inbox.wait(pause_ms):
                is_hangup = received == signal.SIGHUP and had_terminal and not has_terminal()
                _take(signal.SIGTERM if is_hangup else received, house, reload)
            reload.step(monotonic_ms())
    finally:
        house.kill_all()
    logger.info("ended")
    return house.exit_status


def has_terminal() -> bool:
    """Whether this process belongs to a terminal that is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def _take(received: signal.Signals, house: House, reload: Reload) -> None:
    if received in (signal.SIGTERM, signal.SIGINT):
        house.leave()
    elif received == signal.SIGHUP:
        reload.ask()


def _equip(
    settings: Settings,
    public: socket.socket,
    predecessors: Predecessors,
    *,
    may_start_engine: bool,
) -> Equipment:
    control, control_path = listen_control(settings.state, predecessors)
    segment = _find_segment(settings, predecessors)
    kind = ""
    if may_start_engine:
        choice = select_engine(settings)
        logger.info(choice.reason)
        kind = choice.start or ""
    engine, local_engines = _engine_socket(kind, predecessors)
    return Equipment(
        state=settings.state,
        public=public,
        control=control,
        control_path=control_path,
        segment=segment,
        segment_path=segment_path(settings.state),
        engine=engine,
        engine_kind=kind,
        local_engines=local_engines,
        predecessors=predecessors,
    )


def _engine_socket(
    kind: str, predecessors: Predecessors
) -> tuple[socket.socket | None, tuple[EngineSettings, ...]]:
    """The engine's address, which outlives its restarts: vLLM binds its own port, which is held."""
    if not kind:
        return None, ()
    if kind == "vllm":
        bound = hold_port()
    else:
        bound = predecessors.shared("engine") or listen_tcp("127.0.0.1", 0)
    host, port = bound.getsockname()[:2]
    return bound, (EngineSettings(url=f"http://{host}:{port}", name=kind),)


def _find_segment(settings: Settings, predecessors: Predecessors) -> Segment:
    """That of the house before while it is served from, else one of which nothing is believed."""
    path, sizes = str(segment_path(settings.state)), msgspec.structs.asdict(settings.segment)
    if predecessors:
        try:
            return Segment.create(path, **sizes, in_use=True)
        except (OSError, ValueError) as error:
            logger.info("processes of the house before leave at once", extra={"why": str(error)})
            predecessors.dismiss()
    try:
        segment = Segment.create(path, **sizes)
    except (OSError, ValueError) as error:
        raise Refused(f"cannot make the hot segment in {settings.state}: {error}") from error
    # What the last house saw says nothing about now.
    segment.publish_fleet(0)
    return segment
