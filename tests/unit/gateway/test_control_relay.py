"""No spelling of an address reaches control's private routes."""

import pytest

from tokenmill.errors import NotFound
from tokenmill.gateway.control_relay import checked_target


@pytest.mark.parametrize(
    ("path", "raw", "target"),
    [
        ("/", b"/", "/"),
        ("/docs", b"/docs", "/docs"),
        ("/docs/", b"/docs/", "/docs/"),
        ("/docs/a b", b"/docs/a%20b", "/docs/a%20b"),
        ("/controls", b"/controls", "/controls"),
        ("/docs/control/x", b"/docs/control/x", "/docs/control/x"),
        ("/docs", b"", "/docs"),
    ],
)
def test_plain_addresses_pass_as_they_were_written(path: str, raw: bytes, target: str) -> None:
    assert checked_target(path, raw) == target


@pytest.mark.parametrize(
    "path",
    [
        "/control",
        "/control/keys",
        "/CONTROL/keys",
        "/control /keys",
        "//control/keys",
        "/docs/../control/keys",
        "/./control/keys",
        "/docs//control",
        "/%63ontrol/keys",  # what is left of %2563ontrol
        "/..",
        "/docs\\..\\control",
        "/docs;/control",
        "/docs\n/control",
        "/\x00control",
        "control/keys",
        "",
    ],
)
def test_private_and_ambiguous_addresses_are_nothing(path: str) -> None:
    with pytest.raises(NotFound):
        checked_target(path, path.encode("latin-1"))
