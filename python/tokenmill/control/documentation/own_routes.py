"""Control's own public routes, as the OpenAPI document describes them."""

from typing import Any


def _text(description: str, media_type: str) -> dict[str, Any]:
    content = {media_type: {"schema": {"type": "string"}}}
    return {"200": {"description": description, "content": content}}


AT_THE_ROOT = [{"url": "/"}]
"""These stand beside the prefixes of the API, not under them."""

OWN_PATHS: dict[str, Any] = {
    "/openapi.json": {
        "servers": AT_THE_ROOT,
        "get": {
            "tags": ["documentation"],
            "summary": "This API as an OpenAPI document",
            "operationId": "getOpenApi",
            "security": [],
            "responses": {
                "200": {
                    "description": "The document.",
                    "content": {"application/json": {"schema": {"type": "object"}}},
                }
            },
        },
    },
    "/docs": {
        "servers": AT_THE_ROOT,
        "get": {
            "tags": ["documentation"],
            "summary": "This API as a page",
            "operationId": "getDocs",
            "security": [],
            "responses": _text("A page for people.", "text/html"),
        },
    },
}
