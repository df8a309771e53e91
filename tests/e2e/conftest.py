"""Fixtures of the tests with whole houses: an engine that outlives them, and houses to break."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.house import House, run_house, scratch_folder
from tests.support.paced_engine import PacedEngine, paced_engine

StartHouse = Callable[..., House]


@pytest.fixture
def engine() -> Iterator[PacedEngine]:
    """An engine that streams a word each 20 ms."""
    with paced_engine() as running:
        yield running


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for one house."""
    with scratch_folder() as path:
        yield path


@pytest.fixture
def start_house(folder: Path, engine: PacedEngine) -> Iterator[StartHouse]:
    """Starts a house in front of the engine; it is ended after the test, whatever is left of it."""
    with ExitStack() as running:

        def start(*flags: str, **options: Any) -> House:
            return running.enter_context(
                run_house(folder, "--engine", engine.url, *flags, **options)
            )

        yield start
