"""What belongs to another account is a 404 on every route that can name it.

The dashboard's routes are asked in `test_dashboard_api.py`; here are those of inference, and the
proof that the document has no others.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.gateway import BEARER, HI, OTHER_SECRET, Gateway, running_gateway
from tests.support.scripted_upstream import ScriptedUpstream, whole
from tokenmill.control.documentation.endpoints import whole_document

STRANGER = "private"
"""A model on an engine of another account's."""

NAMING: dict[tuple[str, str], dict[str, object] | None] = {
    ("get", "/models/{model}"): None,
    ("post", "/chat/completions"): {"messages": HI},
    ("post", "/completions"): {"prompt": "Hi"},
    ("post", "/embeddings"): {"input": "Hi"},
}
"""Routes that name a model, and what else their bodies need."""

NAMELESS = {
    ("get", "/models"): "lists what the key can use",
    ("get", "/key"): "of the key itself",
    ("get", "/health"): "of the house",
    ("get", "/livez"): "of the worker",
    ("get", "/openapi.json"): "public",
    ("get", "/docs"): "public",
}


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with ScriptedUpstream() as upstream:
        upstream.always(*whole({"choices": [{}]}))
        async with running_gateway(tmp_path, upstream.url) as running:
            yield running


def test_every_route_of_the_document_is_in_one_of_the_tables() -> None:
    documented = {
        (method, path)
        for path, item in whole_document()["paths"].items()
        for method in item
        if method in ("get", "post", "put", "patch", "delete")
        and not path.startswith("/api/dashboard")
    }
    assert documented == NAMING.keys() | NAMELESS.keys()


@pytest.mark.parametrize(("method", "path"), NAMING)
@pytest.mark.parametrize("prefix", ["/v1", "/api/v1"])
async def test_anothers_model_is_not_there(
    gateway: Gateway, prefix: str, method: str, path: str
) -> None:
    fields = NAMING[method, path]
    target = prefix + path.format(model=STRANGER)
    body = None if fields is None else {"model": STRANGER, **fields}
    refused = await gateway.client.request(method, target, json=body, headers=BEARER)
    unknown = await gateway.client.request(
        method,
        target.replace(STRANGER, "no-such-model"),
        json=body and {**body, "model": "no-such-model"},
        headers=BEARER,
    )
    assert refused.status_code == unknown.status_code == 404
    assert refused.json()["error"]["code"] == "model_not_found"
    # Nothing tells that there is one: the answers differ in the name that was asked for alone.
    assert refused.text.replace(STRANGER, "no-such-model") == unknown.text
    assert gateway.segment.open_cells() == 0


async def test_lists_show_ones_own_alone(gateway: Gateway) -> None:
    other = {"authorization": f"Bearer {OTHER_SECRET}"}

    async def listed(headers: dict[str, str]) -> set[str]:
        answer = await gateway.client.get("/v1/models", headers=headers)
        return {model["id"] for model in answer.json()["data"]}

    assert STRANGER not in await listed(BEARER)
    assert STRANGER in await listed(other)
