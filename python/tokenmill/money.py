"""Amounts of money as text. Pure. Inside they are whole nanos: billionths of a dollar."""

import re

NANOS_PER_DOLLAR = 1_000_000_000

_DOLLARS = re.compile(r"\$?([0-9]{1,10})(?:\.([0-9]{1,9}))?")


def dollars_text(nanos: int) -> str:
    """Dollars as a decimal number, exact, with two to nine digits after the point: `-0.0000001`."""
    whole, part = divmod(abs(nanos), NANOS_PER_DOLLAR)
    digits = f"{part:09d}".rstrip("0").ljust(2, "0")
    return f"{'-' if nanos < 0 else ''}{whole}.{digits}"


def parse_dollars(text: str) -> int:
    """The nanos of `12`, `12.5` or `$0.000000001`. Raises: ValueError that says how it is
    written."""
    found = _DOLLARS.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no amount: write dollars as 25, 12.50 or 0.000000001")
    return int(found[1]) * NANOS_PER_DOLLAR + int((found[2] or "").ljust(9, "0") or 0)
