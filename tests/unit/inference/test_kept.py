"""The least recently used makes room, and what is kept stays within its bytes."""

from tokenmill.inference.kept import Kept


def make(bytes_max: int) -> Kept[str, str]:
    return Kept(bytes_max, lambda key, value: len(key) + len(value))


def test_the_least_recently_used_makes_room() -> None:
    kept = make(6)
    for key in "abc":
        kept.keep(key, key)
    assert kept.find("a") == "a"
    kept.keep("d", "d")
    assert [kept.find(key) for key in "abcd"] == ["a", None, "c", "d"]
    assert kept.bytes == 6


def test_an_entry_that_is_replaced_is_counted_once() -> None:
    kept = make(9)
    kept.keep("a", "long")
    kept.keep("a", "b")
    assert kept.find("a") == "b"
    assert kept.bytes == 2


def test_what_is_larger_than_all_room_is_not_kept() -> None:
    kept = make(3)
    kept.keep("a", "far too long")
    assert kept.find("a") is None
    assert kept.bytes == 0
