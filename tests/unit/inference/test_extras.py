"""Choices as a grammar, and regexes that engines would not heed."""

import pytest

from tests.support.grammar_matcher import GrammarMatcher
from tokenmill._native import choice_text
from tokenmill.errors import InvalidRequest
from tokenmill.inference.extras import regex_schema

CHOICES = ["yes", 'a "quote"', "back\\slash", "line\nfeed", "naïve 你好 🦀", "[x] | y"]


def test_exactly_the_choices_are_accepted() -> None:
    matcher = GrammarMatcher(choice_text(CHOICES))
    assert all(matcher.accepts(each.encode()) for each in CHOICES)
    assert not any(matcher.accepts(each) for each in (b"", b"no", b"yesyes", b'a \\"quote\\"'))


def test_a_regex_is_taken_as_a_whole() -> None:
    assert regex_schema("a|b") == b'{"type": "string", "pattern": "^(?:a|b)$"}'


@pytest.mark.parametrize("regex", ["a(?=b)", "(?!x)y", "(?<=a)b", "(?<!a)b"])
def test_what_engines_do_not_heed_is_refused(regex: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        regex_schema(regex)
    assert refusal.value.param == "structured_outputs.regex"
