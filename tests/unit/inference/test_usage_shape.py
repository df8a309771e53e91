"""Which usage a stream's client sees."""

import pytest

from tokenmill._native import UsageShape
from tokenmill.inference.relaying import usage_shape
from tokenmill.protocol.generation import StreamOptions


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        (None, UsageShape.NONE),
        (StreamOptions(), UsageShape.NONE),
        (StreamOptions(include_usage=False, continuous_usage_stats=True), UsageShape.NONE),
        (StreamOptions(include_usage=True), UsageShape.FINAL),
        (StreamOptions(include_usage=True, continuous_usage_stats=True), UsageShape.CONTINUOUS),
    ],
)
def test_usage_is_shown_as_it_was_asked_for(
    options: StreamOptions | None, shape: UsageShape
) -> None:
    assert usage_shape(options) == shape
