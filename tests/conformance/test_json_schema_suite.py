"""The official JSON-Schema-Test-Suite, through the grammar and xgrammar's own matcher.

Soundness is absolute: no instance that the suite calls invalid is accepted, whatever the order of
its keys or the separators. Completeness has a floor for each draft: groups compiled, and groups
without a single wrong verdict.
"""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.grammar_matcher import GrammarMatcher
from tokenmill import grammar

SUITE = Path(__file__).parents[2].parent / "shared/data/json-schema-test-suite"
# Groups outside the core: optional behaviour, formats as annotations, remote documents.
OUTSIDE = ("optional", "format", "refRemote", "vocabulary")
# The suite's older drafts leave `$schema` out, which would mean 2020-12.
DRAFTS = {
    "draft2020-12": ("https://json-schema.org/draft/2020-12/schema", 0.93, 0.90),
    "draft2019-09": ("https://json-schema.org/draft/2019-09/schema", 0.93, 0.90),
    "draft7": ("http://json-schema.org/draft-07/schema#", 0.90, 0.85),
    "draft6": ("http://json-schema.org/draft-06/schema#", 0.90, 0.85),
    "draft4": ("http://json-schema.org/draft-04/schema#", 0.88, 0.84),
}

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not SUITE.is_dir(), reason="the suite does not lie beside the checkout"),
]


def groups(draft: str) -> Iterator[dict[str, Any]]:
    with (SUITE / f"testsuite_{draft}.jsonl").open() as lines:
        for line in lines:
            group = json.loads(line)
            if not group["split"].startswith(OUTSIDE):
                yield group


def spellings(data: Any) -> Iterator[bytes]:
    """The serialisations of an instance: key orders of small objects, both separators."""
    orders = [data]
    if isinstance(data, dict) and len(data) <= 4:
        orders = [dict(order) for order in itertools.permutations(data.items())]
    for order in orders:
        for separators in ((",", ":"), (", ", ": ")):
            yield json.dumps(order, separators=separators, ensure_ascii=False).encode(
                "utf-8", "surrogatepass"
            )


def with_draft(schema: Any, uri: str) -> Any:
    return {"$schema": uri, **schema} if isinstance(schema, dict) else schema


@pytest.mark.timeout(300)
@pytest.mark.parametrize("draft", DRAFTS)
def test_the_suite_is_never_answered_too_widely(draft: str) -> None:
    uri, compiled_floor, perfect_floor = DRAFTS[draft]
    total = compiled = perfect = 0
    too_wide = []
    for group in groups(draft):
        total += 1
        made = grammar.compile(with_draft(group["schema"], uri))
        if isinstance(made, grammar.SchemaRefusal):
            assert made.reason
            continue
        compiled += 1
        matcher = GrammarMatcher(made.text)
        wrong = 0
        for test in group["tests"]:
            accepted = any(matcher.accepts(text) for text in spellings(test["data"]))
            wrong += accepted != test["valid"]
            if accepted and not test["valid"]:
                too_wide.append((group["id"], test["data"]))
        perfect += not wrong
    assert not too_wide
    assert compiled / total >= compiled_floor, f"{compiled} of {total} compiled"
    assert perfect / total >= perfect_floor, f"{perfect} of {total} perfect"
