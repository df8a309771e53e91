"""Fixtures that several rooms share. They only build; facts stand in the tests."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.house import House, run_house, scratch_folder
from tests.support.postgresql import PostgresqlServer, postgresql_server
from tests.support.real_vllm import (
    chat_vllm,
    come_first,
    embed_vllm,
    end_after_last_use,
    shared_vllm_house,
    vllm_house,
    vllm_servers,
)
from tests.support.redis_server import RedisServer, shared_redis
from tokenmill._native import Segment
from tokenmill.database.connection import Database
from tokenmill.database.upgrade import open_database
from tokenmill.state_folder import segment_path

__all__ = ["chat_vllm", "embed_vllm", "shared_vllm_house", "vllm_house", "vllm_servers"]

# How long an example takes says something of the machine alone.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    come_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """In several processes, one of them runs what shares a vLLM."""
    from tests.support.spread import FilesAndServers

    return FilesAndServers(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    end_after_last_use(item, nextitem)


@pytest.fixture(scope="session", name="postgresql")
def _postgresql() -> Iterator[PostgresqlServer]:
    """A running PostgreSQL."""
    with postgresql_server() as server:
        yield server


@pytest.fixture(scope="session", name="redis")
def _redis() -> Iterator[RedisServer]:
    """A running Redis, which several tests share."""
    with shared_redis() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty database of each kind; empty for the file in the state folder."""
    with ExitStack() as opened:
        if request.param == "sqlite":
            yield ""
        else:
            server: PostgresqlServer = request.getfixturevalue("postgresql")
            yield opened.enter_context(server.empty_database())


@pytest.fixture
def database(database_url: str, tmp_path: Path) -> Iterator[Database]:
    """An open database of each kind, with tables."""
    opened = open_database(database_url, tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def shared_database(postgresql: PostgresqlServer, tmp_path: Path) -> Iterator[Database]:
    """An open database that more than one house may open, with tables."""
    with postgresql.empty_database() as url:
        opened = open_database(url, tmp_path)
        yield opened
        opened.close()


@pytest.fixture
def segment(tmp_path: Path) -> Segment:
    """A small hot segment in the test's folder."""
    path = str(segment_path(tmp_path))
    return Segment.create(path, keys_max=1_000, workers_max=4, engines_max=4)


@pytest.fixture(scope="session", name="house")
def _house() -> Iterator[House]:
    """A house on the embedded engine, as `tokenmill up` starts it; shared, so nobody breaks it."""
    with scratch_folder() as folder, run_house(folder) as running:
        yield running
