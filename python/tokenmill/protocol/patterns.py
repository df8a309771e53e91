"""How much a regular expression may cost whoever builds its automaton, by a look at its text. Pure.

Bounded repetitions are copies: beside each other they add up, inside each other they multiply, and
a counter inside a counter is where building takes seconds. Syntax is judged elsewhere.
"""

import re

SIZE_MAX = 6_000
"""Copies of characters, all repetitions written out."""
NESTED_SIZE_MAX = 1_000
"""The same, of a repetition inside a repetition."""
_PROPERTY_SIZE = 40
"""A class such as `\\p{L}` holds hundreds of ranges."""

_PIECE = re.compile(
    r"\\[pP]\{[^}]*\}|\\.|\[(?:[^\]\\]|\\.)*\]|\{(?P<low>\d+)(?P<comma>,)?(?P<high>\d+)?\}|.",
    re.S,
)


class _Group:
    """What stands between two parentheses: its size, and that of its last part."""

    def __init__(self) -> None:
        self.size = self.last = 0
        self.is_counted = self.is_last_counted = False

    def add(self, size: int, *, is_counted: bool) -> None:
        self.size += size
        self.last, self.is_last_counted = size, is_counted
        self.is_counted |= is_counted

    def repeat(self, times: int) -> int:
        """The size that counters inside counters now have; 0 where there are none."""
        size = self.last * times
        nested = size if self.is_last_counted else 0
        self.size += size - self.last
        self.last, self.is_last_counted = size, self.is_last_counted or times > 1
        self.is_counted |= self.is_last_counted
        return nested


def is_costly(pattern: str) -> bool:
    """Whether a pattern's repetitions are more than may be built. Cost: O(pattern)."""
    groups = [_Group()]
    for met in _PIECE.finditer(pattern):
        piece, group = met[0], groups[-1]
        if piece == "(":
            groups.append(_Group())
        elif piece == ")" and len(groups) > 1:
            inner = groups.pop()
            groups[-1].add(inner.size, is_counted=inner.is_counted)
        elif met["low"] is not None:
            times = max(int(met["high"] or 0), int(met["low"]), 1)
            if group.repeat(times) > NESTED_SIZE_MAX:
                return True
        elif piece not in "*+?|)^$":
            size = _PROPERTY_SIZE if piece[:2] in ("\\p", "\\P") else 1
            group.add(size, is_counted=False)
        if sum(each.size for each in groups) > SIZE_MAX:
            return True
    return False
