"""The OpenAPI document as one HTML page, for people and their screen readers. Pure.

Static and without scripts: it needs no network but the one it came over.
"""

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, NamedTuple

from tokenmill.control.documentation.schema_view import SchemaView

METHODS = ("get", "post", "put", "patch", "delete")
OTHER = "Other"

Part = Mapping[str, Any]


class Operation(NamedTuple):
    """One method of one path."""

    method: str
    path: str
    part: Part

    @property
    def anchor(self) -> str:
        words = re.sub(r"[^a-z0-9]+", "-", f"{self.method} {self.path}".lower())
        return words.strip("-")

    @property
    def tag(self) -> str:
        tags = self.part.get("tags") or [OTHER]
        return str(tags[0])


def render_page(document: Part) -> str:
    """The whole page."""
    information: Part = document.get("info", {})
    title = escape(str(information.get("title", "API")))
    groups = _grouped(list(_operations(document)))
    view = SchemaView(document.get("components", {}))
    sections = "".join(_group(tag, operations, view) for tag, operations in groups.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{title}: reference</title><link rel="stylesheet" href="/docs/docs.css"></head>'
        '<body><a class="skip" href="#content">Skip to the content</a>'
        f'<nav aria-label="Operations"><p class="brand">{title}</p>{_navigation(groups)}</nav>'
        f'<main id="content">{_introduction(title, information, document)}{sections}</main>'
        "</body></html>"
    )


def _operations(document: Part) -> Iterator[Operation]:
    for path, item in document.get("paths", {}).items():
        for method in METHODS:
            if method in item:
                yield Operation(method, path, item[method])


def _grouped(operations: list[Operation]) -> dict[str, list[Operation]]:
    groups: dict[str, list[Operation]] = {}
    for operation in operations:
        groups.setdefault(operation.tag, []).append(operation)
    return groups


def _navigation(groups: Mapping[str, list[Operation]]) -> str:
    return "".join(
        f"<h2>{escape(tag)}</h2><ul>" + "".join(map(_link, operations)) + "</ul>"
        for tag, operations in groups.items()
    )


def _link(operation: Operation) -> str:
    return f'<li><a href="#{operation.anchor}">{_badge(operation)}{escape(operation.path)}</a></li>'


def _badge(operation: Operation) -> str:
    return f'<span class="method {operation.method}">{operation.method.upper()}</span> '


def _introduction(title: str, information: Part, document: Part) -> str:
    version = escape(str(information.get("version", "")))
    servers = ", ".join(
        f"<code>{escape(str(server.get('url', '')))}</code>"
        for server in document.get("servers", ())
    )
    base = f"<p>Base URL: {servers}</p>" if servers else ""
    return (
        f"<header><h1>{title} <small>{version}</small></h1>"
        f"{_prose(information.get('description', ''))}{base}"
        '<p>The same as a document for programs: <a href="/openapi.json">/openapi.json</a></p>'
        "</header>"
    )


def _prose(text: Any) -> str:
    """Paragraphs, with `code` marked; nothing else of Markdown is needed."""
    paragraphs = [part for part in str(text).split("\n\n") if part.strip()]
    return "".join(f"<p>{_code(escape(part))}</p>" for part in paragraphs)


def _code(escaped: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped)


def _group(tag: str, operations: list[Operation], view: SchemaView) -> str:
    articles = "".join(_article(operation, view) for operation in operations)
    return f'<section><h2 class="tag">{escape(tag)}</h2>{articles}</section>'


def _article(operation: Operation, view: SchemaView) -> str:
    part = operation.part
    summary = escape(str(part.get("summary", "")))
    return (
        f'<article id="{operation.anchor}"><h3>{_badge(operation)}'
        f"<code>{escape(operation.path)}</code></h3>"
        f'<p class="summary">{summary}</p>{_prose(part.get("description", ""))}'
        f"{_parameters(part, view)}{_request(part, view)}{_responses(part, view)}</article>"
    )


def _parameters(part: Part, view: SchemaView) -> str:
    parameters = [view.target(one) for one in part.get("parameters", ())]
    if not parameters:
        return ""
    fields = {
        one["name"]: {"description": one.get("description", f"in the {one.get('in')}")}
        | dict(one.get("schema", {}))
        for one in parameters
        if "name" in one
    }
    required = [one["name"] for one in parameters if one.get("required")]
    return "<h4>Parameters</h4>" + view.fields({"properties": fields, "required": required})


def _request(part: Part, view: SchemaView) -> str:
    bodies = part.get("requestBody", {}).get("content", {})
    return "".join(_body(f"Request body: {media}", body, view) for media, body in bodies.items())


def _responses(part: Part, view: SchemaView) -> str:
    answers = "".join(
        _answer(str(status), view.target(answer), view)
        for status, answer in part.get("responses", {}).items()
    )
    return f"<h4>Answers</h4>{answers}" if answers else ""


def _answer(status: str, answer: Part, view: SchemaView) -> str:
    kind = "good" if status.startswith("2") else "bad"
    described = _code(escape(str(answer.get("description", ""))))
    head = f'<span class="status {kind}">{escape(status)}</span> {described}'
    inner = "".join(_body(media, body, view) for media, body in answer.get("content", {}).items())
    if not inner:
        return f'<p class="answer">{head}</p>'
    return f'<details class="answer"><summary>{head}</summary>{inner}</details>'


def _body(title: str, body: Part, view: SchemaView) -> str:
    example = body.get("example")
    shown = (
        f"<pre><code>{escape(json.dumps(example, indent=2, ensure_ascii=False))}</code></pre>"
        if example is not None
        else ""
    )
    return f"<h4>{escape(title)}</h4>{shown}{view.fields(body.get('schema', {}))}"
