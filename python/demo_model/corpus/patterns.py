"""Question patterns: `{a|b|}` stands for one of its alternatives; they may be nested."""

import random
import re

CHOICE = re.compile(r"\{([^{}]*)\}")
BLANKS = re.compile(r" {2,}")


def expand(pattern: str, rng: random.Random) -> str:
    """One sentence of the pattern.

    Raises: ValueError, if a brace has no partner.
    """
    while match := CHOICE.search(pattern):
        chosen = rng.choice(match.group(1).split("|"))
        pattern = pattern[: match.start()] + chosen + pattern[match.end() :]
    if "{" in pattern or "}" in pattern:
        raise ValueError(f"a brace without a partner: {pattern}")
    return BLANKS.sub(" ", pattern).strip()
