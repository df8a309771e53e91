"""Regular expressions by what their repetitions cost."""

import pytest

from tokenmill.protocol.patterns import is_costly


@pytest.mark.parametrize(
    ("pattern", "costs"),
    [
        (r"^[a-z]{1,63}(\.[a-z]{1,63}){0,8}$", False),  # a host name
        (r"^\d{4}-\d{2}-\d{2}$", False),
        (r"(a+)+b", False),  # an automaton does not go back
        (r"[a-z]{1,5000}", False),
        (r"\p{L}{1,100}", False),
        (r"(\{9999\}|[{9999}]){2}", False),  # braces that repeat nothing
        (r"x{0,7000}", True),
        (r"[a-z]{5000}[0-9]{5000}", True),
        (r"\p{L}{300}", True),
        (r"([a-f]{1,90}){1,90}", True),
        (r"((a{1,50}){1,50}){1,50}", True),
        (r"(x.{0,400}y){9}", True),
        (r"(((((", False),
        (r")){3}", False),
        (r"{99999}", False),
    ],
)
def test_counters_inside_counters_and_very_long_ones_are_costly(pattern: str, costs: bool) -> None:
    assert is_costly(pattern) is costs
