"""EBNF as the compiler writes it, as Lark."""

from tokenmill import grammar
from tokenmill._native import CompiledSchema, lark_text
from tokenmill.inference.call_grammar import CallRule
from tokenmill.inference.lark import calls_lark


def test_the_rules_of_a_grammar_are_translated() -> None:
    ebnf = 'root ::= "{" r1\nr1 ::= "\\"" | [a-z\\u00e9] r1\n'
    assert lark_text(ebnf) == 'start: "{" r1\nr1: (/[a-z\\u{e9}]/)* ("\\"")\n'


def test_hints_on_what_follows_are_left_out() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^[a-c]+$"}}}
    made = grammar.compile(schema)
    assert isinstance(made, CompiledSchema)
    assert "(= " in made.text
    assert "=" not in lark_text(made.text)


def test_free_text_may_hold_calls_of_the_grammar() -> None:
    text = calls_lark([CallRule("f", 'root ::= "{}"\n')])
    assert text.startswith("start: (marked)* TEXT?\n")
    assert "mark[lazy]: /(.|\\n)*<tool_call>/\n" in text
    assert 't0_root: "{}"\n' in text
    assert 'mark "\\n{\\"name\\": \\"f\\", \\"arguments\\": " t0_root "}\\n</tool_call>"\n' in text
