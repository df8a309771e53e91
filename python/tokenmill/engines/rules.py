"""Decisions about engines, pure: which one to use at the start, and what state one is in.

Time is an argument, in milliseconds. `selection.py` and control's keeper bring what was seen and do
what is decided here.

The state of a watched engine, by what a look at it found (`Watch` is what is remembered between
looks; "starting" is an engine of this house or one named by the operator, inside its start time):

| found       | was serving                         | was not                          |
|-------------|-------------------------------------|----------------------------------|
| serving     | serving                             | serving                          |
| loading     | loading; embedded and ours: serving | loading                          |
|             | for `unreachable_ms`: requests wait |                                  |
|             | there while its model comes back    |                                  |
| refused     | gone; ours: loading: it is restarted| ours, starting: loading          |
| unreachable | serving for `unreachable_ms`        | named or ours, starting: loading |
| silent      | serving for `silent_ms`: it is busy | named or ours, starting: loading |
| broken      | serving once, the second time gone  | named or ours, starting: loading |
| locked, foreign | gone                            | gone                             |
"""

from collections.abc import Sequence
from typing import Literal, get_args

from msgspec import Struct
from msgspec.structs import replace

from tokenmill.engines.recognition import EngineState, ServedModel, Sighting
from tokenmill.settings import Settings

Origin = Literal["ours", "named", "added", "joined", "kubernetes", "found"]
"""Who says that there is an engine: the house that runs it, the settings, an operator, the engine
itself, Kubernetes, nobody."""

Standing = Literal["serving", "warming", "trial", "out", "draining", "loading", "gone"]
"""What an engine is good for now. warming: it came back and gets a growing share of requests;
trial: a request a second; out: none for a while; draining: none, and finishes what it has."""

STANDINGS: tuple[Standing, ...] = get_args(Standing)
POOLED: tuple[Standing, ...] = ("serving", "warming", "trial", "out")
"""Those of engines that are in a pool."""

BROKEN_MAX = 2
"""Looks in a row that break off before an engine counts as gone: one may be an unlucky moment."""


class Patience(Struct, frozen=True, kw_only=True):
    """How long an engine that does not answer keeps its place.

    A busy engine accepts connections (its kernel does) and answers late: the stall time of a stream
    is the longest silence that the house takes for work. A machine that is off accepts nothing.
    """

    start_ms: int
    silent_ms: int = 120_000
    unreachable_ms: int = 5_000


class Watch(Struct, frozen=True, kw_only=True):
    """What is remembered of one engine between looks."""

    state: EngineState = "gone"
    last: Sighting = Sighting(outcome="refused")  # the last one that found it serving
    has_served: bool = False
    since_ms: int = 0  # of the state
    answered_ms: int = 0
    broken_count: int = 0
    detail: str = "not looked at yet"  # for people: why it does not serve


def watch(
    before: Watch, found: Sighting, now_ms: int, *, origin: Origin, patience: Patience
) -> Watch:
    """The engine after one more look, by the table above."""
    if found.outcome == "serving":
        return _serving(before, found, now_ms)
    state = _state_after(before, found, now_ms, origin=origin, patience=patience)
    is_broken = found.outcome == "broken"
    return replace(
        before,
        state=state,
        since_ms=before.since_ms if state == before.state else now_ms,
        broken_count=before.broken_count + 1 if is_broken else 0,
        detail=found.detail,
    )


def _serving(before: Watch, found: Sighting, now_ms: int) -> Watch:
    return replace(
        before,
        state="serving",
        last=_with_first_created(before.last, found),
        has_served=True,
        since_ms=before.since_ms if before.state == "serving" else now_ms,
        answered_ms=now_ms,
        broken_count=0,
        detail=found.detail,
    )


def _state_after(
    before: Watch, found: Sighting, now_ms: int, *, origin: Origin, patience: Patience
) -> EngineState:
    if found.outcome == "loading":
        holds = origin == "ours" and before.last.kind == "embedded" and before.state == "serving"
        is_brief = now_ms - before.answered_ms < patience.unreachable_ms
        return "serving" if holds and is_brief else "loading"
    if found.outcome in ("locked", "foreign"):
        return "gone"
    if before.state == "serving" and found.outcome != "refused":
        return "serving" if _is_patient(before, found, now_ms, patience) else "gone"
    return "loading" if _is_awaited(before, found, now_ms, origin, patience) else "gone"


def _is_awaited(
    before: Watch, found: Sighting, now_ms: int, origin: Origin, patience: Patience
) -> bool:
    if origin == "found" or (origin != "ours" and (before.has_served or _is_absent(found))):
        return False
    if before.state == "loading":
        return now_ms - before.since_ms < patience.start_ms
    return before.state == "serving" or before.since_ms == 0  # gone before: it had its time


def _is_absent(found: Sighting) -> bool:
    return found.outcome == "refused"


def _is_patient(before: Watch, found: Sighting, now_ms: int, patience: Patience) -> bool:
    if found.outcome == "broken":
        return before.broken_count + 1 < BROKEN_MAX
    bound_ms = patience.silent_ms if found.outcome == "silent" else patience.unreachable_ms
    return now_ms - before.answered_ms < bound_ms


def _with_first_created(last: Sighting, found: Sighting) -> Sighting:
    """vLLM dates its models at the moment of the question; a model is as old as its first sight."""
    first = {model.id: model.created for model in last.models}
    models = tuple(
        replace(model, created=first.get(model.id, model.created)) for model in found.models
    )
    return replace(found, models=models)


class Facts(Struct, frozen=True, kw_only=True):
    """What is true of this machine when `up` chooses. Units: one sighting a discovery port."""

    sightings: Sequence[Sighting] = ()
    is_vllm_installed: bool = False
    is_gpu_usable: bool = False
    is_embedded_installed: bool = False


class Choice(Struct, frozen=True):
    """The engine `up` starts, if any, and why, in words for the log."""

    start: Literal["vllm", "embedded"] | None
    reason: str


def choose_engine(settings: Settings, facts: Facts) -> Choice:
    """What to start: nothing where an engine is named or found, else a supervised vLLM, else the
    embedded engine.

    With `--model`, a found vLLM counts only if it has that model: who asks for a model by name
    would not be served by another one.
    """
    if settings.engines:
        return Choice(None, "using the engines that the settings name")
    if any(_serves(found, settings.model) for found in facts.sightings):
        return Choice(None, "using the vLLM that answers on this machine")
    if _can_start_vllm(settings, facts):
        return Choice("vllm", f"starting vLLM with {settings.model}")
    if not settings.embedded.enabled:
        return Choice(None, "no engine yet: waiting for a vLLM to appear")
    if not facts.is_embedded_installed:
        return Choice(
            None,
            "no engine yet: the embedded engine is not installed"
            " (pip install 'tokenmill[embedded]'); waiting for a vLLM to appear",
        )
    return Choice("embedded", "starting the embedded engine")


def wants_vllm(settings: Settings) -> bool:
    """Whether it matters if vLLM and a GPU are there: looking for them takes time."""
    return bool(settings.model) and not settings.engines and not settings.vllm.command


def _can_start_vllm(settings: Settings, facts: Facts) -> bool:
    if not settings.model:
        return False
    return bool(settings.vllm.command) or (facts.is_vllm_installed and facts.is_gpu_usable)


def _serves(found: Sighting, model: str) -> bool:
    if found.kind != "vllm" or found.outcome not in ("serving", "loading"):
        return False
    return not model or any(served.id == model for served in found.models)


def standing_of(state: EngineState, *, is_draining: bool, health: str) -> Standing:
    """How an engine stands; `health` is the hot segment's word for it, empty without a slot."""
    if state != "serving":
        return state
    if is_draining:
        return "draining"
    return _HEALTHS.get(health, "serving")


_HEALTHS: dict[str, Standing] = {"warming": "warming", "trial": "trial", "out": "out"}


def served_models(watched: Watch) -> tuple[ServedModel, ...]:
    """The models that can be asked for now."""
    return watched.last.models if watched.state == "serving" else ()
