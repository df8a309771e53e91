"""What a schema that is only told to the model speaks of."""

import pytest

from tokenmill.inference.structure import _is_object


@pytest.mark.parametrize(
    ("schema", "wanted"),
    [
        (b'{"type": "object", "properties": {"a": {"pattern": "x"}}}', True),
        (b'{"type": "object"}', True),
        (b'{"properties": {}}', True),  # says nothing of other kinds, and means objects
        (b'{"type": "array", "properties": {}}', False),
        (b'{"type": ["object", "null"]}', False),
        (b"{}", False),
        (b"true", False),
    ],
)
def test_a_schema_of_an_object_is_known(schema: bytes, wanted: bool) -> None:
    assert _is_object(schema) is wanted
