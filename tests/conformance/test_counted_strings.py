"""Strings of bounded length: counted exactly, and tokens of many characters are offered in them."""

import json
from itertools import product

import numpy as np
import pytest

from tests.support.grammar_matcher import GrammarMatcher, token_matcher
from tokenmill import grammar

COUNTS = [(0, 1), (0, 16), (0, 17), (0, 40), (1, 9), (5, 5), (3, 8), (17, 20), (20, 20), (40, 90)]
LETTERS = ["a", "é\n", '"\U0001f600b']


def _text_of(least: int, greatest: int) -> str:
    made = grammar.compile({"type": "string", "minLength": least, "maxLength": greatest})
    if isinstance(made, grammar.SchemaRefusal):
        pytest.fail(f"refused: {made}")
    return made.text


@pytest.mark.parametrize(("least", "greatest"), COUNTS)
def test_characters_are_counted(least: int, greatest: int) -> None:
    matcher = GrammarMatcher(_text_of(least, greatest))
    for length, letters in product(range(greatest + 3), LETTERS):
        value = (letters * length)[:length]
        text = json.dumps(value, ensure_ascii=False).encode()
        assert matcher.accepts(text) == (least <= length <= greatest), (length, letters)


@pytest.mark.parametrize(("least", "greatest"), COUNTS)
def test_no_token_is_offered_that_ends_too_late(least: int, greatest: int) -> None:
    words = [b"a" * length for length in range(1, 17)] + [b'a"', b'aaaa"']
    matcher, mask = token_matcher(_text_of(least, greatest), [b'"', *words])
    length, is_open = 0, False
    while True:
        mask.fill(-1)
        matcher.fill_next_token_bitmask(mask)
        bits = np.unpackbits(mask.view(np.uint8)[0], bitorder="little")[: len(words) + 1]
        offered = [words[token - 1] for token in bits.nonzero()[0] if token > 0]
        if is_open:
            assert all(length + word.count(b"a") <= greatest for word in offered)
            assert all(length + word.count(b"a") >= least for word in offered if b'"' in word)
            assert bool(bits[0]) == (length >= least)
            assert (b"a" in offered) == (length < greatest)
            # Far from both ends every word is offered, whatever its length.
            assert length + 16 > greatest or set(words[:16]) <= set(offered)
        if length == greatest:
            return
        assert matcher.accept_token(1 if is_open else 0)
        length, is_open = length + int(is_open), True


PATTERNS = [
    (r"^[^\s]{1,40}$", ["a", "é" * 40], ["", "a b", "a" * 41]),
    (r"^(?:\S+\s+){0,9}\S+$", ["a", "ab " * 9 + "c"], ["", " a", "a ", "ab " * 10 + "c"]),
    (r"^[A-Za-z][^<>]{0,30}\.[a-z]{2,9}$", ["a.de", 'A"\\\n.' + "z" * 9], ["a.d", "1.de", "a<.de"]),
    (r"^x.{20,30}y$", ["x" + "-" * 20 + "y"], ["x" + "-" * 19 + "y", "x" + "-" * 31 + "y"]),
]


@pytest.mark.parametrize(("pattern", "good", "bad"), PATTERNS)
def test_patterns_that_count_are_exact(pattern: str, good: list[str], bad: list[str]) -> None:
    made = grammar.compile({"type": "string", "pattern": pattern})
    if isinstance(made, grammar.SchemaRefusal):
        pytest.fail(f"refused: {made}")
    matcher = GrammarMatcher(made.text)
    for value in [*good, *bad]:
        text = json.dumps(value, ensure_ascii=False).encode()
        assert matcher.accepts(text) == (value in good), value


def test_tokens_of_a_sign_and_the_closing_mark_are_offered() -> None:
    made = grammar.compile({"type": "string"})
    if isinstance(made, grammar.SchemaRefusal):
        pytest.fail(f"refused: {made}")
    words = [b'"', b'."', b' "', b"a", b'a"']
    matcher, mask = token_matcher(made.text, words)
    assert matcher.accept_token(words.index(b'"'))
    assert matcher.accept_token(words.index(b"a"))
    matcher.fill_next_token_bitmask(mask)
    bits = np.unpackbits(mask.view(np.uint8)[0], bitorder="little")[: len(words)]
    assert bits.tolist() == [1, 1, 1, 1, 0]
