"""Law: whatever was seen of an engine before, one that refuses connections serves nothing, one that
answers serves, and one that never answered is never waited for longer than its start time."""

from hypothesis import given
from hypothesis import strategies as st

from tokenmill.engines.recognition import Outcome, Sighting
from tokenmill.engines.rules import Origin, Patience, Watch, watch

PATIENCE = Patience(start_ms=10_000, silent_ms=5_000, unreachable_ms=2_000)
OUTCOMES: tuple[Outcome, ...] = (
    *("serving", "loading", "refused", "unreachable"),
    *("silent", "broken", "locked", "foreign"),
)
outcomes = st.sampled_from(OUTCOMES)
origins: st.SearchStrategy[Origin] = st.sampled_from(["ours", "named", "found"])
histories = st.lists(st.tuples(outcomes, st.integers(1, 20_000)), max_size=20)


def after(history: list[tuple[Outcome, int]], origin: Origin) -> tuple[Watch, int]:
    """The watch after looks of (what was found, milliseconds since the one before)."""
    watched, now_ms = Watch(), 1_000
    for outcome, passed_ms in history:
        now_ms += passed_ms
        found = Sighting(outcome=outcome)
        watched = watch(watched, found, now_ms, origin=origin, patience=PATIENCE)
    return watched, now_ms


@given(history=histories, origin=origins)
def test_refusal_ends_service_at_once(history: list[tuple[Outcome, int]], origin: Origin) -> None:
    watched, _ = after([*history, ("refused", 500)], origin)
    assert watched.state != "serving"
    assert watched.state == "gone" or origin == "ours"


@given(history=histories, origin=origins)
def test_an_answer_begins_service_at_once(
    history: list[tuple[Outcome, int]], origin: Origin
) -> None:
    watched, _ = after([*history, ("serving", 500)], origin)
    assert watched.state == "serving"


@given(history=histories, origin=origins, outcome=outcomes)
def test_no_silence_is_waited_out_for_ever(
    history: list[tuple[Outcome, int]], origin: Origin, outcome: Outcome
) -> None:
    """Only an engine that says itself that it serves or loads keeps its place."""
    watched, now_ms = after(history, origin)
    for _ in range(4):
        now_ms += 10_000
        found = Sighting(outcome=outcome)
        watched = watch(watched, found, now_ms, origin=origin, patience=PATIENCE)
    if outcome not in ("serving", "loading"):
        assert watched.state == "gone"
