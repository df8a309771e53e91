"""The tool call parser, case by case; the property test has its law."""

import pytest

from tokenmill.engines.embedded.tool_parser import Call, ToolCallParser, parse_call

PARIS = '{"name": "get_weather", "arguments": {"location": "Paris"}}'


def read(*pieces: str) -> list[str | Call]:
    parser = ToolCallParser()
    return [each for piece in pieces for each in parser.feed(piece)] + parser.finish()


def test_a_call_is_found_with_its_arguments_as_they_were_written() -> None:
    assert read(f"<tool_call>\n{PARIS}\n</tool_call>") == [
        Call("get_weather", '{"location": "Paris"}')
    ]


def test_text_before_a_call_is_told_before_it() -> None:
    assert read("Let me look. ", f"<tool_call>{PARIS}</tool_call>")[0] == "Let me look. "


def test_text_is_not_held_back_longer_than_a_tag_may_take() -> None:
    parser = ToolCallParser()
    assert parser.feed("a < b <tool") == ["a < b "]
    assert parser.feed("box") == ["<toolbox"]


def test_blanks_between_two_calls_belong_to_neither() -> None:
    found = read(f"<tool_call>{PARIS}</tool_call>\n\n<tool_call>{PARIS}</tool_call>\n")
    assert found == [Call("get_weather", '{"location": "Paris"}')] * 2


def test_what_only_looks_like_a_call_comes_out_as_text() -> None:
    assert read("<tool_call>oops</tool_call>") == ["<tool_call>oops</tool_call>"]


def test_a_call_whose_closing_tag_never_came_counts_if_it_is_whole() -> None:
    assert read("<tool_call>\n", PARIS) == [Call("get_weather", '{"location": "Paris"}')]


def test_a_call_that_was_cut_off_comes_out_as_text() -> None:
    assert read("<tool_call>\n", PARIS[:20]) == ["<tool_call>\n" + PARIS[:20]]


@pytest.mark.parametrize(
    ("body", "arguments"),
    [
        ('{"name": "a"}', "{}"),  # a function without arguments
        ('{"name": "a", "arguments": "{\\"b\\": 1}"}', '{"b": 1}'),  # written into a string
        ('{"name": "a", "arguments": {"b":1,  "c":2}}', '{"b":1,  "c":2}'),  # bytes are kept
    ],
)
def test_arguments_are_the_text_of_an_object(body: str, arguments: str) -> None:
    assert parse_call(body) == Call("a", arguments)


@pytest.mark.parametrize(
    "body",
    [
        '{"arguments": {}}',  # nobody is called
        '{"name": "", "arguments": {}}',
        '{"name": "a", "arguments": [1]}',  # arguments are an object
        '{"name": "a", "arguments": "x"}',
        '["a"]',
        "[" * 5_000,  # deeper than Python reads
    ],
)
def test_other_json_is_no_call(body: str) -> None:
    assert parse_call(body) is None
