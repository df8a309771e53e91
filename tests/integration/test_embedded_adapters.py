"""LoRA adapters in the embedded engine: loaded, asked for by name, kept apart, unloaded."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.embedded_engine import Engine, chat_body, demo_model, running_engine
from tests.support.peft_adapter import write_adapter

QUESTION = "Count to 10"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with running_engine(model=demo_model()) as engine:
        yield engine


@pytest.fixture
def folders(engine: Engine, tmp_path: Path) -> Iterator[dict[str, Path]]:
    """Two adapters on disk; whatever a test leaves loaded is unloaded."""
    _, listed = engine.call("/v1/models")
    model = Path(listed["data"][0]["root"])
    yield {
        name: write_adapter(tmp_path / name, model, seed=seed)
        for seed, name in enumerate(("alpha", "bravo"))
    }
    for name in ("alpha", "bravo"):
        engine.call("/v1/unload_lora_adapter", {"lora_name": name})


def load(engine: Engine, name: str, path: Path | str, **fields: object) -> tuple[int, object]:
    return engine.call(
        "/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(path), **fields}
    )


def said(engine: Engine, model: str | None) -> str:
    answer = engine.chat(QUESTION, max_tokens=12, **({"model": model} if model else {}))
    return str(answer["choices"][0]["message"]["content"])


def test_an_adapter_is_loaded_listed_asked_and_unloaded(
    engine: Engine, folders: dict[str, Path]
) -> None:
    base = said(engine, None)
    status, text = load(engine, "alpha", folders["alpha"])
    assert (status, text) == (200, "Success: LoRA adapter 'alpha' added successfully.")

    _, listed = engine.call("/v1/models")
    card = next(card for card in listed["data"] if card["id"] == "alpha")
    assert card["parent"] == listed["data"][0]["id"]
    assert card["root"] == str(folders["alpha"])
    assert card["task"] == "generate"

    answer = engine.chat(QUESTION, model="alpha", max_tokens=12)
    assert answer["model"] == "alpha"
    assert answer["choices"][0]["message"]["content"] != base
    assert said(engine, None) == base

    status, text = engine.call("/v1/unload_lora_adapter", {"lora_name": "alpha"})
    assert (status, text) == (200, "Success: LoRA adapter 'alpha' removed successfully.")
    status, _ = engine.call("/v1/chat/completions", chat_body(QUESTION, model="alpha"))
    assert status == 404


def test_concurrent_answers_of_base_and_adapters_are_kept_apart(
    engine: Engine, folders: dict[str, Path]
) -> None:
    for name, folder in folders.items():
        assert load(engine, name, folder)[0] == 200
    names = [None, "alpha", "bravo"]
    alone = {name: said(engine, name) for name in names}
    assert len(set(alone.values())) == 3
    together: list[tuple[str | None, str]] = []
    threads = [
        threading.Thread(target=lambda name=name: together.append((name, said(engine, name))))
        for name in names * 4
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(together, key=str) == sorted(list(alone.items()) * 4, key=str)


def test_completions_ask_for_adapters_too(engine: Engine, folders: dict[str, Path]) -> None:
    assert load(engine, "alpha", folders["alpha"])[0] == 200
    texts = []
    for model in (None, "alpha"):
        body = {"prompt": "Once upon a time", "temperature": 0, "max_tokens": 8, "model": model}
        _, answer = engine.call("/v1/completions", body)
        texts.append(answer["choices"][0]["text"])
    assert texts[0] != texts[1]


def test_loading_twice_is_refused_unless_in_place(engine: Engine, folders: dict[str, Path]) -> None:
    assert load(engine, "alpha", folders["alpha"])[0] == 200
    first = said(engine, "alpha")
    status, body = load(engine, "alpha", folders["bravo"])
    assert status == 400
    assert "has already been loaded" in str(body)
    assert said(engine, "alpha") == first
    assert load(engine, "alpha", folders["bravo"], load_inplace=True)[0] == 200
    assert said(engine, "alpha") != first


def test_an_adapter_of_another_shape_is_refused(engine: Engine, folders: dict[str, Path]) -> None:
    (folders["alpha"] / "adapter_model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    status, body = load(engine, "alpha", folders["alpha"])
    assert status == 400
    assert "\n" not in body["error"]["message"]  # type: ignore[index]
    _, listed = engine.call("/v1/models")
    assert "alpha" not in [card["id"] for card in listed["data"]]


def test_what_is_not_there_or_incomplete_is_refused(engine: Engine, tmp_path: Path) -> None:
    _, listed = engine.call("/v1/models")
    base = listed["data"][0]["id"]
    assert load(engine, "alpha", "/nowhere")[0] == 404
    assert load(engine, "", tmp_path)[0] == 400
    assert load(engine, "alpha", "")[0] == 400
    assert load(engine, base, tmp_path)[0] == 400
    assert engine.call("/v1/unload_lora_adapter", {"lora_name": "nope"})[0] == 404
    assert engine.call("/v1/unload_lora_adapter", {})[0] == 400


def test_the_running_adapter_is_told_in_the_metrics(
    engine: Engine, folders: dict[str, Path]
) -> None:
    assert load(engine, "alpha", folders["alpha"])[0] == 200
    connection = engine.connect()
    body = chat_body(QUESTION, model="alpha", stream=True, ignore_eos=True)
    connection.request("POST", "/v1/chat/completions", json.dumps(body))
    connection.getresponse().readline()
    _, text = engine.call("/metrics")
    assert 'running_lora_adapters="alpha"' in text
    connection.close()
    engine.wait_for("num_requests_running", 0)
    _, text = engine.call("/metrics")
    assert 'running_lora_adapters=""' in text
