"""One real house for all conformance tests of a run: the embedded engine with the demo model."""

from collections.abc import Iterator

import pytest

from tests.support.house import House, run_house


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house that serves the demo model and its embeddings."""
    with run_house(tmp_path_factory.mktemp("house")) as running:
        yield running
