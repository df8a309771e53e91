"""`tokenmill grammar …` prints grammars, and refuses by place and keyword."""

import json

from click.testing import CliRunner

from tokenmill.grammar.commands import grammar


def run(arguments: list[str], schema: str) -> tuple[int, str]:
    result = CliRunner().invoke(grammar, [*arguments, "-"], input=schema)
    return result.exit_code, result.output


def test_compile_prints_the_grammar() -> None:
    code, output = run(["compile"], '{"const": "a"}')
    assert (code, output) == (0, 'root ::= "\\"a\\""\n')


def test_check_lists_what_asserts_nothing() -> None:
    code, output = run(["check"], '{"format": "shoe-size"}')
    assert code == 0
    assert "asserts nothing: '#' format: shoe-size" in output


def test_a_refusal_names_pointer_and_keyword() -> None:
    code, output = run(["compile"], '{"items": {"minimum": "1"}}')
    assert code == 1
    assert "invalid at '#/items', keyword 'minimum'" in output


def test_explain_shows_each_stage() -> None:
    for stage in ("references", "form", "text"):
        code, output = run(["explain", "--stage", stage], '{"type": "null"}')
        assert code == 0 and output.strip()


def test_closed_objects_refuse_undeclared_names() -> None:
    code, output = run(["compile", "--closed"], '{"type": "object", "properties": {"a": false}}')
    assert code == 0
    assert output == 'root ::= "{}"\n'


def test_samples_are_documents_of_the_schema() -> None:
    schema = '{"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"]}'
    code, output = run(["sample", "--count", "20", "--seed", "3", "--closed"], schema)
    assert code == 0
    assert {json.loads(line)["a"] for line in output.splitlines()} == {1, 2}
    assert run(["sample", "--count", "20", "--seed", "3", "--closed"], schema) == (0, output)
    assert run(["sample"], '{"enum": []}')[0] == 1
