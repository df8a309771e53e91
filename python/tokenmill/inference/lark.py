"""Grammars for llguidance, which the embedded engine decodes by: calls in free text, in Lark.

The translation of the compiler's text is native; this puts translations together. Pure.
"""

import json
from collections.abc import Sequence

from tokenmill._native import lark_text, rename_rules
from tokenmill.inference.call_grammar import OPEN_MARK, CallRule, call_parts

TEXT_BYTES_MAX = 128 * 1024
"""Of EBNF that is translated, on the event loop: a millisecond. The engine has a bound as well."""

# Text up to the mark of a call is taken as such: past the mark only a call of the grammar follows.
_FREE_TEXT = f"""start: (marked)* TEXT?
TEXT: /(.|\\n)+/
mark[lazy]: /(.|\\n)*{OPEN_MARK}/
"""


def calls_lark(tools: Sequence[CallRule]) -> str:
    """An answer in free text in which each call's arguments keep to their grammar."""
    marked = []
    rules = [_FREE_TEXT]
    for index, tool in enumerate(tools):
        opening, closing = call_parts(tool.name)
        opening = opening.removeprefix(OPEN_MARK)
        marked.append(f"mark {_quoted(opening)} t{index}_root {_quoted(closing)}")
        rules.append(lark_text(rename_rules(tool.arguments, f"t{index}_")))
    return "".join([*rules, "marked: ", " | ".join(marked), "\n"])


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
