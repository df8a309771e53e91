"""The OpenAPI 3.1 document of the data plane, made from the Structs that decode its requests.

Control serves it at /openapi.json. Fields that are refused by name are left out of it.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from tokenmill import __version__
from tokenmill.protocol.chat import ChatCompletion, ChatCompletionChunk, ChatRequest
from tokenmill.protocol.completions import Completion, CompletionRequest
from tokenmill.protocol.embeddings import EmbeddingList, EmbeddingRequest
from tokenmill.protocol.errors import ErrorEnvelope
from tokenmill.protocol.keys import KeyInfo
from tokenmill.protocol.models import Model, ModelList
from tokenmill.protocol.openapi_text import (
    DESCRIPTION,
    ERRORS,
    EXAMPLES,
    FIELDS,
    SUMMARY,
    TITLE,
)

Json = dict[str, Any]

_OF_EVERY_ANSWER = {
    "x-request-id": {"$ref": "#/components/headers/RequestId"},
    "server-timing": {"$ref": "#/components/headers/ServerTiming"},
}
_PREFIX = "#/components/schemas/"
_TYPES = (
    ChatRequest,
    ChatCompletion,
    ChatCompletionChunk,
    CompletionRequest,
    Completion,
    EmbeddingRequest,
    EmbeddingList,
    Model,
    ModelList,
    KeyInfo,
    ErrorEnvelope,
)
_ANY = (401, 403, 500, 503)
_BODY = (400, 401, 403, 404, 408, 413, 415, 500, 502, 503, 504)


def document() -> Json:
    """The document, of the version that is installed."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "version": __version__,
            "summary": SUMMARY,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/v1"}, {"url": "/api/v1"}],
        "security": [{"bearer": []}, {"query": []}],
        "tags": [
            {"name": name}
            for name in ("chat", "completions", "embeddings", "models", "keys", "health")
        ],
        "paths": dict(_paths()),
        "components": {
            "schemas": _schemas(),
            "responses": {f"Error{status}": _error(status) for status in ERRORS},
            "headers": _headers(),
            "securitySchemes": _security(),
        },
    }


def _paths() -> Iterator[tuple[str, Json]]:
    chat = _creating("chat", "Create a chat completion", ChatRequest, ChatCompletion)
    _add_stream(chat, ChatCompletionChunk)
    yield "/chat/completions", {"post": chat}
    text = _creating("completions", "Create a text completion", CompletionRequest, Completion)
    _add_stream(text, Completion)
    yield "/completions", {"post": text}
    embedding = _creating("embeddings", "Embed texts", EmbeddingRequest, EmbeddingList)
    yield "/embeddings", {"post": embedding}
    yield "/models", {"get": _reading("models", "listModels", "List models", ModelList)}
    yield "/models/{model}", {"get": _one_model()}
    yield "/key", {"get": _reading("keys", "retrieveKey", "What is left of the key", KeyInfo)}
    yield "/health", {"get": _health("health", "Whether some engine can answer", (503,))}
    yield "/livez", {"get": _health("livez", "Whether the gateway runs", ())}


def _creating(tag: str, summary: str, request: type, answer: type) -> Json:
    content = {"schema": _reference(request), "example": EXAMPLES[request.__name__]}
    return {
        "tags": [tag],
        "operationId": f"create{request.__name__.removesuffix('Request')}",
        "summary": summary,
        "description": (request.__doc__ or "").strip(),
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": _responses(answer, _BODY),
    }


def _reading(tag: str, identifier: str, summary: str, answer: type) -> Json:
    return {
        "tags": [tag],
        "operationId": identifier,
        "summary": summary,
        "responses": _responses(answer, _ANY),
    }


def _one_model() -> Json:
    operation = _reading("models", "retrieveModel", "Retrieve a model", Model)
    operation["parameters"] = [
        {
            "name": "model",
            "in": "path",
            "required": True,
            "description": "The model's id or an alias; slashes in it stand as they are.",
            "schema": {"type": "string"},
        }
    ]
    operation["responses"]["404"] = {"$ref": "#/components/responses/Error404"}
    return operation


def _health(identifier: str, summary: str, errors: tuple[int, ...]) -> Json:
    schema = {"type": "object", "properties": {"status": {"const": "ok"}}, "required": ["status"]}
    content = {"application/json": {"schema": schema}}
    good = {"description": "Yes.", "headers": _OF_EVERY_ANSWER, "content": content}
    return {
        "tags": ["health"],
        "operationId": identifier,
        "summary": summary,
        "description": "Also at the root, without the prefix. Needs no key.",
        "security": [],
        "responses": {"200": good} | _error_references(errors),
    }


def _responses(answer: type, errors: tuple[int, ...]) -> Json:
    good = {
        "description": (answer.__doc__ or "").strip().split("\n")[0],
        "headers": _OF_EVERY_ANSWER,
        "content": {"application/json": {"schema": _reference(answer)}},
    }
    return {"200": good} | _error_references(errors)


def _add_stream(operation: Json, chunk: type) -> None:
    """With `stream: true` each event's data is a chunk, and that of the last one `[DONE]`.

    The schema is an event's, as OpenAPI 3.2 has it (Media Types, "Server-Sent Event Streams")."""
    part = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": _reference(chunk),
    }
    data = {"anyOf": [{"const": "[DONE]"}, part]}
    event = {"type": "object", "properties": {"data": data}, "required": ["data"]}
    content = operation["responses"]["200"]["content"]
    content["text/event-stream"] = {"schema": event}


def _error_references(statuses: tuple[int, ...]) -> Json:
    return {str(each): {"$ref": f"#/components/responses/Error{each}"} for each in statuses}


def _error(status: int) -> Json:
    description, kind, code, message = ERRORS[status]
    param = "temperature" if status == 400 else None
    example = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    content = {"schema": _reference(ErrorEnvelope), "example": example}
    headers = dict(_OF_EVERY_ANSWER)
    if status == 503:
        headers["retry-after"] = {"$ref": "#/components/headers/RetryAfter"}
    return {
        "description": description,
        "headers": headers,
        "content": {"application/json": content},
    }


def _headers() -> Json:
    return {
        "RequestId": {
            "description": "Finds the request in the logs; yours, if [A-Za-z0-9._-]{1,128}.",
            "schema": {"type": "string"},
        },
        "ServerTiming": {
            "description": "Milliseconds: key, decode, route, upstream's first byte, own work.",
            "schema": {"type": "string"},
        },
        "RetryAfter": {
            "description": "Seconds; `retry-after-ms` has it in milliseconds.",
            "schema": {"type": "integer"},
        },
    }


def _security() -> Json:
    return {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "pk_live_…"},
        "query": {
            "type": "apiKey",
            "in": "query",
            "name": "api_key",
            "description": "Less secure: addresses end up in histories and logs.",
        },
    }


def _reference(model: type) -> Json:
    return {"$ref": _PREFIX + model.__name__}


def _schemas() -> Json:
    """The Structs' JSON schemas, without refused fields, with descriptions."""
    _, components = msgspec.json.schema_components(_TYPES, ref_template=_PREFIX + "{name}")
    for schema in components.values():
        properties = schema.get("properties", {})
        schema["properties"] = {
            name: _described(name, field)
            for name, field in properties.items()
            if field.get("type") != "null"
        }
    return components


def _described(name: str, field: Json) -> Json:
    """A field without the default null, which says no more than that it is optional."""
    if field.get("default", ...) is None:
        field = {key: value for key, value in field.items() if key != "default"}
    if name in FIELDS and "$ref" not in field:
        field = field | {"description": FIELDS[name]}
    return field
