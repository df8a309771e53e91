"""Spans of time as people write them: `30d`, `12h`, `90m`, `45s`. Pure."""

import re

_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"([0-9]{1,9})([smhdw])")


def parse_span_s(text: str) -> int:
    """The seconds of `text`. Raises: ValueError that says how it is written."""
    found = _SPAN.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(f"{text!r} is no span of time: write 45s, 90m, 12h, 30d or 4w")
    return int(found[1]) * _UNITS_S[found[2]]


def span_text(seconds: int) -> str:
    """`seconds` in its largest unit, rounded: `3 days`."""
    for unit, length_s in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        count = round(seconds / length_s)
        if count:
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{seconds} s"
