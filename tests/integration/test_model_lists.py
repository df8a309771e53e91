"""Which models a key may use: the file between control, which writes, and workers, which read."""

import stat
from pathlib import Path

from tokenmill.keys.model_lists import FILE_NAME, ModelLists


def test_a_worker_learns_of_a_list_when_it_meets_the_key(tmp_path: Path) -> None:
    control, worker = ModelLists(tmp_path), ModelLists(tmp_path)
    assert worker.models_of(1) == frozenset()
    control.put(1, ["a", "b"])
    assert worker.models_of(1) == {"a", "b"}
    control.put(2, ["c"])
    assert (worker.models_of(1), worker.models_of(2)) == ({"a", "b"}, {"c"})


def test_an_unknown_key_with_a_list_may_use_nothing(tmp_path: Path) -> None:
    ModelLists(tmp_path).put(1, ["a"])
    assert ModelLists(tmp_path).models_of(9) == frozenset()
    (tmp_path / FILE_NAME).write_bytes(b"{")
    assert ModelLists(tmp_path).models_of(1) == frozenset()


def test_the_file_is_private_and_made_only_where_there_is_a_list(tmp_path: Path) -> None:
    lists = ModelLists(tmp_path)
    lists.replace({})
    assert not (tmp_path / FILE_NAME).exists()
    lists.replace({1: ("a",)})
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    lists.replace({})
    assert ModelLists(tmp_path).models_of(1) == frozenset()
