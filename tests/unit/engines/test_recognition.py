"""What is an engine, by its answers alone. The bodies of vLLM are those of vLLM 0.32.0."""

import json

import pytest

from tokenmill.engines.recognition import Answer, Sighting, read_version, recognise, with_tasks

VERSION = Answer(200, {}, b'{"version":"0.32.0"}')
HEALTHY = Answer(200, {}, b"")
TINY = {"id": "tiny-chat", "object": "model", "created": 5, "owned_by": "vllm"}
TINY |= {"root": "/models/tiny-chat", "parent": None, "max_model_len": 2048, "permission": []}
ADAPTER = TINY | {"id": "lora-alpha", "parent": "tiny-chat", "max_model_len": None}


def listing(*cards: dict[str, object]) -> Answer:
    return Answer(200, {}, json.dumps({"object": "list", "data": cards}).encode())


def test_a_vllm_is_known_by_its_version_and_its_models() -> None:
    sighting = recognise("0.32.0", listing(TINY, ADAPTER), HEALTHY)
    assert (sighting.outcome, sighting.kind, sighting.version) == ("serving", "vllm", "0.32.0")
    base, adapter = sighting.models
    assert (base.id, base.context_tokens_max, base.parent) == ("tiny-chat", 2048, "")
    assert (adapter.id, adapter.parent) == ("lora-alpha", "tiny-chat")


def test_the_embedded_engine_says_what_each_model_does() -> None:
    chat = {"id": "demo", "owned_by": "tokenmill", "task": "generate"}
    minilm = {"id": "minilm", "owned_by": "tokenmill", "task": "embed"}
    sighting = recognise("0.1.0", listing(chat, minilm), HEALTHY)
    assert sighting.kind == "embedded"
    assert [model.task for model in sighting.models] == ["generate", "embed"]


def test_a_server_of_the_openai_api_without_a_version_is_no_vllm() -> None:
    assert recognise("", listing(TINY), HEALTHY).kind == "openai"


NO_ENGINES = [
    # /v1/models, what is made of it
    (Answer(401, {}, b'{"error":"Unauthorized"}'), "locked"),  # vLLM with --api-key
    (Answer(403, {}, b""), "locked"),
    (Answer(503, {}, b""), "loading"),
    (Answer(404, {}, b'{"detail":"Not Found"}'), "foreign"),
    (Answer(307, {"location": "/login"}, b""), "foreign"),
    (Answer(200, {}, b"<!doctype html><title>Welcome</title>"), "foreign"),
    (Answer(200, {}, b'{"data":"soon"}'), "foreign"),
    (Answer(200, {}, b'{"data":[{"name":"no id"}]}'), "foreign"),
    (Answer(200, {}, b'{"data":[{"id":""}]}'), "foreign"),
    (Answer(200, {}, b'{"x":' + b"[" * 5000 + b"]" * 5000 + b',"data":[]}'), "foreign"),
    (Answer(200, {}, b"\xff\xfe"), "foreign"),
    (Answer(200, {}, b'{"data":[{"id":"\xff\xfe"}]}'), "foreign"),
]


@pytest.mark.parametrize(("models", "outcome"), NO_ENGINES)
def test_other_answers_are_no_engine_that_serves(models: Answer, outcome: str) -> None:
    assert recognise("0.32.0", models, HEALTHY).outcome == outcome


def test_an_engine_that_says_it_is_not_healthy_is_loading() -> None:
    sighting = recognise("0.32.0", listing(TINY), Answer(503, {}, b""))
    assert (sighting.outcome, sighting.kind) == ("loading", "vllm")


VERSIONS = [
    (VERSION, "0.32.0"),
    (Answer(404, {}, b'{"error":{"message":"m","type":"not_found","param":null,"code":"c"}}'), ""),
    (Answer(200, {}, b"<html></html>"), ""),
    (Answer(200, {}, b'{"version":null}'), ""),
    (Answer(200, {}, b'{"version":""}'), ""),
    (Answer(200, {}, b'{"version":"\xff"}'), ""),
    (Answer(200, {}, b"[" * 5000), ""),
    (Answer(200, {}, b'{"Version":"27.0"}'), ""),  # Docker's daemon
]


@pytest.mark.parametrize(("answer", "version"), VERSIONS)
def test_only_an_engines_answer_gives_a_version(answer: Answer, version: str) -> None:
    assert read_version(answer) == version


def test_a_vllm_that_neither_chats_nor_embeds_offers_nothing() -> None:
    serving = recognise("0.32.0", listing(TINY), HEALTHY)
    assert with_tasks(serving, "embed").models[0].task == "embed"
    assert with_tasks(serving, None).models == ()
    embedded = Sighting(outcome="serving", kind="embedded", models=serving.models)
    assert with_tasks(embedded, None) == embedded
