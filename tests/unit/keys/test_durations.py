"""Spans of time as people write and read them."""

import pytest

from tokenmill.keys.durations import parse_span_s, span_text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("45s", 45), ("90m", 5_400), ("12h", 43_200), ("30d", 2_592_000), ("2W", 1_209_600)],
)
def test_spans_are_read(text: str, seconds: int) -> None:
    assert parse_span_s(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1.5h", "1 d", "1y", "9999999999s", "١d"])
def test_what_is_no_span_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="write 45s, 90m"):
        parse_span_s(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (29, "29 s"),
        (60, "1 minute"),
        (7_199, "2 hours"),  # a second after it was made for two hours
        (86_400, "1 day"),
        (90 * 86_400 - 1, "90 days"),
    ],
)
def test_spans_are_told_in_their_largest_unit(seconds: int, text: str) -> None:
    assert span_text(seconds) == text
