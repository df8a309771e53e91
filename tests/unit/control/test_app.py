"""Control's app as it is wired, asked without a socket."""

import subprocess
import sys
from collections.abc import AsyncIterator
from importlib.util import find_spec

import httpx
import pytest

from tokenmill.control.app import create_app
from tokenmill.control.documentation.endpoints import DOCUMENTATION_ROUTES


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(admin=[], public=DOCUMENTATION_ROUTES)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://control") as made:
        yield made


@pytest.mark.parametrize("path", ["/docs", "/docs/docs.css", "/openapi.json"])
async def test_head_is_answered_like_get_without_the_body(
    client: httpx.AsyncClient, path: str
) -> None:
    got, asked = await client.get(path), await client.head(path)
    assert (asked.status_code, asked.content) == (200, b"")
    assert asked.headers["content-type"] == got.headers["content-type"]
    assert len(got.content) > 100
    assert "cache-control" not in got.headers  # the gateway says of every answer: no-store


async def test_a_wrong_method_is_told_the_right_ones(client: httpx.AsyncClient) -> None:
    answer = await client.put("/docs")
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) >= {"GET", "HEAD"}
    assert answer.json()["error"]["code"] == "method_not_allowed"
    assert answer.headers["allow"] in answer.json()["error"]["message"]


def test_a_library_that_is_only_installed_beside_us_is_not_imported() -> None:
    assert find_spec("pydantic"), "it comes with OpenAI's client"
    program = (
        "import sys; from tokenmill.control.app import create_app;"
        " create_app(admin=[], public=[]); sys.exit('pydantic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
