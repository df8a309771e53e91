"""Law: a fleet made of any engines' answers, after any other fleet, is consistent.

Each route has a pool of engines that serve, each slot is one engine's and not control's, each alias
ends at a route and hides none, and an engine that is still there keeps its slot.
"""

from hypothesis import given
from hypothesis import strategies as st

from tokenmill.engines.recognition import ServedModel
from tokenmill.models.fleet import Fleet
from tokenmill.models.offers import EngineReport
from tokenmill.models.rules import build_fleet, is_same_fleet

ENGINES_MAX = 5
ids = st.sampled_from(["m1", "m2", "m3", "your-model-id", "text-embedding-ada-002"])
models = st.builds(
    ServedModel,
    id=ids,
    task=st.sampled_from(["generate", "embed"]),
    parent=st.sampled_from(["", "", "m1"]),
)
reports = st.builds(
    EngineReport,
    name=st.sampled_from(["a", "b", "c", "d", "e", "f"]),
    url=st.just("http://127.0.0.1:1"),
    kind=st.sampled_from(["vllm", "embedded", "openai"]),
    state=st.sampled_from(["serving", "serving", "loading", "gone"]),
    account_id=st.sampled_from([0, 0, 7, 8]),
    models=st.lists(models, max_size=4).map(tuple),
)
houses = st.lists(reports, max_size=6, unique_by=lambda report: report.name)
aliases = st.dictionaries(st.one_of(ids, st.just("x")), st.one_of(ids, st.just("x")), max_size=4)


@given(before=houses, after=houses, wanted=aliases, missing=st.sets(st.sampled_from([7, 8])))
def test_every_fleet_is_consistent(
    before: list[EngineReport],
    after: list[EngineReport],
    wanted: dict[str, str],
    missing: set[int],
) -> None:
    previous = build_fleet(before, wanted, Fleet(), ENGINES_MAX)
    fleet = build_fleet(after, wanted, previous, ENGINES_MAX, missing=missing)
    by_slot = {engine.slot: engine for engine in fleet.engines}
    assert len(by_slot) == len(fleet.engines)
    assert all(0 <= slot < ENGINES_MAX - 1 for slot in by_slot)
    check_routes(fleet, {report.name: report for report in after})
    check_aliases(fleet)
    kept = {engine.name: engine.slot for engine in previous.engines}
    assert all(kept.get(engine.name, engine.slot) == engine.slot for engine in fleet.engines)
    again = build_fleet(after, wanted, fleet, ENGINES_MAX, missing=missing)
    assert is_same_fleet(again, fleet)
    served = {(route.account_id, route.id) for route in fleet.routes}
    assert not any((each.account_id, each.name) in served for each in fleet.absent)


def check_routes(fleet: Fleet, said: dict[str, EngineReport]) -> None:
    by_slot = {engine.slot: engine for engine in fleet.engines}
    assert len({(route.account_id, route.id) for route in fleet.routes}) == len(fleet.routes)
    for route in fleet.routes:
        pool = [by_slot[slot] for slot in fleet.pools[route.pool]]
        assert pool
        for engine in pool:
            assert engine.state == "serving"
            assert said[engine.name].account_id == route.account_id
            assert route.engine_model in {model.id for model in said[engine.name].models}
        assert len({engine.kind == "embedded" for engine in pool}) == 1


def check_aliases(fleet: Fleet) -> None:
    real = {route.id for route in fleet.routes}
    public = {route.id for route in fleet.routes if not route.account_id}
    assert set(fleet.aliases.values()) <= real
    assert not public.intersection(fleet.aliases)
