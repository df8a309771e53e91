"""Law: the compiler never panics; what it makes is the same each time, xgrammar reads it, and a
text that its grammar derives validates against the schema."""

import json
import random
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.grammar_matcher import GrammarMatcher
from tokenmill import grammar

names = st.sampled_from(["a", "b", "ab", "", "é"])
counts = st.integers(0, 4)
numbers = st.integers(-20, 20) | st.sampled_from([0.5, -1.25, 2.75])
constants = st.none() | st.booleans() | numbers | st.text('ab\n"', max_size=3)
patterns = st.sampled_from(["^a", "b$", "^[ab]*$", "a.b", "^(?!a)", "\\d+", "^$|^x"])
types = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])
formats = st.sampled_from(["date", "time", "ipv4", "uuid", "email", "uri", "hostname"])


def keywords(schemas: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    lists = st.lists(schemas, min_size=1, max_size=3)
    maps = st.dictionaries(names, schemas, max_size=3)
    optional: dict[str, st.SearchStrategy[Any]] = {
        "type": types | st.lists(types, min_size=1, max_size=2, unique=True),
        "enum": st.lists(constants, min_size=1, max_size=4),
        "const": constants,
        "minimum": numbers,
        "exclusiveMaximum": numbers,
        "multipleOf": st.sampled_from([1, 2, 3, 0.5, 0.1]),
        "minLength": counts,
        "maxLength": counts,
        "pattern": patterns,
        "format": formats,
        "properties": maps,
        "patternProperties": st.dictionaries(patterns, schemas, max_size=2),
        "additionalProperties": schemas,
        "propertyNames": schemas,
        "required": st.lists(names, max_size=2, unique=True),
        "minProperties": counts,
        "maxProperties": counts,
        "dependentRequired": st.dictionaries(names, st.lists(names, max_size=2, unique=True)),
        "dependentSchemas": maps,
        "items": schemas,
        "prefixItems": lists,
        "contains": schemas,
        "minContains": counts,
        "maxContains": counts,
        "minItems": counts,
        "maxItems": counts,
        "uniqueItems": st.booleans(),
        "allOf": lists,
        "anyOf": lists,
        "oneOf": lists,
        "not": schemas,
        "if": schemas,
        "then": schemas,
        "else": schemas,
        "unevaluatedProperties": schemas,
        "unevaluatedItems": schemas,
    }
    chosen = st.lists(st.sampled_from(sorted(optional)), min_size=1, max_size=3, unique=True)
    return chosen.flatmap(lambda keys: st.fixed_dictionaries({key: optional[key] for key in keys}))


schemas = st.recursive(st.booleans() | st.just({}), keywords, max_leaves=8)


@pytest.mark.timeout(300)
@settings(max_examples=300, deadline=None)
@given(schemas, st.integers(0, 2**32))
@example({"contains": {"const": None}, "maxContains": 0}, 0)  # one is demanded and none allowed
def test_derived_texts_validate(schema: Any, seed: int) -> None:
    text = json.dumps(schema).encode()
    made = grammar.compile(text)
    again = grammar.compile(text)
    if isinstance(made, grammar.SchemaRefusal):
        assert isinstance(again, grammar.SchemaRefusal) and str(made) == str(again)
        return
    assert isinstance(again, grammar.CompiledSchema) and made.text == again.text
    matcher = GrammarMatcher(made.text)
    validator = jsonschema_rs.validator_for(schema, validate_formats=True)
    for drawn in grammar.sample(made, seed, 10, steps_max=60):
        assert validator.is_valid(json.loads(drawn)), (schema, drawn)
    chance = random.Random(seed)
    for _ in range(3):
        derived = matcher.walk(chance)
        if derived is not None:
            assert validator.is_valid(json.loads(derived)), (schema, derived)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_compiled_or_refused(text: bytes) -> None:
    made = grammar.compile(text)
    assert isinstance(made, grammar.CompiledSchema | grammar.SchemaRefusal)
