"""JSON Schema to grammar: what the grammar accepts validates against the schema.

The compiler is native and pure; this is its public face. It knows no engine and no HTTP: a refusal
is a value with pointer, keyword, reason and hint, and its callers put it into their own words.
"""

import json
from collections.abc import Mapping
from typing import Any

from tokenmill._native import (
    CompiledSchema,
    GrammarOptions,
    SchemaRefusal,
    compile_schema,
    explain_schema,
    prepare_grammars,
    sample_grammar,
)

__all__ = [
    "STAGES",
    "CompiledSchema",
    "GrammarOptions",
    "SchemaRefusal",
    "compile",
    "explain",
    "sample",
]

STAGES = ("references", "form", "text")

Schema = bytes | str | bool | Mapping[str, Any]

_DEFAULTS = GrammarOptions()

prepare_grammars()  # so that no schema is the first that needs the formats' automata


def compile(  # noqa: A001  (the package is called as a noun: tokenmill.grammar.compile)
    schema: Schema, options: GrammarOptions = _DEFAULTS
) -> CompiledSchema | SchemaRefusal:
    """The grammar of a schema, or why it has none. Texts are parsed as they are: numbers exact."""
    return compile_schema(_text(schema), options)


def explain(schema: Schema, stage: str, options: GrammarOptions = _DEFAULTS) -> str | SchemaRefusal:
    """What one of STAGES makes of a schema; for people, its layout is no contract."""
    return explain_schema(_text(schema), options, stage)


def sample(made: CompiledSchema, seed: int, count: int, *, steps_max: int = 200) -> list[str]:
    """Random documents of a grammar: the same for the same seed. After `steps_max` rules a document
    is ended the shortest way."""
    return sample_grammar(made.text, seed, count, steps_max)


def _text(schema: Schema) -> bytes:
    if isinstance(schema, bytes):
        return schema
    if isinstance(schema, str):
        return schema.encode()
    return json.dumps(schema, ensure_ascii=False).encode()
