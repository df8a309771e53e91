"""vLLM's own ways to constrain an answer, made safe before an engine sees them. Pure.

A regex is handed on once our automata, whose states are bounded, could be built for it: engines
build theirs on shared threads and without a bound.
"""

import json
import re

from tokenmill.errors import InvalidRequest

REGEX_PATH = "structured_outputs.regex"
REGEX_TEXT_BYTES_MAX = 64 * 1024
"""Of a regex as a grammar; about 1,500 states, each of which costs an engine up to 40 ms."""

_LOOK = re.compile(r"\(\?(?:[=!]|<[=!])")
_ESCAPE_CLASS_OR_PARENTHESIS = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]|[()]", re.DOTALL)


def regex_schema(regex: str) -> bytes:
    """A schema whose strings are the regex's texts. Raises: InvalidRequest for what engines take
    and do not heed."""
    if _LOOK.search(regex):
        raise refused_regex("look-ahead and look-behind are not enforced by engines.")
    if _closes_too_much(regex):
        raise refused_regex(f"'{regex}' closes a group that is not open.")
    return json.dumps({"type": "string", "pattern": _whole(regex)}).encode()


def reason_of(regex: str, why: str) -> str:
    """Why the regex's schema has no grammar, in the words of who asked for the regex."""
    return why.replace(_whole(regex), regex)


def _whole(regex: str) -> str:
    return f"^(?:{regex})$"


def _closes_too_much(regex: str) -> bool:
    """Whether it would end the group that it is put into."""
    depth = 0
    for found in _ESCAPE_CLASS_OR_PARENTHESIS.finditer(regex):
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if depth < 0:
            return True
    return False


def refused_regex(why: str) -> InvalidRequest:
    """The refusal of a regex."""
    message = f"The regex in `{REGEX_PATH}` is refused: {why}"
    return InvalidRequest(message, param=REGEX_PATH, code="unsupported_schema")
