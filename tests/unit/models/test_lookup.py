"""Which route answers what was asked for, and why none does."""

import msgspec
import pytest

from tokenmill.engines.recognition import EngineKind, Task
from tokenmill.errors import (
    ApiError,
    EnginesAway,
    EnginesDraining,
    InvalidRequest,
    ModelLoading,
    ModelNotFound,
    NoEngine,
    PermissionDenied,
)
from tokenmill.models.fleet import AbsentModel, Engine, Fleet, Route
from tokenmill.models.lookup import NO_POOL, FleetIndex, answer_name, resolve

ANNA, BERT = 1, 2


def route(name: str, task: Task = "generate", account_id: int = 0, parent: str = "") -> Route:
    return Route(
        id=name,
        task=task,
        pool=0,
        engine_model=name,
        created=1,
        owned_by="vllm",
        kind="dedicated" if account_id else "factory",
        account_id=account_id,
        parent=parent,
    )


LOADING = Engine(slot=0, name="e", url="http://127.0.0.1:1", kind="vllm", state="loading")
FLEET = Fleet(
    pools=((0,),),
    routes=(
        route("lora", parent="big/model"),
        route("big/model"),
        route("small"),
        route("vectors", "embed"),
        route("private", account_id=BERT),
        route("small", account_id=BERT),
    ),
    aliases={"gpt": "big/model", "lost": "nowhere", "secret": "private"},
)
INDEX = FleetIndex(FLEET)


def found(asked: str | None, account_id: int = ANNA, task: Task = "generate") -> Route:
    result = resolve(INDEX, asked, account_id, task)
    assert isinstance(result, Route)
    return result


def refused(
    asked: str | None, account_id: int = ANNA, task: Task = "generate", index: FleetIndex = INDEX
) -> ApiError:
    result = resolve(index, asked, account_id, task)
    assert isinstance(result, ApiError)
    return result


@pytest.mark.parametrize("asked", [None, "auto"])
def test_auto_is_the_first_whole_model_of_the_task(asked: str | None) -> None:
    assert found(asked).id == "big/model"
    assert found(asked, task="embed").id == "vectors"
    assert answer_name(found(asked), asked) == "big/model"


def test_auto_prefers_what_belongs_to_the_account() -> None:
    assert found(None, BERT).id == "private"


def test_a_name_is_its_route_and_an_alias_answers_under_its_own_name() -> None:
    assert found("small").id == "small"
    assert found("lora").parent == "big/model"
    assert found("gpt").id == "big/model"
    assert answer_name(found("gpt"), "gpt") == "gpt"


def test_names_are_case_sensitive() -> None:
    assert isinstance(refused("Small"), ModelNotFound)


def test_a_dedicated_route_is_there_for_its_account_alone() -> None:
    assert found("private", BERT).account_id == BERT
    for asked in ("private", "secret"):
        error = refused(asked, ANNA)
        assert (error.status, error.code, error.param) == (404, "model_not_found", "model")


def test_an_accounts_own_route_hides_a_shared_one_of_the_same_name() -> None:
    assert found("small", BERT).account_id == BERT
    assert found("small", ANNA).account_id == 0
    names = [each.id for each in INDEX.visible(BERT)]
    assert names == ["private", "small", "lora", "big/model", "vectors"]


def test_others_do_not_see_it_in_the_list() -> None:
    assert "private" not in [each.id for each in INDEX.visible(ANNA)]


def test_an_alias_of_nothing_is_not_found() -> None:
    assert isinstance(refused("lost"), ModelNotFound)


def test_a_model_of_the_other_kind_is_a_400_that_says_where_to_go() -> None:
    error = refused("vectors")
    assert isinstance(error, InvalidRequest)
    assert (error.param, "/embeddings" in error.message) == ("model", True)
    assert "/chat/completions" in refused("small", task="embed").message


@pytest.mark.parametrize("asked", [None, "any"])
def test_without_engines_the_answer_is_no_engine(asked: str | None) -> None:
    error = refused(asked, index=FleetIndex(Fleet()))
    assert isinstance(error, NoEngine)
    assert error.retry_after_ms
    assert "No running inference endpoint found" in error.message


@pytest.mark.parametrize("asked", [None, "any"])
def test_while_an_engine_loads_a_missing_model_may_yet_come(asked: str | None) -> None:
    error = refused(asked, index=FleetIndex(Fleet(engines=(LOADING,))))
    assert isinstance(error, ModelLoading)


@pytest.mark.parametrize("asked", [None, "auto", "big", "gpt"])
def test_a_model_whose_engines_are_all_drained_comes_back(asked: str | None) -> None:
    absent = tuple(
        AbsentModel(account_id, name, is_draining=True)
        for account_id, name in ((0, "big"), (0, "gpt"), (BERT, "private"))
    )
    error = refused(asked, index=FleetIndex(Fleet(absent=absent)))
    assert isinstance(error, EnginesDraining)
    assert error.status == 503
    assert error.retry_after_ms


@pytest.mark.parametrize("asked", [None, "auto", "big", "gpt"])
def test_a_model_whose_engines_are_all_away_comes_back(asked: str | None) -> None:
    absent = (AbsentModel(0, "big", is_draining=False), AbsentModel(0, "gpt", is_draining=False))
    served = route("vectors", "embed")
    error = refused(asked, index=FleetIndex(Fleet(routes=(served,), pools=((0,),), absent=absent)))
    assert isinstance(error, EnginesAway)
    assert (error.status, error.code) == (503, "no_engine")
    assert error.retry_after_ms
    loading = FleetIndex(Fleet(engines=(LOADING,), absent=absent))
    assert isinstance(refused(asked, index=loading), ModelLoading)


def test_a_model_that_was_never_there_is_not_found_whatever_is_away() -> None:
    absent = (AbsentModel(0, "big", is_draining=False),)
    index = FleetIndex(Fleet(routes=(route("small"),), pools=((0,),), absent=absent))
    assert isinstance(refused("bigger", index=index), ModelNotFound)
    assert isinstance(refused("big", index=index), EnginesAway)


def test_others_do_not_learn_that_an_accounts_engine_is_drained() -> None:
    absent = (AbsentModel(BERT, "private", is_draining=True),)
    index = FleetIndex(Fleet(pools=((0,),), routes=(route("big"),), absent=absent))
    assert isinstance(refused("private", ANNA, index=index), ModelNotFound)
    assert isinstance(refused("private", BERT, index=index), EnginesDraining)


MISSED = (
    AbsentModel(BERT, "small", is_draining=False),
    AbsentModel(BERT, "tiny", is_draining=False),  # an alias of it
    AbsentModel(BERT, "own-lora", is_draining=False, is_adapter=True),
)
SHARED = (route("big"), route("small"), route("vectors", "embed"))


@pytest.mark.parametrize("asked", ["small", "tiny", None, "auto"])
def test_nobody_stands_in_for_an_accounts_own_engine(asked: str | None) -> None:
    """The account would be billed for what it has already."""
    fleet = Fleet(pools=((0,),), routes=SHARED, absent=MISSED, aliases={"tiny": "small"})
    index = FleetIndex(fleet)
    assert isinstance(refused(asked, BERT, index=index), EnginesAway)
    assert isinstance(resolve(index, asked, ANNA, "generate"), Route)
    assert [each.id for each in index.visible(BERT)] == ["big", "vectors"]
    assert [each.id for each in index.visible(ANNA)] == ["big", "small", "vectors"]


def test_what_an_account_shares_is_answered_while_its_own_engine_is_away() -> None:
    index = FleetIndex(Fleet(pools=((0,),), routes=SHARED, absent=MISSED))
    assert isinstance(resolve(index, "big", BERT, "generate"), Route)
    assert isinstance(resolve(index, None, BERT, "embed"), Route)
    listed = resolve(index, None, BERT, "generate", frozenset({"big"}))
    assert isinstance(listed, Route) and listed.id == "big"
    own_lora_alone = FleetIndex(Fleet(pools=((0,),), routes=SHARED, absent=MISSED[2:]))
    assert isinstance(resolve(own_lora_alone, None, BERT, "generate"), Route)


def test_another_own_model_answers_auto_while_one_is_away() -> None:
    routes = (*SHARED, route("mine", account_id=BERT))
    index = FleetIndex(Fleet(pools=((0,),), routes=routes, absent=MISSED))
    found = resolve(index, None, BERT, "generate")
    assert isinstance(found, Route) and found.id == "mine"


@pytest.mark.parametrize(
    ("kinds", "kind"), [(("vllm", "openai"), "vllm"), (("embedded",), "embedded")]
)
def test_an_adapter_that_nobody_holds_is_answered_by_engines_that_can_load_it(
    kinds: tuple[EngineKind, ...], kind: EngineKind
) -> None:
    engines = tuple(
        Engine(slot=at, name=str(at), url="u", kind=each, state="serving", parses_tools=at > 0)
        for at, each in enumerate(kinds)
    )
    lora = msgspec.structs.replace(route("lora", parent="base"), pool=1, is_loadable=True)
    slots = tuple(range(len(kinds)))
    index = FleetIndex(Fleet(engines=engines, pools=(slots, ()), routes=(route("base"), lora)))
    assert (index.kind(lora), index.parses_tools(lora)) == (kind, False)


def test_a_long_name_is_cut_in_the_message() -> None:
    assert len(refused("x" * 512).message) < 400


def test_an_empty_fleet_can_answer_nothing() -> None:
    assert INDEX.can_answer()
    assert not FleetIndex(Fleet(engines=(LOADING,))).can_answer()


def test_a_key_with_a_list_uses_its_models_and_no_others() -> None:
    allowed = frozenset({"small", "gpt"})
    auto = resolve(INDEX, None, ANNA, "generate", allowed)
    assert isinstance(auto, Route) and auto.id == "small"
    aliased = resolve(INDEX, "gpt", ANNA, "generate", allowed)  # listed by its alias
    assert isinstance(aliased, Route) and aliased.id == "big/model"
    for asked in ("big/model", "lora"):
        answer = resolve(INDEX, asked, ANNA, "generate", allowed)
        assert isinstance(answer, PermissionDenied)
        assert (answer.code, answer.param) == ("model_not_allowed", "model")
    assert isinstance(resolve(INDEX, None, ANNA, "embed", allowed), NoEngine)
    assert isinstance(resolve(INDEX, "small", ANNA, "generate", frozenset()), PermissionDenied)


def test_a_route_of_an_earlier_fleet_means_the_pool_it_has_now() -> None:
    before = route("big/model")
    moved = Fleet(pools=((1,), (0,)), routes=(msgspec.structs.replace(before, pool=1),))
    assert FleetIndex(moved).pool_now(before) == 1
    assert FleetIndex(Fleet()).pool_now(before) == NO_POOL
