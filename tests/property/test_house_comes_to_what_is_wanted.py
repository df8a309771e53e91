"""Law: whatever dies and however often it is reloaded, a house comes back to what is wanted; and a
reload alone never leaves it with fewer serving workers than that.

The plan is tried against a simulated house: starts take a while, leaving takes a while, anybody may
die at any time.
"""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tokenmill.supervisor.rules import (
    Child,
    Role,
    Starts,
    View,
    is_current,
    note_death,
    note_serving,
    plan,
)

ROLES: tuple[Role, ...] = ("engine", "control", "worker", "standby")
START_MS = 300
STEP_MS = 50
SETTLE_MS = 60_000

ticks = st.tuples(st.just("tick"), st.integers(1, 60))
reloads = st.tuples(st.just("reload"), st.just(0))
deaths = st.tuples(st.just("die"), st.integers(0, 20))


class SimulatedHouse:
    """Children that start, serve, leave and die, steered by the plan."""

    def __init__(self, workers: int, leave_ms: int, *, engine_overlaps: bool) -> None:
        self.now_ms = 0
        self.leave_ms = leave_ms
        self._numbers = 0
        self._leave_at: dict[int, int] = {}
        self.view = View(
            children=(),
            wanted={"engine": 1, "control": 1, "worker": workers, "standby": 1},
            generation=dict.fromkeys(ROLES, 0),
            starts=dict.fromkeys(ROLES, Starts()),
            engine_overlaps=engine_overlaps,
        )

    def change(self, **changes: Any) -> None:
        self.view = replace(self.view, **changes)

    def reload(self) -> None:
        self.change(generation={role: n + 1 for role, n in self.view.generation.items()})

    def die(self, index: int) -> None:
        if self.view.children:
            victim = self.view.children[index % len(self.view.children)]
            self._remove(victim)

    def step(self) -> None:
        self.now_ms += STEP_MS
        for child in self.view.children:
            if self._leave_at.get(child.number, self.now_ms + 1) <= self.now_ms:
                self._remove(child)
        self.change(children=tuple(map(self._grow, self.view.children)))
        todo = plan(self.view, self.now_ms)
        for number in todo.kill:
            self._remove(self._child(number))
        for number in todo.end:
            self._leave_at[number] = self.now_ms + self.leave_ms
            self._put(replace(self._child(number), phase="leaving"))
        for role in todo.start:
            self._start(role)

    def serving_workers(self) -> int:
        children = self.view.children
        return len([c for c in children if c.role == "worker" and c.phase == "serving"])

    def is_settled(self) -> bool:
        roles = sorted(child.role for child in self.view.children)
        wanted = sorted(role for role, count in self.view.wanted.items() for _ in range(count))
        return roles == wanted and is_current(self.view)

    def _grow(self, child: Child) -> Child:
        takes_ms = START_MS * (1 + child.number % 3)  # no two are equally fast
        if child.phase == "starting" and self.now_ms - child.started_ms >= takes_ms:
            starts = self.view.starts
            self.change(starts={**starts, child.role: note_serving(starts[child.role])})
            child = replace(child, phase="serving")
        return replace(child, beat_ms=self.now_ms)

    def _start(self, role: Role) -> None:
        standby = self._standby()
        if role == "control" and standby is not None:
            generation = self.view.generation["control"]
            called = replace(standby, role="control", generation=generation)
            self._put(replace(called, started_ms=self.now_ms))
            return
        self._numbers += 1
        child = Child(
            number=self._numbers,
            role=role,
            generation=self.view.generation[role],
            phase="starting",
            started_ms=self.now_ms,
        )
        self.change(children=(*self.view.children, child))

    def _remove(self, child: Child) -> None:
        others = tuple(c for c in self.view.children if c.number != child.number)
        self.change(children=others)
        if child.phase != "leaving":
            starts = self.view.starts
            noted = note_death(starts[child.role], child, -9, self.now_ms)
            self.change(starts={**starts, child.role: noted})

    def _standby(self) -> Child | None:
        wanted = self.view.generation["standby"]
        standbys = [c for c in self.view.children if c.role == "standby" and c.phase != "leaving"]
        return next((c for c in standbys if c.generation == wanted), None)

    def _child(self, number: int) -> Child:
        return next(child for child in self.view.children if child.number == number)

    def _put(self, child: Child) -> None:
        changed = (child if c.number == child.number else c for c in self.view.children)
        self.change(children=tuple(changed))


def settle(house: SimulatedHouse) -> None:
    for _ in range(SETTLE_MS // STEP_MS):
        house.step()
        if house.is_settled():
            return
    raise AssertionError(f"not what is wanted after {SETTLE_MS} ms: {house.view}")


@settings(deadline=None)
@given(
    workers=st.integers(1, 4),
    leave_ms=st.integers(0, 5_000),
    overlaps=st.booleans(),
    events=st.lists(st.one_of(ticks, reloads, deaths), max_size=40),
)
def test_after_deaths_and_reloads_the_house_is_as_wanted(
    workers: int, leave_ms: int, overlaps: bool, events: list[tuple[str, int]]
) -> None:
    house = SimulatedHouse(workers, leave_ms, engine_overlaps=overlaps)
    for what, number in events:
        if what == "tick":
            for _ in range(number):
                house.step()
        elif what == "reload":
            house.reload()
        else:
            house.die(number)
    settle(house)


@settings(deadline=None)
@given(
    workers=st.integers(1, 4),
    leave_ms=st.integers(0, 5_000),
    events=st.lists(st.one_of(ticks, reloads), max_size=30),
)
def test_reloads_alone_never_leave_fewer_serving_workers_than_wanted(
    workers: int, leave_ms: int, events: list[tuple[str, int]]
) -> None:
    house = SimulatedHouse(workers, leave_ms, engine_overlaps=True)
    settle(house)
    for what, number in events:
        if what == "reload":
            house.reload()
        for _ in range(number or 1):
            house.step()
            assert house.serving_workers() >= workers
    settle(house)
