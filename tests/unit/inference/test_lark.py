"""EBNF as the compiler writes it, as Lark."""

import pytest

from tokenmill.inference.call_grammar import CallRule
from tokenmill.inference.lark import calls_lark, lark


@pytest.mark.parametrize(
    ("ebnf", "wanted"),
    [
        (r'root ::= "{" r1', 'start: "{" r1\n'),
        (r'r1 ::= "\"a\":" " "? r2 | ""', 'r1: "\\"a\\":" " " ? r2 | ""\n'),
        (r'r1 ::= "\u00e9\U0001f980\\\n"', 'r1: "é🦀\\\\\\n"\n'),
        (
            r"r1 ::= [\u0020-\u0021\u005d-\ud7ffa-c] r2",
            "r1: /[\\u{20}-\\u{21}\\u{5d}-\\u{d7ff}a-c]/ r2\n",
        ),
        (r"r1 ::= [\u0022\\bfnrt] | [+\-]?", "r1: /[\\u{22}\\\\bfnrt]/ | /[+\\-]/ ?\n"),
        (
            r'r1 ::= "-"? ("0" | [1-9] [0-9]*) r3',
            'r1: "-" ? ( "0" | /[1-9]/ /[0-9]/ * ) r3\n',
        ),
        # a rule that ends in itself: its parser would go as deep as the string is long
        (r'r4 ::= "\"" | [a-z] r4 | r5 r4', 'r4: (/[a-z]/ | r5)* ("\\"")\n'),
        # with a hint on what follows
        (r'r4 ::= ("\"" | [a-z] r4) (= [:,}\]])', 'r4: (/[a-z]/)* ("\\"")\n'),
        # not only at its end
        (r'r4 ::= "x" | r4 r4', 'r4: "x" | r4 r4\n'),
        (r"r3 ::= [a-z]{2,3}", "r3: /[a-z]/ {2,3}\n"),
    ],
)
def test_a_rule_is_translated(ebnf: str, wanted: str) -> None:
    assert lark(ebnf) == wanted


def test_free_text_may_hold_calls_of_the_grammar() -> None:
    text = calls_lark([CallRule("f", 'root ::= "{}"\n')])
    assert text.startswith("start: (marked)* TEXT?\n")
    assert "mark[lazy]: /(.|\\n)*<tool_call>/\n" in text
    assert 't0_root: "{}"\n' in text
    assert 'mark "\\n{\\"name\\": \\"f\\", \\"arguments\\": " t0_root "}\\n</tool_call>"\n' in text
