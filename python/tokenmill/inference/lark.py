"""Grammars for llguidance, which the embedded engine decodes by: Lark out of the compiler's EBNF.

A translation of the text as the compiler writes it: a rule a line, literals, classes, names. A rule
that ends in itself becomes a repetition, for llguidance bounds how deep its parser may recur. Pure.
"""

import json
import re
from collections.abc import Sequence
from functools import lru_cache

from tokenmill.inference.call_grammar import OPEN_MARK, CallRule, call_parts, renamed

TEXT_BYTES_MAX = 128 * 1024
"""Of EBNF that is translated, on the event loop; the engine bounds what it takes as well."""

_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*"'  # a literal
    r"|\[(?:[^\]\\]|\\.)*\]"  # a class
    r"|[A-Za-z_][A-Za-z0-9_]*"  # a rule
    r"|\{[0-9,]+\}|[|()*+?]|\s+"
)
_HINTED = re.compile(r"\((.*)\) \(= \[(?:[^\]\\]|\\.)*\]\)")
"""Alternatives with a hint on what follows them: true of every text, and xgrammar's alone."""
_ESCAPE = re.compile(r"\\(?:u([0-9a-f]{4})|U([0-9a-f]{8})|(.))")
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t"}

# Text up to the mark of a call is taken as such: past the mark only a call of the grammar follows.
_FREE_TEXT = f"""start: (marked)* TEXT?
TEXT: /(.|\\n)+/
mark[lazy]: /(.|\\n)*{OPEN_MARK}/
"""


@lru_cache(maxsize=256)
def lark(ebnf: str) -> str:
    """The grammar `ebnf` as Lark; its start rule is `start`. Cost: O(text), kept."""
    return "".join(_rule(line) for line in ebnf.splitlines())


def calls_lark(tools: Sequence[CallRule]) -> str:
    """An answer in free text in which each call's arguments keep to their grammar."""
    marked = []
    rules = [_FREE_TEXT]
    for index, tool in enumerate(tools):
        opening, closing = call_parts(tool.name)
        opening = opening.removeprefix(OPEN_MARK)
        marked.append(f"mark {_quoted(opening)} t{index}_root {_quoted(closing)}")
        rules.append(lark(renamed(tool.arguments, f"t{index}_")))
    return "".join([*rules, "marked: ", " | ".join(marked), "\n"])


def _rule(line: str) -> str:
    name, body = line.split(" ::= ", 1)
    if hinted := _HINTED.fullmatch(body):
        body = hinted[1]
    alternatives: list[list[str]] = [[]]
    depth = 0
    for token in (met[0] for met in _TOKEN.finditer(body)):
        depth += (token == "(") - (token == ")")
        if token == "|" and depth == 0:
            alternatives.append([])
        elif not token.isspace():
            alternatives[-1].append(_translated(token))
    return f"{_name(name)}: {_looped(_name(name), alternatives)}\n"


def _looped(name: str, alternatives: list[list[str]]) -> str:
    """The alternatives; those that end in the rule itself as a repetition before the others."""
    again = [each[:-1] for each in alternatives if each[-1:] == [name]]
    last = [each for each in alternatives if each[-1:] != [name]]
    if not again or not all(again) or any(name in each for each in again + last):
        return _joined(alternatives)
    return f"({_joined(again)})* ({_joined(last)})"


def _joined(alternatives: list[list[str]]) -> str:
    return " | ".join(" ".join(each) for each in alternatives)


def _translated(token: str) -> str:
    if token[0] == '"':
        return _quoted(_ESCAPE.sub(_character, token[1:-1]))
    if token[0] == "[":
        return "/[" + _ESCAPE.sub(_in_class, token[1:-1]) + "]/"
    return _name(token) if token[0].isalpha() else token


def _name(rule: str) -> str:
    return "start" if rule == "root" else rule


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _character(met: re.Match[str]) -> str:
    if code := met[1] or met[2]:
        return chr(int(code, 16))
    return _CONTROLS.get(met[3], met[3])


def _in_class(met: re.Match[str]) -> str:
    if code := met[1] or met[2]:
        return f"\\u{{{int(code, 16):x}}}"
    return "\\" + met[3]
