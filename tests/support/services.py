"""Services that some tests need and a machine may lack: skipped with advice, or failed on demand.

TOKENMILL_REQUIRE names, with commas, what has to be there (`redis,postgresql,node`): a test that
misses one of those fails, so that continuous integration never skips what it is meant to try.
"""

import os
from typing import NoReturn

import pytest


def require(name: str, reason: str) -> NoReturn:
    """The running test needs service `name` and hasn't got it; `reason` says what to install."""
    message = f"{name} is missing: {reason}"
    if name in required_services(os.environ.get("TOKENMILL_REQUIRE", "")):
        pytest.fail(f"{message} (TOKENMILL_REQUIRE asks for it)", pytrace=False)
    pytest.skip(message)


def required_services(setting: str) -> set[str]:
    """The names in `setting`."""
    return {name.strip() for name in setting.split(",") if name.strip()}
