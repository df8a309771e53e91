"""One real house for all conformance tests of a run: the embedded engine with the demo model."""

from collections.abc import Iterator

import pytest

from tests.support.house import House, run_house


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house that serves the demo model and its embeddings, by the names of OpenAI's suite too."""
    names = ("gpt-6-astra", "gpt-3.5-turbo-instruct")
    aliases = ",".join(f"{name}=tokenmill-demo" for name in names)
    folder = tmp_path_factory.mktemp("house")
    with run_house(folder, environment={"TOKENMILL_ALIASES": aliases}) as running:
        yield running
