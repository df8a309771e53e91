"""What the supervisor does next: pure, from a view of the house and the time to a plan.

A house has workers, one control and perhaps one engine. Every child belongs to a generation of its
role; a reload raises the wanted generation, and the plan brings the house there:

- workers: new ones start beside the old; the old are told to leave when all new ones serve;
- control, a vLLM: the old one leaves, then the new one starts; its socket stays bound meanwhile;
- the embedded engine: as control, but the new one starts as soon as the old one is leaving;
- the standby, a control that has imported all it needs and waits to be called: it takes the place
  of a control that died, and another one starts when the house has come to rest.

Until a new house is up it has one worker: engine, control and that one are all that the first
answer needs, and the others would take processors from them. Where processes of the house before
serve, control starts first, and the others a moment later: they all need the processors.

A house that leaves ends its workers first, for their streams need the engine.
"""

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

Role = Literal["worker", "control", "engine", "standby"]
Phase = Literal["starting", "serving", "leaving"]

EARLY_MS = 5_000
"""A child that ends sooner without having served counts as a failed start."""
DELAY_STEP_MS = 100
DELAY_MAX_MS = 10_000
KILLED_DELAY_MS_MAX = 500
"""Of a child that was killed with SIGKILL: it did not fail by itself, or memory was short for a
moment. It is back within a second, always."""
FAILED_STARTS_MAX = 8
"""In a row; some six seconds of trying. Then a house whose workers or control never served ends."""
BEATING: tuple[Role, ...] = ("worker", "control")
"""Who says every second that its event loop turns."""
START_MS_MAX = 60_000
RELOAD_MS_MAX = 60_000
STANDBY_AFTER_MS = 2_000
"""Of control's life: a standby takes a processor for most of a second, and nobody waits for it."""
KILLED = -9
EXIT_CONFIGURATION = 78
"""Source: sysexits.h. A child that ends so cannot start with its settings; trying again is idle."""


class Child(Struct, frozen=True, kw_only=True):
    """A living child as the plan sees it. `beat_ms`: its last heartbeat, 0 before."""

    number: int
    role: Role
    generation: int
    phase: Phase
    started_ms: int
    beat_ms: int = 0
    kill_at_ms: int = 0  # when a leaving child has had its time


class Starts(Struct, frozen=True, kw_only=True):
    """How the starts of a role went: what the next one has to wait for."""

    failed_count: int = 0  # in a row
    not_before_ms: int = 0
    has_served: bool = False
    is_refused: bool = False  # by the child itself: nothing starts before a reload


class View(Struct, frozen=True, kw_only=True):
    """The house at one moment."""

    children: tuple[Child, ...]
    wanted: dict[Role, int]
    generation: dict[Role, int]
    starts: dict[Role, Starts]
    engine_overlaps: bool = False
    is_up: bool = True  # for a moment: a worker has served, and the fleet is known
    relieved: frozenset[Role] = frozenset()  # the house before serves in their place...
    relieved_until_ms: int = 0  # ...and nobody is in a hurry before that
    is_leaving: bool = False
    is_urgent: bool = False  # told to leave twice
    awake_since_ms: int = 0  # since when this process has run without a pause
    stuck_ms: int = 10_000  # a child beats every second; after so long its event loop is blocked


class Plan(Struct, frozen=True, kw_only=True):
    """What to do now: roles to start, numbers of children to end politely or kill."""

    start: tuple[Role, ...] = ()
    end: tuple[int, ...] = ()
    kill: tuple[int, ...] = ()
    is_over: bool = False


def plan(view: View, now_ms: int) -> Plan:
    """The next steps; the same view gives them again until they are done."""
    if view.is_leaving:
        return _plan_leaving(view, now_ms)
    return Plan(
        start=tuple(_starts(view, now_ms)),
        end=tuple(_replaced(view)),
        kill=tuple(_hopeless(view, now_ms)),
    )


def _plan_leaving(view: View, now_ms: int) -> Plan:
    if view.is_urgent:
        return Plan(kill=_numbers(view.children), is_over=not view.children)
    workers = _living(view, "worker")
    leaving = workers or view.children
    return Plan(
        end=_numbers(child for child in leaving if child.phase != "leaving"),
        kill=tuple(_hopeless(view, now_ms)),
        is_over=not view.children,
    )


def _starts(view: View, now_ms: int) -> Iterator[Role]:
    for role, wanted in view.wanted.items():
        if view.starts[role].is_refused or now_ms < view.starts[role].not_before_ms:
            continue
        if role in view.relieved and now_ms < view.relieved_until_ms:
            continue
        if role == "standby" and not _is_at_rest(view, now_ms):
            continue
        places = wanted - _taken(view, role)
        if role == "worker" and not view.is_up:
            places = min(places, 1 - len(_living(view, role)))
        for _ in range(places):
            yield role


def _is_at_rest(view: View, now_ms: int) -> bool:
    leaders = _living(view, "control")
    is_led = any(now_ms - leader.started_ms >= STANDBY_AFTER_MS for leader in leaders)
    return is_led and is_standing(view)


def _taken(view: View, role: Role) -> int:
    """Places of the role that are taken: of a replaced control, until it is gone."""
    children = _living(view, role)
    current = [child for child in children if _is_current(view, child)]
    if role == "worker" or (role == "engine" and view.engine_overlaps):
        return len([child for child in current if child.phase != "leaving"])
    return len(children)


def _replaced(view: View) -> Iterator[int]:
    """Children of another generation whose time has come."""
    workers = _living(view, "worker")
    serving = [c for c in workers if _is_current(view, c) and c.phase == "serving"]
    are_new_serving = len(serving) >= view.wanted["worker"]
    for child in view.children:
        if _is_current(view, child) or child.phase == "leaving":
            continue
        if child.role != "worker" or are_new_serving:
            yield child.number


def _hopeless(view: View, now_ms: int) -> Iterator[int]:
    """Children that were told to leave and did not, never came up, or hang."""
    for child in view.children:
        is_overdue = child.phase == "leaving" and 0 < child.kill_at_ms <= now_ms
        if is_overdue or (child.role in BEATING and _is_stuck(view, child, now_ms)):
            yield child.number


def _is_stuck(view: View, child: Child, now_ms: int) -> bool:
    if child.phase == "leaving":
        return False
    is_coming_up = child.phase == "starting" and not child.beat_ms
    if is_coming_up:
        return now_ms - child.started_ms >= START_MS_MAX
    is_awake = now_ms - view.awake_since_ms >= view.stuck_ms
    return is_awake and 0 < child.beat_ms <= now_ms - view.stuck_ms


def note_death(starts: Starts, child: Child, status: int, now_ms: int) -> Starts:
    """The starts of the role after this child ended without being told to."""
    if status == EXIT_CONFIGURATION:
        return replace(starts, is_refused=True)
    has_lived = now_ms - child.started_ms >= EARLY_MS
    has_served = child.role == "worker" and child.phase == "serving"
    if has_lived or has_served:
        return Starts(has_served=True, not_before_ms=now_ms)
    failed = note_failed_start(starts, now_ms)
    if status != KILLED:
        return failed
    return replace(failed, not_before_ms=min(failed.not_before_ms, now_ms + KILLED_DELAY_MS_MAX))


def note_failed_start(starts: Starts, now_ms: int) -> Starts:
    """The starts of the role after one that came to nothing."""
    failed_count = starts.failed_count + 1
    return replace(starts, failed_count=failed_count, not_before_ms=now_ms + delay_ms(failed_count))


def note_serving(starts: Starts) -> Starts:
    """The starts of the role when a child of it serves."""
    return replace(starts, has_served=True, failed_count=0)


def delay_ms(failed_count: int) -> int:
    """How long a start waits after so many failures in a row: the first is repeated at once."""
    if failed_count <= 1:
        return 0
    return min(DELAY_STEP_MS << min(failed_count - 2, 16), DELAY_MAX_MS)


def is_hopeless(starts: dict[Role, Starts]) -> Role | None:
    """The role that never comes up, and without which the house is not what was asked for."""
    for role in ("worker", "control"):
        found = starts[role]
        if not found.has_served and found.failed_count >= FAILED_STARTS_MAX:
            return role
    for role, found in starts.items():
        if found.is_refused and not found.has_served:
            return role
    return None


def is_current(view: View) -> bool:
    """Whether all that is wanted is there, of the wanted generation, and nobody else; nobody waits
    for a standby."""
    for role, wanted in view.wanted.items():
        if role == "standby":
            continue
        children = _living(view, role)
        if len(children) != wanted or not all(_is_current(view, child) for child in children):
            return False
    return all(child.phase == "serving" for child in _living(view, "worker"))


def is_standing(view: View) -> bool:
    """Whether the house can do without those who served before it."""
    is_led = any(child.role == "control" and child.beat_ms for child in view.children)
    return is_led and is_current(view)


def is_calm(view: View) -> bool:
    """Whether nothing is under way that only shows when one looks: a start, somebody leaving."""
    return not any(
        child.phase == "leaving" or (child.role == "worker" and child.phase == "starting")
        for child in view.children
    )


def _is_current(view: View, child: Child) -> bool:
    return child.generation == view.generation[child.role]


def _living(view: View, role: Role) -> list[Child]:
    return [child for child in view.children if child.role == role]


def _numbers(children: "Iterator[Child] | tuple[Child, ...]") -> tuple[int, ...]:
    return tuple(child.number for child in children)
