"""vLLM's own ways to constrain an answer, made safe before an engine sees them. Pure.

A choice becomes a grammar of its texts. A regex is handed on once our automata, whose states are
bounded, could be built for it: engines build theirs on shared threads and without a bound.
"""

import json
import re
from collections.abc import Sequence

from tokenmill.errors import InvalidRequest

REGEX_PATH = "structured_outputs.regex"
REGEX_TEXT_BYTES_MAX = 64 * 1024
"""Of a regex as a grammar; about 1,500 states, each of which costs an engine up to 40 ms."""

_LOOK = re.compile(r"\(\?(?:[=!]|<[=!])")


def choice_text(choices: Sequence[str]) -> str:
    """The grammar, in EBNF, of one of the texts."""
    return "root ::= " + " | ".join(f'"{_escaped(each)}"' for each in choices) + "\n"


def regex_schema(regex: str) -> bytes:
    """A schema whose strings are the regex's texts. Raises: InvalidRequest for what engines take
    and do not heed."""
    if _LOOK.search(regex):
        raise refused_regex("look-ahead and look-behind are not enforced by engines.")
    return json.dumps({"type": "string", "pattern": f"^(?:{regex})$"}).encode()


def refused_regex(why: str) -> InvalidRequest:
    """The refusal of a regex."""
    message = f"The regex in `{REGEX_PATH}` is refused: {why}"
    return InvalidRequest(message, param=REGEX_PATH, code="unsupported_schema")


def _escaped(text: str) -> str:
    """`text` inside a literal: what is not plain ASCII by its number."""
    return "".join(
        each if each.isascii() and each.isprintable() and each not in '"\\' else _by_number(each)
        for each in text
    )


def _by_number(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
