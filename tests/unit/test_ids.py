"""Identifiers are random, well formed and never the same twice."""

import re

from tokenmill.ids import BASE62, base62, request_id


def test_request_ids_are_well_formed_and_differ() -> None:
    made = [request_id() for _ in range(1_000)]
    assert len(set(made)) == 1_000
    assert all(re.fullmatch(r"req_[0-9a-f]{24}", each) for each in made)


def test_base62_has_the_length_and_the_characters() -> None:
    text = base62(500)
    assert len(text) == 500
    assert set(text) <= set(BASE62)
    assert len(set(text)) > 40
