"""The documentation page: what stands on it, and that nothing on it comes from elsewhere."""

from html.parser import HTMLParser
from typing import Any

import pytest

from tokenmill.control.documentation.page import render_page
from tokenmill.control.documentation.schema_view import SchemaView

SCHEMAS: dict[str, Any] = {
    "Message": {
        "type": "object",
        "required": ["role"],
        "properties": {
            "role": {"enum": ["user", "assistant"]},
            "content": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "reply_to": {"$ref": "#/components/schemas/Message"},  # contains itself
        },
    },
    "Temperature": {"type": "number", "minimum": 0, "maximum": 2},
}
DOCUMENT: dict[str, Any] = {
    "info": {"title": "tokenmill", "version": "1.2", "description": "Send `model`.\n\nTwo."},
    "servers": [{"url": "/v1"}],
    "components": {
        "schemas": SCHEMAS,
        "responses": {"Error400": {"description": "The request is wrong."}},
    },
    "paths": {
        "/chat/completions": {
            "post": {
                "tags": ["Inference"],
                "summary": "Chat <b>now</b>",
                "requestBody": {
                    "content": {
                        "application/json": {
                            "schema": {"$ref": "#/components/schemas/Message"},
                            "example": {"role": "user", "content": "Grüße"},
                        }
                    }
                },
                "responses": {
                    "200": {"description": "The answer."},
                    "400": {"$ref": "#/components/responses/Error400"},
                },
            }
        },
        "/models/{id}": {
            "get": {
                "tags": ["Models"],
                "parameters": [{"name": "id", "in": "path", "required": True}],
                "responses": {},
            }
        },
    },
}


class Outline(HTMLParser):
    """Ids, links and the nesting of a page."""

    VOID = frozenset({"meta", "link", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids += [given["id"] or ""] if "id" in given else []
        self.links += [given["href"] or ""] if tag == "a" else []
        self.loads += [given.get("src") or given.get("href") or tag] if tag in LOADING else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


LOADING = {"script", "link", "img", "iframe", "style"}


@pytest.fixture(scope="module")
def page() -> str:
    return render_page(DOCUMENT)


def test_every_operation_has_a_place_and_a_link_to_it(page: str) -> None:
    outline = Outline(page)
    assert {"post-chat-completions", "get-models-id"} <= set(outline.ids)
    inner = [link.removeprefix("#") for link in outline.links if link.startswith("#")]
    assert set(inner) <= set(outline.ids)
    assert len(set(outline.ids)) == len(outline.ids)


def test_the_page_is_well_formed_and_loads_its_style_only(page: str) -> None:
    outline = Outline(page)
    assert outline.open == []
    assert outline.loads == ["/docs/docs.css"]


def test_text_of_the_document_is_never_markup(page: str) -> None:
    assert "Chat &lt;b&gt;now&lt;/b&gt;" in page
    assert "Send <code>model</code>." in page


def test_answers_that_are_referred_to_are_shown(page: str) -> None:
    assert "The request is wrong." in page


def test_examples_are_shown_as_they_are(page: str) -> None:
    assert "Grüße" in page


def test_a_schema_that_contains_itself_ends() -> None:
    shown = SchemaView({"schemas": SCHEMAS}).fields({"$ref": "#/components/schemas/Message"})
    assert 1 < shown.count("<table") <= 6


WORDS = [
    # schema, words
    ({"type": "string"}, "string"),
    ({"type": "array", "items": {"type": "integer"}}, "array of integer"),
    ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string or null"),
    ({"enum": ["a", 1]}, "<code>&quot;a&quot;</code> | <code>1</code>"),
    ({"const": "list"}, "<code>&quot;list&quot;</code>"),
    ({"$ref": "#/components/schemas/Temperature"}, "number"),  # no fields: said in place
    ({"$ref": "#/components/schemas/Message"}, "<code>Message</code>"),
    ({}, "any value"),
]


@pytest.mark.parametrize(("schema", "words"), WORDS)
def test_types_in_words(schema: dict[str, Any], words: str) -> None:
    assert SchemaView({"schemas": SCHEMAS}).words(schema) == words


def test_bounds_and_defaults_are_told() -> None:
    field = {"type": "integer", "minimum": 1, "maximum": 128, "default": 1}
    shown = SchemaView({}).fields({"properties": {"n": field}})
    assert "≥ 1, ≤ 128" in shown
    assert "default <code>1</code>" in shown
