"""What the supervisor does next, from a view of the house and the time. No process is started."""

from typing import Any

import pytest
from msgspec.structs import replace

from tokenmill.supervisor.rules import (
    DELAY_MAX_MS,
    EXIT_CONFIGURATION,
    FAILED_STARTS_MAX,
    KILLED,
    KILLED_DELAY_MS_MAX,
    STANDBY_AFTER_MS,
    Child,
    Plan,
    Role,
    Starts,
    View,
    delay_ms,
    is_current,
    is_hopeless,
    is_standing,
    note_death,
    note_serving,
    plan,
)

NOW = 1_000_000
ROLES: tuple[Role, ...] = ("engine", "control", "worker", "standby")


def child(number: int, role: Role, **other: Any) -> Child:
    """A child that serves and beats, of the first generation."""
    usual = Child(
        number=number, role=role, generation=0, phase="serving", started_ms=0, beat_ms=NOW
    )
    return replace(usual, **other)


def house(*children: Child, workers: int = 1, engine: int = 1, **other: Any) -> View:
    wanted: dict[Role, int] = {"engine": engine, "control": 1, "worker": workers}
    usual = View(
        children=children,
        wanted=wanted,
        generation=dict.fromkeys(ROLES, 0),
        starts=dict.fromkeys(ROLES, Starts()),
    )
    return replace(usual, **other)


WHOLE = (child(1, "engine"), child(2, "control"), child(3, "worker"))


def test_those_who_served_before_are_needed_until_control_beats_and_every_worker_serves() -> None:
    engine, control, worker = WHOLE
    assert is_standing(house(*WHOLE))
    assert not is_standing(house(engine, replace(control, beat_ms=0), worker))
    assert not is_standing(house(engine, control, replace(worker, phase="starting")))
    assert not is_standing(house(*WHOLE, workers=2))


def test_what_the_house_before_serves_is_not_in_a_hurry() -> None:
    view = house(is_up=False, relieved=frozenset({"engine", "worker"}), relieved_until_ms=NOW)
    assert plan(view, NOW - 1) == Plan(start=("control",))
    assert plan(view, NOW) == Plan(start=("engine", "control", "worker"))
    alone = replace(view, relieved=frozenset({"worker"}))
    assert plan(alone, NOW - 1) == Plan(start=("engine", "control"))


def test_an_empty_house_starts_engine_first_and_one_worker() -> None:
    view = house(workers=3, is_up=False)
    assert plan(view, NOW) == Plan(start=("engine", "control", "worker"))
    starting = (*WHOLE[:2], child(3, "worker", phase="starting"))
    assert plan(replace(view, children=starting), NOW) == Plan()
    assert plan(replace(view, children=WHOLE), NOW) == Plan()


def test_the_other_workers_start_when_the_house_is_up() -> None:
    assert plan(house(*WHOLE, workers=3), NOW).start == ("worker", "worker")


def test_a_whole_house_is_left_alone() -> None:
    assert plan(house(*WHOLE), NOW) == Plan()
    assert is_current(house(*WHOLE))


@pytest.mark.parametrize("role", ["engine", "control", "worker"])
def test_a_child_that_is_missing_is_started(role: Role) -> None:
    left = [each for each in WHOLE if each.role != role]
    assert plan(house(*left), NOW).start == (role,)


# The standby.


def with_standby(*children: Child, **other: Any) -> View:
    """A house that wants one."""
    wanted: dict[Role, int] = {"engine": 1, "control": 1, "worker": 1, "standby": 1}
    return replace(house(*children, **other), wanted=wanted)


def test_a_standby_starts_when_the_house_has_come_to_rest() -> None:
    engine, control, worker = WHOLE
    assert plan(with_standby(*WHOLE), NOW).start == ("standby",)
    young = replace(control, started_ms=NOW - STANDBY_AFTER_MS + 1)
    assert plan(with_standby(engine, young, worker), NOW).start == ()
    assert plan(with_standby(engine, young, worker), NOW + 1).start == ("standby",)
    assert plan(with_standby(engine, control, replace(worker, phase="starting")), NOW).start == ()
    assert plan(with_standby(*WHOLE, child(4, "standby")), NOW) == Plan()


def test_nobody_waits_for_a_standby() -> None:
    assert is_current(with_standby(*WHOLE))
    assert is_standing(with_standby(*WHOLE))


def test_the_standby_of_before_a_reload_is_replaced() -> None:
    generation: dict[Role, int] = {**dict.fromkeys(ROLES, 0), "standby": 1}
    old, new = child(4, "standby"), child(5, "standby", generation=1)
    assert plan(with_standby(*WHOLE, old, generation=generation), NOW) == Plan(end=(4,))
    leaving = replace(old, phase="leaving")
    assert plan(with_standby(*WHOLE, leaving, generation=generation), NOW) == Plan()
    assert plan(with_standby(*WHOLE, generation=generation), NOW).start == ("standby",)
    assert plan(with_standby(*WHOLE, new, generation=generation), NOW) == Plan()


def test_a_start_waits_for_its_time() -> None:
    starts = {**dict.fromkeys(ROLES, Starts()), "worker": Starts(not_before_ms=NOW + 1)}
    view = house(*WHOLE[:2], starts=starts)
    assert plan(view, NOW) == Plan()
    assert plan(view, NOW + 1).start == ("worker",)


def test_a_worker_that_leaves_by_itself_is_replaced_at_once() -> None:
    leaving = child(3, "worker", phase="leaving")
    assert plan(house(*WHOLE[:2], leaving), NOW).start == ("worker",)


# A reload.


def renewed(*children: Child, **other: Any) -> View:
    """A house that wants the second generation of workers and control."""
    generation: dict[Role, int] = {"engine": 0, "control": 1, "worker": 1}
    return house(*children, generation=generation, **other)


def test_new_workers_start_beside_the_old_and_control_leaves() -> None:
    assert plan(renewed(*WHOLE), NOW) == Plan(start=("worker",), end=(2,))


def test_the_new_control_starts_when_the_old_one_is_gone() -> None:
    leaving = child(2, "control", phase="leaving")
    assert "control" not in plan(renewed(WHOLE[0], leaving, WHOLE[2]), NOW).start
    assert "control" in plan(renewed(WHOLE[0], WHOLE[2]), NOW).start


def test_old_workers_stay_until_all_new_ones_serve() -> None:
    old = [child(3, "worker"), child(4, "worker")]
    new = [
        child(5, "worker", generation=1),
        child(6, "worker", generation=1, phase="starting", started_ms=NOW),
    ]
    control = child(2, "control", generation=1)
    assert plan(renewed(control, *old, *new, workers=2, engine=0), NOW) == Plan()
    new[1] = replace(new[1], phase="serving")
    assert plan(renewed(control, *old, *new, workers=2, engine=0), NOW) == Plan(end=(3, 4))


def test_a_reload_is_over_when_the_old_ones_are_gone() -> None:
    new = [child(2, "control", generation=1), child(5, "worker", generation=1)]
    old = child(3, "worker", phase="leaving")
    assert not is_current(renewed(*new, old, engine=0))
    assert is_current(renewed(*new, engine=0))


def test_an_embedded_engine_starts_while_the_old_one_finishes_and_a_vllm_after_it() -> None:
    generation: dict[Role, int] = {"engine": 1, "control": 0, "worker": 0}
    view = house(*WHOLE, generation=generation)
    assert plan(view, NOW) == Plan(end=(1,), start=())
    leaving = child(1, "engine", phase="leaving")
    view = house(leaving, *WHOLE[1:], generation=generation)
    assert plan(view, NOW) == Plan()
    assert plan(replace(view, engine_overlaps=True), NOW) == Plan(start=("engine",))


# Leaving.


def test_workers_leave_first_for_their_streams_need_the_engine() -> None:
    view = house(*WHOLE, is_leaving=True)
    assert plan(view, NOW) == Plan(end=(3,))
    view = house(*WHOLE[:2], child(3, "worker", phase="leaving"), is_leaving=True)
    assert plan(view, NOW) == Plan()
    assert plan(house(*WHOLE[:2], is_leaving=True), NOW) == Plan(end=(1, 2))
    assert plan(house(is_leaving=True), NOW) == Plan(is_over=True)


def test_a_leaving_house_replaces_nobody() -> None:
    assert plan(house(WHOLE[2], is_leaving=True), NOW).start == ()


def test_told_twice_everybody_is_killed() -> None:
    assert plan(house(*WHOLE, is_leaving=True, is_urgent=True), NOW).kill == (1, 2, 3)


def test_who_has_had_its_time_to_leave_is_killed() -> None:
    late = child(3, "worker", phase="leaving", kill_at_ms=NOW)
    assert plan(house(*WHOLE[:2], late, is_leaving=True), NOW - 1).kill == ()
    assert plan(house(*WHOLE[:2], late, is_leaving=True), NOW).kill == (3,)


# Hanging.


@pytest.mark.parametrize("role", ["worker", "control"])
def test_a_child_without_a_heartbeat_is_killed(role: Role) -> None:
    others = [each for each in WHOLE if each.role != role]
    silent = child(3, role, beat_ms=NOW - 5_000)
    assert plan(house(*others, silent, stuck_ms=5_000), NOW).kill == (3,)
    assert plan(house(*others, silent, stuck_ms=5_001), NOW).kill == ()
    leaving = replace(silent, phase="leaving")
    assert plan(house(*others, leaving, stuck_ms=5_000), NOW).kill == ()


def test_an_engine_has_no_heartbeat_and_is_not_killed_for_it() -> None:
    assert plan(house(child(1, "engine", beat_ms=1), *WHOLE[1:]), NOW).kill == ()


def test_after_a_pause_of_the_supervisor_itself_old_heartbeats_prove_nothing() -> None:
    silent = child(3, "worker", beat_ms=1)
    assert plan(house(*WHOLE[:2], silent, awake_since_ms=NOW - 1), NOW).kill == ()


@pytest.mark.parametrize("role", ["worker", "control"])
def test_a_child_that_never_comes_up_is_killed(role: Role) -> None:
    others = [each for each in WHOLE if each.role != role]
    slow = child(3, role, phase="starting", beat_ms=0, started_ms=NOW - 60_000)
    assert plan(house(*others, slow), NOW).kill == (3,)
    assert plan(house(*others, slow), NOW - 1).kill == ()


def test_control_that_beats_has_come_up() -> None:
    up = child(2, "control", phase="starting", started_ms=NOW - 60_000)
    assert plan(house(WHOLE[0], up, WHOLE[2]), NOW).kill == ()


# Deaths.


def test_a_child_that_served_is_replaced_at_once_however_often_it_dies() -> None:
    starts = Starts(failed_count=5)
    for _ in range(20):
        starts = note_death(starts, child(3, "worker", started_ms=NOW - 1), KILLED, NOW)
    assert starts == Starts(has_served=True, not_before_ms=NOW)


def test_a_child_that_fails_to_start_waits_longer_each_time() -> None:
    starts, waits = Starts(), []
    for _ in range(5):
        starts = note_death(starts, child(2, "control", started_ms=NOW - 100), 1, NOW)
        waits.append(starts.not_before_ms - NOW)
    assert waits == [0, 100, 200, 400, 800]
    assert note_serving(starts).failed_count == 0


def test_a_child_that_is_killed_over_and_over_is_still_back_within_a_second() -> None:
    starts = Starts()
    for _ in range(20):
        starts = note_death(starts, child(1, "engine", started_ms=NOW - 1), KILLED, NOW)
    assert starts.not_before_ms - NOW <= KILLED_DELAY_MS_MAX


def test_waits_are_bounded() -> None:
    assert delay_ms(1_000_000) == DELAY_MAX_MS


def test_only_a_house_whose_workers_or_control_never_served_gives_up() -> None:
    failed = Starts(failed_count=FAILED_STARTS_MAX)
    fine = dict.fromkeys(ROLES, Starts())
    assert is_hopeless({**fine, "engine": failed}) is None
    assert is_hopeless({**fine, "control": failed}) == "control"
    assert is_hopeless({**fine, "worker": failed}) == "worker"
    assert is_hopeless({**fine, "worker": replace(failed, has_served=True)}) is None


def test_a_child_that_refuses_its_settings_is_not_started_again() -> None:
    refused = note_death(Starts(), child(1, "engine"), EXIT_CONFIGURATION, NOW)
    starts = {**dict.fromkeys(ROLES, Starts()), "engine": refused}
    assert plan(house(*WHOLE[1:], starts=starts), NOW) == Plan()
    assert is_hopeless(starts) == "engine"


def test_after_a_good_engine_one_with_wrong_settings_does_not_end_the_house() -> None:
    refused = note_death(Starts(has_served=True), child(1, "engine"), EXIT_CONFIGURATION, NOW)
    assert is_hopeless({**dict.fromkeys(ROLES, Starts()), "engine": refused}) is None
