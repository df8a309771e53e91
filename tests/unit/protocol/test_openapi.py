"""The document is consistent in itself and with what is decoded."""

import json
import re

from tokenmill.protocol.chat import ChatRequest
from tokenmill.protocol.completions import CompletionRequest
from tokenmill.protocol.decoding import BodyDecoder
from tokenmill.protocol.embeddings import EmbeddingRequest
from tokenmill.protocol.openapi import document
from tokenmill.protocol.openapi_text import ERRORS, EXAMPLES, FIELDS
from tokenmill.protocol.refusals import REASONS

DOCUMENT = document()
TEXT = json.dumps(DOCUMENT)


def test_it_is_an_openapi_3_1_document_of_all_routes() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert set(DOCUMENT["paths"]) == {
        "/chat/completions",
        "/completions",
        "/embeddings",
        "/models",
        "/models/{model}",
        "/key",
        "/health",
        "/livez",
    }


def test_every_reference_leads_somewhere() -> None:
    references = set(re.findall(r'"#/components/(\w+)/(\w+)"', TEXT))
    assert references
    for kind, name in references:
        assert name in DOCUMENT["components"][kind]


def test_operations_have_names_of_their_own_and_tags_are_listed() -> None:
    operations = [each for path in DOCUMENT["paths"].values() for each in path.values()]
    names = [each["operationId"] for each in operations]
    assert len(set(names)) == len(names)
    assert {tag for each in operations for tag in each["tags"]} == {
        tag["name"] for tag in DOCUMENT["tags"]
    }


def test_refused_fields_are_not_offered() -> None:
    offered = DOCUMENT["components"]["schemas"]["ChatRequest"]["properties"].keys()
    assert not offered & REASONS.keys()
    assert {"messages", "temperature", "tools", "max_completion_tokens"} <= offered


def test_ranges_are_those_that_are_decoded() -> None:
    temperature = DOCUMENT["components"]["schemas"]["ChatRequest"]["properties"]["temperature"]
    assert {"type": "number", "minimum": 0, "maximum": 2} in temperature["anyOf"]


def test_every_described_field_exists() -> None:
    schemas = DOCUMENT["components"]["schemas"].values()
    known = {name for schema in schemas for name in schema["properties"]}
    assert known >= FIELDS.keys()


def test_examples_are_decoded() -> None:
    for model in (ChatRequest, CompletionRequest, EmbeddingRequest):
        BodyDecoder(model).decode(json.dumps(EXAMPLES[model.__name__]).encode())


def test_errors_have_the_four_keys() -> None:
    for status in ERRORS:
        response = DOCUMENT["components"]["responses"][f"Error{status}"]
        example = response["content"]["application/json"]["example"]["error"]
        assert example.keys() == {"message", "type", "param", "code"}


def test_every_answer_has_its_id_and_its_timing() -> None:
    answers = list(DOCUMENT["components"]["responses"].values())
    for path in DOCUMENT["paths"].values():
        for operation in path.values():
            answers += [each for each in operation["responses"].values() if "$ref" not in each]
    assert answers
    assert all({"x-request-id", "server-timing"} <= each["headers"].keys() for each in answers)
