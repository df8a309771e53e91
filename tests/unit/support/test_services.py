"""The tool that skips or fails tests for want of a service."""

import pytest

from tests.support.services import require, required_services


def test_a_missing_service_skips_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENMILL_REQUIRE", "node")
    with pytest.raises(pytest.skip.Exception, match="redis is missing: install it"):
        require("redis", "install it")


def test_a_required_service_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENMILL_REQUIRE", "node, redis")
    with pytest.raises(pytest.fail.Exception, match="TOKENMILL_REQUIRE asks for it"):
        require("redis", "install it")


def test_names_are_separated_by_commas() -> None:
    assert required_services(" a, b,,") == {"a", "b"}
