"""The supervisor's loop: looks at its children, asks `rules.py` what to do, and does it.

Blocks in one place, the wait for a signal (a child's end is one), and never on a child. It serves
nothing and opens no database; the hot segment tells it which workers serve and which hang.
"""

import logging
import os
import signal
import socket
import subprocess
from pathlib import Path

from msgspec import Struct

from tokenmill._native import Segment, WorkerState
from tokenmill.child import ChildSettings
from tokenmill.clock import monotonic_ms
from tokenmill.settings import EngineSettings, Settings
from tokenmill.supervisor import rules
from tokenmill.supervisor.children import (
    MODULES,
    Inherited,
    LifePipe,
    Spawned,
    how_it_ended,
    spawn,
)
from tokenmill.supervisor.predecessors import Predecessors
from tokenmill.supervisor.rules import Child, Plan, Role, Starts, View
from tokenmill.supervisor.slots import SlotError, Slots

BUSY_MS = 25
"""Between looks while somebody starts or leaves; the segment has no way to call."""
CALM_MS = 1_000
LEAVE_MARGIN_MS = 5_000
"""What a child may take beyond the time it gives its streams."""
LAME_MS = 3_000
"""How long a replaced worker goes on answering the connections it has: see gateway/worker.py."""
FIRST_ANSWERS_MS = 250
"""Those who waited for a house to come up are answered before it grows."""
RELIEVED_MS = 1_000
"""What control's start takes; the house before serves meanwhile."""
CALL = b"c"
ROLES: tuple[Role, ...] = ("engine", "control", "worker", "standby")

logger = logging.getLogger(__name__)


class Equipment(Struct, frozen=True, kw_only=True):
    """What a house has for all its life: it is bound and made before the first child starts."""

    state: Path
    public: socket.socket
    control: socket.socket
    control_path: Path
    segment: Segment
    segment_path: Path
    engine: socket.socket | None = None
    engine_kind: str = ""
    local_engines: tuple[EngineSettings, ...] = ()
    predecessors: Predecessors


class House:
    """The children and what is wanted of them. `step` is called until it says that all is over."""

    def __init__(self, settings: Settings, equipment: Equipment) -> None:
        self.equipment = equipment
        self.settings = settings
        self.children: dict[int, Spawned] = {}
        self.exit_status = 0
        self._life = LifePipe()
        self._slots = Slots(equipment.state, equipment.segment, settings.segment.workers_max)
        self._slots.free_dead()
        self._numbers = 0
        self._wanted: dict[Role, int] = {
            "engine": 1 if equipment.engine is not None else 0,
            "control": 1,
            "worker": settings.workers,
            "standby": int(settings.standby),
        }
        self._generation: dict[Role, int] = dict.fromkeys(ROLES, 0)
        self._settings: dict[Role, Settings] = dict.fromkeys(ROLES, settings)
        self._starts: dict[Role, Starts] = dict.fromkeys(ROLES, Starts())
        self._is_leaving = False
        self._is_urgent = False
        self._drain_deadline_ms = 0
        self._up_since_ms = 0
        self._awake_since_ms = self._looked_ms = monotonic_ms()
        self._relieved = equipment.predecessors.parts() - {"control"}  # which waits by itself
        self._relieved_until_ms = self._looked_ms + RELIEVED_MS if self._relieved else 0

    # What the outside asks for.

    def leave(self) -> None:
        """No new requests; streams have `drain_seconds`. The second time: everything ends now."""
        if self._is_leaving:
            self._is_urgent = True
            self.exit_status = 1
            return
        self._is_leaving = True
        self.equipment.predecessors.dismiss()
        self._drain_deadline_ms = monotonic_ms() + int(self.settings.drain_seconds * 1000)
        logger.info("draining", extra={"seconds": self.settings.drain_seconds})

    def renew(self, settings: Settings, roles: tuple[Role, ...]) -> None:
        """Children of these roles are replaced by ones with these settings."""
        self.settings = settings
        self._wanted["worker"] = settings.workers
        self._wanted["standby"] = int(settings.standby)
        if "control" in roles:
            roles = (*roles, "standby")  # it is of the settings, and the code, of then
        for role in roles:
            self._generation[role] += 1
            self._settings[role] = settings
            self._starts[role] = Starts(has_served=self._starts[role].has_served)

    def step(self, now_ms: int) -> bool:
        """One look and what follows from it; whether the house still stands."""
        self._note_pause(now_ms)
        self._reap(now_ms)
        view = self.view()
        plan = rules.plan(view, now_ms)
        self._carry_out(plan, now_ms)
        if self.equipment.predecessors and rules.is_standing(view):
            self.equipment.predecessors.dismiss()
        failed = rules.is_hopeless(self._starts)
        if failed is not None and not self._is_leaving:
            logger.critical(f"the {failed} does not come up; its errors are logged above")
            self.exit_status = 1
            self.leave()
        return not plan.is_over

    def pause_ms(self, now_ms: int) -> int:
        """How long the loop may sleep if no signal comes."""
        view = self.view()
        is_growing = self._up_since_ms > 0 and not view.is_up
        is_calm = not self._is_leaving and not is_growing and rules.is_calm(view)
        times = [self._relieved_until_ms, *(s.not_before_ms for s in self._starts.values())]
        waits = [time_ms - now_ms for time_ms in times if time_ms > now_ms]
        return min([CALM_MS if is_calm else BUSY_MS, *waits])

    def is_serving(self) -> bool:
        """Whether some worker takes requests."""
        return any(c.role == "worker" and c.phase == "serving" for c in self.children.values())

    def knows_fleet(self) -> bool:
        """Whether control has said what models there are, be it none."""
        return self.equipment.segment.fleet_generation > 0

    def is_renewed(self) -> bool:
        """Whether everybody is of the wanted generation, and all of them serve."""
        return rules.is_current(self.view())

    def kill_all(self) -> None:
        """Every child is gone when this returns."""
        for child in self.children.values():
            child.process.kill()
        for child in self.children.values():
            child.process.wait()

    # Looking.

    def view(self) -> View:
        """The house as the rules see it, after a look into the segment."""
        return View(
            children=tuple(self._look_at(child) for child in self.children.values()),
            wanted=self._wanted,
            generation=self._generation,
            starts=self._starts,
            engine_overlaps=self.equipment.engine_kind == "embedded",
            is_up=self._is_up(),
            relieved=self._relieved,
            relieved_until_ms=self._relieved_until_ms,
            is_leaving=self._is_leaving,
            is_urgent=self._is_urgent,
            awake_since_ms=self._awake_since_ms,
            stuck_ms=int(self.settings.stuck_seconds * 1000),
        )

    def _is_up(self) -> bool:
        if self._starts["worker"].has_served and self.knows_fleet():
            self._up_since_ms = self._up_since_ms or monotonic_ms()
        return 0 < self._up_since_ms <= monotonic_ms() - FIRST_ANSWERS_MS

    def _look_at(self, child: Spawned) -> Child:
        beat_ms = 0
        if child.role == "worker":
            beat_ms = self._look_at_worker(child)
        elif child.role == "control":
            beat_ms = self.equipment.segment.control_heartbeat_ms
            beat_ms = beat_ms if beat_ms >= child.started_ms else 0  # an earlier control's
        return Child(
            number=child.number,
            role=child.role,
            generation=child.generation,
            phase=child.phase,
            started_ms=child.started_ms,
            beat_ms=beat_ms,
            kill_at_ms=child.kill_at_ms,
        )

    def _look_at_worker(self, child: Spawned) -> int:
        segment = self.equipment.segment
        state = segment.worker_state(child.slot)
        if state == WorkerState.SERVING and child.phase == "starting":
            child.phase = "serving"
            self._starts["worker"] = rules.note_serving(self._starts["worker"])
        elif state == WorkerState.DRAINING and child.phase != "leaving":
            self._note_leaving(child)  # somebody else told it to
        return segment.heartbeat_ms(child.slot)

    def _note_pause(self, now_ms: int) -> None:
        """After a stop of this very process, or the machine, old heartbeats prove nothing."""
        if now_ms - self._looked_ms > 3 * CALM_MS:
            self._awake_since_ms = now_ms
        self._looked_ms = now_ms

    def _reap(self, now_ms: int) -> None:
        for child in list(self.children.values()):
            status = child.process.poll()
            if status is not None:
                child.stop_calling()
                del self.children[child.number]
                self._bury(child, status, now_ms)

    def _bury(self, child: Spawned, status: int, now_ms: int) -> None:
        if child.role == "worker":
            self.equipment.segment.rescue(child.slot)
            self.equipment.segment.set_worker_state(child.slot, WorkerState.FREE)
        how = {"child": child.label, "how": how_it_ended(status), "child_pid": child.process.pid}
        if child.phase == "leaving":
            # By the signal itself: it was told before it could listen.
            is_usual = status in (0, -signal.SIGTERM)
            logger.log(logging.INFO if is_usual else logging.WARNING, "child left", extra=how)
            return
        view = self._look_back(child)
        if child.generation == self._generation[child.role]:
            starts = rules.note_death(self._starts[child.role], view, status, now_ms)
            self._starts[child.role] = starts
        if self._is_leaving or self._starts[child.role].is_refused:
            logger.error("child died", extra=how)
            return
        wait_ms = max(self._starts[child.role].not_before_ms - now_ms, 0)
        logger.error("child died; it is replaced", extra={**how, "in_ms": wait_ms})

    def _look_back(self, child: Spawned) -> Child:
        return Child(
            number=child.number,
            role=child.role,
            generation=child.generation,
            phase=child.phase,
            started_ms=child.started_ms,
        )

    # Doing.

    def _carry_out(self, plan: Plan, now_ms: int) -> None:
        for number in plan.kill:
            self._kill(self.children[number])
        for number in plan.end:
            self._end(self.children[number])
        for role in plan.start:
            self._start(role, now_ms)

    def _kill(self, child: Spawned) -> None:
        if not child.is_killed:
            child.is_killed = True
            why = "told twice" if self._is_urgent else "it does not answer"
            logger.error("child is killed", extra={"child": child.label, "why": why})
            child.process.kill()

    def _end(self, child: Spawned) -> None:
        if child.role == "worker" and self._is_leaving:
            # Set before the signal: so the worker knows that nobody takes its place.
            self.equipment.segment.set_drain(child.slot, self._drain_deadline_ms)
        self._note_leaving(child)
        logger.debug("child is told to leave", extra={"child": child.label})
        child.process.send_signal(signal.SIGTERM)

    def _note_leaving(self, child: Spawned) -> None:
        child.phase = "leaving"
        drain_ms = int(self.settings.drain_seconds * 1000)
        if self._is_leaving:
            drain_ms = max(self._drain_deadline_ms - monotonic_ms(), 0)
        child.kill_at_ms = monotonic_ms() + drain_ms + LAME_MS + LEAVE_MARGIN_MS

    def _start(self, role: Role, now_ms: int) -> None:
        if role == "control" and self._has_standby_begun(now_ms):
            return
        try:
            slot, call_fd, process = self._spawn(role)
        except (OSError, SlotError) as error:
            self._starts[role] = rules.note_failed_start(self._starts[role], now_ms)
            logger.error("cannot start a child", extra={"child": role, "error": str(error)})
            return
        self._numbers += 1
        self.children[self._numbers] = Spawned(
            number=self._numbers,
            role=role,
            generation=self._generation[role],
            started_ms=now_ms,
            slot=slot,
            call_fd=call_fd,
            process=process,
        )

    def _has_standby_begun(self, now_ms: int) -> bool:
        """Whether there is one, which is control from now on. Where another control serves, one has
        to follow it."""
        if self.equipment.predecessors.look_for_control(self.equipment.state):
            return False
        for child in self.children.values():
            is_current = child.generation == self._generation["standby"]
            if child.role != "standby" or child.phase == "leaving" or not is_current:
                continue
            try:
                os.write(child.call_fd, CALL)
            except BrokenPipeError:  # it has just died
                continue
            child.stop_calling()
            child.role, child.started_ms = "control", now_ms
            child.generation = self._generation["control"]
            logger.info("the standby is control now", extra={"child_pid": child.process.pid})
            return True
        return False

    def _spawn(self, role: Role) -> tuple[int, int, subprocess.Popen[bytes]]:
        """The child's place and where it is called (-1 where it has none), and its process."""
        equipment = self.equipment
        taken = {child.slot for child in self.children.values()}
        slot, slot_fd = self._slots.take(taken) if role == "worker" else (-1, -1)
        document = ChildSettings(
            settings=self._settings[role],
            control_socket=str(equipment.control_path),
            segment=str(equipment.segment_path),
            local_engines=equipment.local_engines,
            worker=max(slot, 0),
        )
        kind = equipment.engine_kind if role == "engine" else role
        heard_fd, call_fd = os.pipe() if role == "standby" else (-1, -1)
        inherited = Inherited(
            listen_fd=self._socket(role).fileno(),
            life_fd=self._life.reading,
            slot_fd=slot_fd,
            predecessor_fd=self._predecessor(kind),
            call_fd=heard_fd,
        )
        try:
            process = spawn(MODULES[kind], document, inherited, equipment.state)
        except OSError:
            if call_fd >= 0:
                os.close(call_fd)
            raise
        finally:
            inherited.close_given()
        return slot, call_fd, process

    def _predecessor(self, kind: str) -> int:
        if kind == "embedded":
            return self.equipment.predecessors.hand_on("engine")
        return self.equipment.predecessors.hand_on("control") if kind == "control" else -1

    def _socket(self, role: Role) -> socket.socket:
        if role == "worker":
            return self.equipment.public
        if role in ("control", "standby"):
            return self.equipment.control
        assert self.equipment.engine is not None, "an engine is only wanted with its socket"
        return self.equipment.engine
