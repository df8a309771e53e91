"""Which engine is started, and the state of one over looks at it: the tables of `rules.py`."""

import pytest
from msgspec.structs import replace

from tokenmill.engines.recognition import EngineKind, Outcome, ServedModel, Sighting
from tokenmill.engines.rules import (
    Choice,
    Facts,
    Origin,
    Patience,
    Watch,
    choose_engine,
    served_models,
    wants_vllm,
    watch,
)
from tokenmill.settings import EmbeddedSettings, EngineSettings, Settings, VllmSettings

PATIENCE = Patience(start_ms=60_000, silent_ms=10_000, unreachable_ms=3_000)
MODEL = ServedModel("tiny-chat", created=7)
SERVING = Sighting(outcome="serving", kind="vllm", version="0.32.0", models=(MODEL,))
NOW = 1_000_000


def seen(outcome: Outcome) -> Sighting:
    return SERVING if outcome == "serving" else Sighting(outcome=outcome, detail=outcome)


def after(*looks: tuple[int, Outcome], origin: Origin = "found") -> Watch:
    """The state after looks of (milliseconds after NOW, what was found)."""
    watched = Watch()
    for at_ms, outcome in looks:
        watched = watch(watched, seen(outcome), NOW + at_ms, origin=origin, patience=PATIENCE)
    return watched


ONCE = [
    # who, the only look, state
    ("found", "serving", "serving"),
    ("found", "loading", "loading"),
    ("found", "refused", "gone"),
    ("found", "silent", "gone"),  # never seen: no reason to wait for it
    ("found", "broken", "gone"),
    ("named", "refused", "gone"),  # not started: the operator is told so at once
    ("named", "silent", "loading"),  # somebody listens there
    ("named", "unreachable", "loading"),
    ("named", "locked", "gone"),
    ("named", "foreign", "gone"),
    ("ours", "refused", "loading"),  # it was just started and does not listen yet
    ("ours", "silent", "loading"),
    ("ours", "broken", "loading"),
]


@pytest.mark.parametrize(("origin", "outcome", "state"), ONCE)
def test_first_look(origin: Origin, outcome: Outcome, state: str) -> None:
    assert after((0, outcome), origin=origin).state == state


THEN = [
    # looks after it served at 0, state
    ([(500, "refused")], "gone"),  # nobody listens: nothing can be sent there
    ([(500, "foreign")], "gone"),
    ([(500, "locked")], "gone"),
    ([(500, "loading")], "loading"),
    ([(500, "broken")], "serving"),  # one may be an unlucky moment
    ([(500, "broken"), (1_000, "broken")], "gone"),
    ([(500, "broken"), (1_000, "serving"), (1_500, "broken")], "serving"),
    ([(1_500, "silent"), (9_000, "silent")], "serving"),  # busy
    ([(9_000, "silent"), (10_500, "silent")], "gone"),  # too long for work
    ([(9_000, "silent"), (9_500, "serving"), (18_000, "silent")], "serving"),
    ([(1_500, "unreachable")], "serving"),
    ([(3_500, "unreachable")], "gone"),
    ([(500, "refused"), (1_000, "serving")], "serving"),  # back
]


@pytest.mark.parametrize(("looks", "state"), THEN)
def test_an_engine_that_served(looks: list[tuple[int, Outcome]], state: str) -> None:
    assert after((0, "serving"), *looks).state == state


def test_an_engine_of_ours_is_loading_again_when_it_is_restarted() -> None:
    assert after((0, "serving"), (500, "refused"), origin="ours").state == "loading"


@pytest.mark.parametrize(
    ("kind", "origin", "at_ms", "state"),
    [
        ("embedded", "ours", 500, "serving"),  # requests wait at its socket meanwhile
        ("embedded", "ours", 3_500, "loading"),
        ("embedded", "named", 500, "loading"),
        ("vllm", "ours", 500, "loading"),
    ],
)
def test_an_embedded_engine_that_comes_back_was_never_away(
    kind: EngineKind, origin: Origin, at_ms: int, state: str
) -> None:
    served = replace(SERVING, kind=kind)
    before = watch(Watch(), served, NOW, origin=origin, patience=PATIENCE)
    found = Sighting(outcome="loading")
    after_kill = watch(before, found, NOW + at_ms, origin=origin, patience=PATIENCE)
    assert after_kill.state == state


def test_an_engine_that_does_not_come_up_in_its_start_time_is_given_up_until_it_serves() -> None:
    late = ((0, "refused"), (59_000, "refused"), (60_500, "refused"))
    assert after(*late, origin="ours").state == "gone"
    assert after(*late, (61_000, "refused"), origin="ours").state == "gone"
    assert after(*late, (61_000, "serving"), origin="ours").state == "serving"


def test_a_named_engine_that_went_is_not_taken_for_one_that_starts() -> None:
    went = after((0, "serving"), (500, "refused"), (1_000, "silent"), origin="named")
    assert went.state == "gone"


def test_only_a_serving_engine_offers_models() -> None:
    assert served_models(after((0, "serving"), (500, "silent"))) == (MODEL,)
    assert served_models(after((0, "serving"), (500, "refused"))) == ()


def test_a_model_is_as_old_as_its_first_sight() -> None:
    """vLLM answers `created` with the time of the question."""
    later = replace(SERVING, models=(ServedModel("tiny-chat", created=99),))
    watched = watch(after((0, "serving")), later, NOW + 500, origin="found", patience=PATIENCE)
    assert watched.last.models == (MODEL,)


def test_a_watch_says_since_when_and_why() -> None:
    gone = after((0, "serving"), (500, "refused"), (1_000, "refused"))
    assert (gone.since_ms, gone.answered_ms, gone.detail) == (NOW + 500, NOW, "refused")


NAMED = Settings(engines=(EngineSettings(url="http://gpu-1:8000"),), model="x")
BARE = Settings()
WITH_MODEL = Settings(model="some/model")
WITH_COMMAND = Settings(model="some/model", vllm=VllmSettings(command=("/opt/vllm", "serve")))
SERVE = Settings(embedded=EmbeddedSettings(enabled=False))
ALL = Facts(is_vllm_installed=True, is_gpu_usable=True, is_embedded_installed=True)
FOUND = replace(ALL, sightings=[Sighting(outcome="refused"), SERVING])
LOADING = replace(ALL, sightings=[Sighting(outcome="loading", kind="vllm")])
STRANGER = replace(ALL, sightings=[Sighting(outcome="serving", kind="openai")])
NO_GPU = replace(ALL, is_gpu_usable=False)
NO_VLLM = replace(ALL, is_vllm_installed=False)

CHOICES = [
    # settings, facts, what is started
    (NAMED, ALL, None),  # the operator has spoken
    (BARE, FOUND, None),
    (BARE, LOADING, None),
    (BARE, STRANGER, "embedded"),  # some server on a discovery port is no vLLM
    (BARE, ALL, "embedded"),  # without --model vLLM would have nothing to serve
    (WITH_MODEL, ALL, "vllm"),
    (WITH_MODEL, FOUND, "vllm"),  # the found one has another model
    (Settings(model="tiny-chat"), FOUND, None),
    (WITH_MODEL, NO_GPU, "embedded"),
    (WITH_MODEL, NO_VLLM, "embedded"),
    (WITH_COMMAND, replace(NO_GPU, is_vllm_installed=False), "vllm"),  # said explicitly
    (SERVE, ALL, None),
    (BARE, replace(ALL, is_embedded_installed=False), None),
]


@pytest.mark.parametrize(("settings", "facts", "started"), CHOICES)
def test_choice(settings: Settings, facts: Facts, started: str | None) -> None:
    assert choose_engine(settings, facts).start == started


def test_without_any_engine_the_reason_says_what_to_install() -> None:
    choice = choose_engine(BARE, Facts())
    assert isinstance(choice, Choice)
    assert "pip install 'tokenmill[embedded]'" in choice.reason


def test_vllm_and_gpu_matter_only_with_a_model_and_no_command() -> None:
    wanted = [wants_vllm(settings) for settings in (BARE, NAMED, WITH_COMMAND, WITH_MODEL)]
    assert wanted == [False, False, False, True]
