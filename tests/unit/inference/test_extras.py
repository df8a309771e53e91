"""Choices as a grammar, and regexes that engines would not heed."""

import pytest

from tests.support.grammar_matcher import GrammarMatcher
from tokenmill._native import choice_text
from tokenmill.errors import InvalidRequest
from tokenmill.inference.extras import reason_of, regex_schema

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


@pytest.mark.parametrize("regex", ["a)|(b", ")", "[(])(?:\\))c)"])
def test_a_regex_does_not_end_the_group_it_is_put_into(regex: str) -> None:
    with pytest.raises(InvalidRequest, match="closes a group that is not open"):
        regex_schema(regex)


@pytest.mark.parametrize("regex", ["(a)(b(c))", "[)]", "\\)", "[\\])]", "(a"])
def test_what_closes_its_own_groups_goes_on_to_the_compiler(regex: str) -> None:
    assert regex_schema(regex)


def test_a_reason_shows_the_regex_as_it_was_written() -> None:
    assert reason_of("(a", "'^(?:(a)$' is not ECMA-262") == "'(a' is not ECMA-262"
