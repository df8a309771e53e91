"""What several integration tests stand on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.dashboard import Dashboard, Tenant, open_dashboard
from tokenmill.database.upgrade import open_database


@pytest.fixture
def dashboard(tmp_path: Path) -> Iterator[Dashboard]:
    """Control's routes on an empty SQLite database."""
    database = open_database("", tmp_path)
    with open_dashboard(database, tmp_path) as opened:
        yield opened
    database.close()


@pytest.fixture
def acme(dashboard: Dashboard) -> Tenant:
    """An account like any."""
    return dashboard.tenant("acme")


@pytest.fixture
def operator(dashboard: Dashboard) -> Tenant:
    """Who may change everything."""
    tenant = dashboard.tenant("house", "internal")
    tenant.token = tenant.make("operator").secret
    return tenant
