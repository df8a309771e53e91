"""Which engine holds an adapter, where one is loaded, and which one makes room."""

from typing import Any

from msgspec.structs import replace

from tokenmill.adapters.rules import (
    BUSY_REQUESTS,
    Adapter,
    Host,
    in_order,
    is_held,
    makes_room,
    wants_another,
)
from tokenmill.engines.recognition import ServedModel

BASE = ServedModel("base")
ADAPTER = Adapter(name="lora", base="base", path="/adapters/lora")
LISTED = ServedModel("lora", parent="base", root="/adapters/lora")


def test_an_engine_holds_an_adapter_that_it_lists_with_its_base_and_folder() -> None:
    assert is_held(ADAPTER, [BASE, LISTED])
    assert is_held(ADAPTER, [BASE, replace(LISTED, root="")])  # it does not say


def test_nothing_else_by_its_name_is_the_adapter() -> None:
    others = (replace(LISTED, parent=""), replace(LISTED, root="/adapters/other"))
    for other in others:
        assert not is_held(ADAPTER, [BASE, other])
    assert not is_held(ADAPTER, [replace(BASE, id="another"), LISTED])
    assert not is_held(ADAPTER, [replace(LISTED, id="base"), LISTED])  # its base is an adapter
    assert not is_held(ADAPTER, [BASE])


def test_a_base_with_several_names_has_adapters_by_all_of_them() -> None:
    listed = replace(LISTED, parent="first-name")
    assert is_held(ADAPTER, [ServedModel("first-name"), BASE, listed])


def host(name: str, **fields: Any) -> Host:
    return Host(**{"name": name, "requests": 0, "held": 0} | fields)


def test_it_is_loaded_where_there_is_room_and_little_to_do() -> None:
    hosts = [
        host("ill", is_well=False),
        host("full", held=4),
        host("busy", requests=9),
        host("fuller", held=2),
        host("best", held=1),
    ]
    names = [each.name for each in in_order(hosts, ADAPTER, 4)]
    assert names == ["best", "fuller", "busy", "full", "ill"]


def test_equal_engines_take_turns() -> None:
    hosts = [host(str(number)) for number in range(4)]
    firsts = {
        in_order(hosts, replace(ADAPTER, name=f"lora-{number}"), 4)[0].name for number in range(64)
    }
    assert firsts == {"0", "1", "2", "3"}


def test_the_one_used_longest_ago_makes_room() -> None:
    uses = {"old": 1, "new": 2, "elsewhere": 0}
    assert makes_room(["new", "old"], [], uses) == "old"
    assert makes_room(["new", "old"], ["old"], uses) == "new"
    assert makes_room(["new", "old"], ["old", "new"], uses) is None
    assert makes_room(["a stranger's"], [], uses) is None


def test_an_account_is_in_the_name_that_engines_know_its_adapter_by() -> None:
    mine, theirs = replace(ADAPTER, account_id=7), replace(ADAPTER, account_id=8)
    assert len({ADAPTER.engine_name, mine.engine_name, theirs.engine_name}) == 3
    assert ADAPTER.engine_name == "lora"
    assert is_held(mine, [BASE, replace(LISTED, id=mine.engine_name)])
    assert not is_held(mine, [BASE, LISTED])
    assert not is_held(mine, [BASE, replace(LISTED, id=theirs.engine_name)])


def test_an_accounts_adapter_that_is_no_more_makes_room_first() -> None:
    left_over = replace(ADAPTER, account_id=9).engine_name
    assert makes_room(["old", left_over], [], {"old": 1}) == left_over
    assert makes_room([left_over], [left_over], {}) is None


def test_an_adapter_comes_to_one_more_engine_when_all_of_its_own_have_a_queue() -> None:
    many = BUSY_REQUESTS
    assert wants_another([many, 3 * many], [many, many // 2])
    assert not wants_another([many, 1], [0])  # one of its own has little to do
    assert not wants_another([many - 1], [0])  # that is no queue
    assert not wants_another([many], [many // 2 + 1])
    assert not wants_another([many], [])
    assert not wants_another([], [0])
