"""From engines' reports to routes, pools and aliases."""

from typing import Any

import pytest
from msgspec.structs import replace

from tokenmill.adapters.rules import Adapter
from tokenmill.engines.recognition import EngineState, ServedModel
from tokenmill.models.fleet import AbsentModel, Fleet, Route
from tokenmill.models.offers import EngineReport
from tokenmill.models.rules import (
    Slots,
    assign_slots,
    build_fleet,
    is_same_fleet,
    models_on,
)

CHAT = ServedModel("tiny-chat", created=1, owned_by="vllm", context_tokens_max=2048)
ADAPTER = ServedModel("lora-alpha", owned_by="vllm", parent="tiny-chat")
DEMO = ServedModel("tokenmill-demo", owned_by="tokenmill")
MINILM = ServedModel("minilm", "embed", owned_by="tokenmill")


def report(name: str, *models: ServedModel, **fields: Any) -> EngineReport:
    given = {"kind": "vllm", "state": "serving", "url": f"http://{name}:1"} | fields
    return EngineReport(name=name, models=models, **given)


EMBEDDED = report("embedded", DEMO, MINILM, kind="embedded")


def fleet_of(*reports: EngineReport, aliases: dict[str, str] | None = None) -> Fleet:
    return build_fleet(reports, aliases or {}, Fleet(), 8)


def gone_adapter(account_id: int, name: str, *, is_draining: bool) -> AbsentModel:
    return AbsentModel(account_id, name, is_draining=is_draining, is_adapter=True)


def engines_of(fleet: Fleet, route: Route) -> list[str]:
    names = {engine.slot: engine.name for engine in fleet.engines}
    return [names[slot] for slot in fleet.pools[route.pool]]


def test_one_model_on_two_engines_is_one_pool() -> None:
    fleet = fleet_of(report("a", CHAT), report("b", CHAT, ADAPTER))
    base, adapter = fleet.routes
    assert (base.id, engines_of(fleet, base)) == ("tiny-chat", ["a", "b"])
    assert (adapter.id, adapter.parent, engines_of(fleet, adapter)) == (
        "lora-alpha",
        "tiny-chat",
        ["b"],
    )


def test_a_pool_has_the_shortest_context_of_its_engines() -> None:
    shorter = replace(CHAT, context_tokens_max=1024)
    unknown = replace(CHAT, context_tokens_max=0)
    fleet = fleet_of(report("a", CHAT), report("b", unknown), report("c", shorter))
    assert [route.context_tokens_max for route in fleet.routes] == [1024]


def test_auto_prefers_any_other_engine_to_the_embedded_one() -> None:
    fleet = fleet_of(EMBEDDED, report("a", CHAT))
    assert [route.id for route in fleet.routes] == ["tiny-chat", "tokenmill-demo", "minilm"]


def test_the_embedded_embeddings_stay_beside_a_vllm() -> None:
    fleet = fleet_of(report("a", CHAT), EMBEDDED)
    assert fleet.aliases["text-embedding-ada-002"] == "minilm"
    assert fleet.aliases["text-embedding-3-small"] == "minilm"


def test_the_published_ids_mean_the_embedded_models() -> None:
    fleet = fleet_of(EMBEDDED)
    assert fleet.aliases["meta-llama/Llama-3.1-8B-Instruct"] == "tokenmill-demo"
    assert fleet.aliases["your-model-id"] == "tokenmill-demo"


def test_without_the_embedded_engine_there_are_no_default_aliases() -> None:
    assert fleet_of(report("a", CHAT)).aliases == {}


def test_a_real_model_wins_over_an_alias_of_its_name() -> None:
    llama = ServedModel("meta-llama/Llama-3.1-8B-Instruct", owned_by="vllm")
    fleet = fleet_of(report("a", llama), EMBEDDED, aliases={"tokenmill-demo": "minilm"})
    assert "meta-llama/Llama-3.1-8B-Instruct" not in fleet.aliases
    assert "tokenmill-demo" not in fleet.aliases


def test_the_operators_aliases_win_over_the_default_ones_and_may_use_them() -> None:
    fleet = fleet_of(
        report("a", CHAT),
        EMBEDDED,
        aliases={"your-model-id": "tiny-chat", "gpt-4o": "your-model-id"},
    )
    assert fleet.aliases["your-model-id"] == fleet.aliases["gpt-4o"] == "tiny-chat"


def test_an_alias_that_ends_nowhere_or_in_a_circle_is_left_out() -> None:
    fleet = fleet_of(report("a", CHAT), aliases={"x": "nothing", "y": "z", "z": "y"})
    assert fleet.aliases == {}


def test_engines_that_load_or_are_gone_have_no_routes() -> None:
    fleet = fleet_of(report("a", CHAT, state="loading"), report("b", CHAT, state="gone"))
    assert (fleet.routes, fleet.pools) == ((), ())
    assert fleet.is_loading()


def test_a_model_is_drained_when_all_of_its_engines_are() -> None:
    one, other = report("a", CHAT, ADAPTER), report("b", CHAT)
    drained = replace(one, is_draining=True)
    aliases = {"gpt": "lora-alpha", "chat": "tiny-chat"}
    assert fleet_of(one, other, aliases=aliases).absent == ()
    assert fleet_of(drained, other, aliases=aliases).absent == (
        gone_adapter(0, "lora-alpha", is_draining=True),
        replace(gone_adapter(0, "gpt", is_draining=True), is_alias=True),
    )
    assert fleet_of(replace(drained, account_id=7), other).absent == (
        AbsentModel(7, "tiny-chat", is_draining=True),
        gone_adapter(7, "lora-alpha", is_draining=True),
    )


@pytest.mark.parametrize("state", ["gone", "loading"])
def test_a_model_whose_engines_are_all_away_is_known(state: EngineState) -> None:
    one, other = report("a", CHAT, ADAPTER), report("b", CHAT)
    away = replace(one, state=state, models=(), last_models=one.models)
    aliases = {"gpt": "lora-alpha"}
    assert fleet_of(away, other, aliases=aliases).absent == (
        gone_adapter(0, "lora-alpha", is_draining=False),
        replace(gone_adapter(0, "gpt", is_draining=False), is_alias=True),
    )
    assert fleet_of(away, other, one, aliases=aliases).absent == ()
    # What was never seen is not known.
    assert fleet_of(replace(away, last_models=()), other).absent == ()


def test_a_model_with_one_engine_away_and_one_that_drains_is_drained() -> None:
    away = report("a", state="gone", last_models=(CHAT,))
    drained = report("b", CHAT, is_draining=True)
    assert fleet_of(away, drained).absent == (AbsentModel(0, "tiny-chat", is_draining=True),)


def test_the_models_of_a_lost_engine_are_known_and_it_has_no_slot() -> None:
    lost = report("a", state="gone", last_models=(CHAT,))
    fleet = build_fleet([report("b")], {}, Fleet(), 8, lost=[lost])
    assert fleet.absent == (AbsentModel(0, "tiny-chat", is_draining=False),)
    assert [engine.name for engine in fleet.engines] == ["b"]
    assert build_fleet([report("b", CHAT)], {}, Fleet(), 8, lost=[lost]).absent == ()


def test_what_an_engine_served_is_kept_while_it_is_away() -> None:
    """Control killed and started again still knows the model of an engine that is down."""
    fleet = fleet_of(report("a", state="gone", last_models=(CHAT,)))
    assert models_on(fleet, fleet.engines[0].slot) == (CHAT,)
    assert fleet_of(report("a", CHAT, last_models=(CHAT,))).engines[0].last_models == ()


def test_an_assigned_engine_serves_its_account_alone() -> None:
    fleet = fleet_of(report("a", CHAT, account_id=7), report("b", CHAT))
    dedicated, factory = fleet.routes
    assert (dedicated.kind, dedicated.account_id) == ("dedicated", 7)
    assert engines_of(fleet, dedicated) == ["a"]
    assert (factory.kind, factory.account_id, engines_of(fleet, factory)) == ("factory", 0, ["b"])


def test_the_embedded_engine_never_stands_in_for_a_vllm_with_the_same_id() -> None:
    fleet = fleet_of(report("embedded", CHAT, kind="embedded"), report("a", CHAT))
    assert [engines_of(fleet, route) for route in fleet.routes] == [["a"]]


def test_an_adapter_is_never_mixed_with_a_whole_model_of_its_name() -> None:
    whole = replace(ADAPTER, parent="")
    fleet = fleet_of(report("a", ADAPTER), report("b", whole))
    assert [engines_of(fleet, route) for route in fleet.routes] == [["a"]]


def test_an_engine_keeps_its_slot_while_others_come_and_go() -> None:
    first = build_fleet([report("a"), report("b")], {}, Fleet(), 8)
    second = build_fleet([report("c"), report("b")], {}, first, 8)
    assert {engine.name: engine.slot for engine in second.engines} == {"b": 1, "c": 2}


def test_the_last_slot_is_never_an_engines() -> None:
    """It is the place of control's own socket."""
    fleet = build_fleet([report(str(n)) for n in range(9)], {}, Fleet(), 4)
    assert [engine.slot for engine in fleet.engines] == [0, 1, 2]


def test_a_slot_that_was_used_is_taken_last() -> None:
    slots = Slots({"gone": 0, "kept": 1}, 3)
    assert assign_slots(["kept", "x", "y"], slots) == {"kept": 1, "x": 2, "y": 0}


def test_a_slot_from_a_larger_segment_is_given_up() -> None:
    assert assign_slots(["a"], Slots({"a": 200}, 3)) == {"a": 0}


def test_fleets_are_compared_without_their_generation() -> None:
    fleet = fleet_of(report("a", CHAT))
    assert is_same_fleet(fleet, replace(fleet, generation=9))
    assert not is_same_fleet(fleet, fleet_of(report("a", CHAT, state="gone")))


def test_a_fleet_gives_back_what_an_engine_serves() -> None:
    """Control killed and started again knows a busy engine's models from the snapshot."""
    fleet = fleet_of(report("a", CHAT, ADAPTER), report("b", CHAT))
    slots = {engine.name: engine.slot for engine in fleet.engines}
    assert models_on(fleet, slots["a"]) == (CHAT, ADAPTER)
    assert models_on(fleet, slots["b"]) == (CHAT,)


NAMED = Adapter(name="lora-alpha", base="tiny-chat", path="/a", created=9)
NAMED_BY_NAME = {"lora-alpha": NAMED}


def adapted(*reports: EngineReport) -> Fleet:
    return build_fleet(reports, {}, Fleet(), 8, adapters=NAMED_BY_NAME)


def test_a_named_adapter_has_a_route_where_its_base_has_one_whoever_holds_it() -> None:
    (base, adapter) = adapted(report("a", CHAT), report("b", CHAT)).routes
    assert (adapter.id, adapter.parent, adapter.created) == ("lora-alpha", "tiny-chat", 9)
    assert adapter.is_loadable and not base.is_loadable
    assert adapter.context_tokens_max == CHAT.context_tokens_max
    assert engines_of(adapted(report("a", CHAT), report("b", CHAT)), adapter) == []
    held = adapted(report("a", CHAT), report("b", CHAT, replace(ADAPTER, root="/a")))
    assert engines_of(held, held.routes[1]) == ["b"]


def test_another_model_by_an_adapters_name_is_in_no_route() -> None:
    for other in (replace(ADAPTER, root="/b"), replace(ADAPTER, parent="")):
        fleet = adapted(report("a", CHAT, other))
        assert [(route.id, engines_of(fleet, route)) for route in fleet.routes] == [
            ("tiny-chat", ["a"]),
            ("lora-alpha", []),
        ]


def test_engines_of_unknown_servers_are_given_no_adapters() -> None:
    """They may ignore the model that is asked for."""
    assert [route.id for route in adapted(report("a", CHAT, kind="openai")).routes] == ["tiny-chat"]


def test_an_account_has_a_named_adapter_on_its_own_engines() -> None:
    fleet = adapted(report("a", CHAT, account_id=7))
    assert [(route.id, route.account_id) for route in fleet.routes] == [
        ("tiny-chat", 7),
        ("lora-alpha", 7),
    ]


def test_an_adapter_without_an_engine_of_its_base_is_known() -> None:
    unseen = gone_adapter(0, "lora-alpha", is_draining=False)
    assert adapted().absent == (unseen,)
    away = report("a", state="gone", last_models=(CHAT,))
    assert unseen in adapted(away).absent
    draining = adapted(report("a", CHAT, is_draining=True))
    assert gone_adapter(0, "lora-alpha", is_draining=True) in draining.absent


OWN = Adapter(name="acme-bot", base="tiny-chat", path="/o", account_id=7)
HELD = ServedModel(OWN.engine_name, parent="tiny-chat", root="/o")


def owning(*reports: EngineReport, previous: Fleet | None = None, **fields: Any) -> Fleet:
    adapters = {"acme-bot": OWN}
    return build_fleet(reports, {}, previous or Fleet(), 8, adapters=adapters, **fields)


def test_an_accounts_adapter_runs_on_everyones_engines_and_is_for_it_alone() -> None:
    fleet = owning(report("a", CHAT), report("b", CHAT, HELD))
    base, own = fleet.routes
    assert (base.id, base.account_id) == ("tiny-chat", 0)
    assert (own.id, own.account_id, own.kind, own.is_loadable) == ("acme-bot", 7, "factory", True)
    assert own.engine_model == OWN.engine_name != "acme-bot"
    assert engines_of(fleet, own) == ["b"]
    slots = {engine.name: engine.slot for engine in fleet.engines}
    assert [model.id for model in models_on(fleet, slots["b"])] == ["tiny-chat", OWN.engine_name]


def test_what_is_left_of_an_accounts_adapter_on_an_engine_is_nobodys() -> None:
    for listed in (HELD, replace(HELD, parent="")):
        fleet = fleet_of(report("a", CHAT, listed))
        assert [route.id for route in fleet.routes] == ["tiny-chat"]


def test_everyones_model_by_the_name_of_an_accounts_adapter_stays_everyones() -> None:
    fleet = owning(report("a", CHAT, ServedModel("acme-bot")))
    assert [(route.id, route.account_id, route.is_loadable) for route in fleet.routes] == [
        ("tiny-chat", 0, False),
        ("acme-bot", 0, False),
        ("acme-bot", 7, True),
    ]


def test_an_accounts_adapter_runs_on_its_own_engines_where_it_has_such() -> None:
    mine, shared = report("mine", CHAT, account_id=7), report("shared", CHAT, HELD)
    own = next(each for each in owning(mine, shared).routes if each.id == "acme-bot")
    assert (own.kind, engines_of(owning(mine, shared), own)) == ("dedicated", [])
    away = replace(mine, state="gone", models=(), last_models=mine.models)
    fleet = owning(away, shared)
    assert [(route.id, route.account_id) for route in fleet.routes] == [("tiny-chat", 0)]
    assert fleet.absent == (
        AbsentModel(7, "tiny-chat", is_draining=False),
        gone_adapter(7, "acme-bot", is_draining=False),
    )


def test_what_an_account_had_on_an_engine_that_is_in_no_list_stays_its_own() -> None:
    """Through any number of fleets, until the engine is given back."""
    first = owning(report("mine", CHAT, account_id=7), report("shared", CHAT))
    fleet = first
    for _ in range(2):
        fleet = owning(report("shared", CHAT), previous=fleet, missing=frozenset({7}))
        assert AbsentModel(7, "tiny-chat", is_draining=False) in fleet.absent
        assert gone_adapter(7, "acme-bot", is_draining=False) in fleet.absent
        assert [route.account_id for route in fleet.routes] == [0]
    given_back = owning(report("shared", CHAT), previous=fleet)
    assert given_back.absent == ()
    assert [route.account_id for route in given_back.routes] == [0, 7]
