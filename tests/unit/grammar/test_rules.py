"""Which engines know a grammar."""

from tokenmill.grammar.rules import SeenGrammars


def test_an_engine_knows_what_it_was_given() -> None:
    seen = SeenGrammars(8)
    seen.note(b"g", [0, 4_000])
    assert seen.missing(b"g", [0, 1, 4_000]) == [1]
    assert seen.missing(b"h", [0, 1]) == [0, 1]


def test_who_is_new_in_a_slot_knows_nothing() -> None:
    seen = SeenGrammars(8)
    for slot in (0, 1):
        seen.meet(slot, "first")
    seen.note(b"g", [0, 1])
    seen.meet(0, "second")
    seen.meet(1, "first")
    assert seen.missing(b"g", [0, 1]) == [0]


def test_what_was_noted_longest_ago_is_forgotten() -> None:
    seen = SeenGrammars(2)
    for digest in (b"a", b"b", b"a", b"c"):
        seen.note(digest, [0])
    assert [seen.missing(digest, [0]) for digest in (b"a", b"b", b"c")] == [[], [0], []]
