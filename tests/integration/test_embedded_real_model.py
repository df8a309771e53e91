"""A real small model in the embedded engine: SmolLM2, as a folder and as a GGUF file.

Needs TOKENMILL_TEST_CACHE: 93 MB are downloaded once, 460 MB kept.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.embedded_engine import Engine, demo_model, running_engine
from tests.support.peft_adapter import write_adapter
from tests.support.smollm2 import smollm2

pytestmark = pytest.mark.timeout(300)

CAPITAL = "What is the capital of France?"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 12}},
            "required": ["city"],
        },
    },
}


@pytest.fixture(scope="module")
def folder_engine() -> Iterator[Engine]:
    demo_model()
    _, folder = smollm2()
    with running_engine(model=str(folder)) as engine:
        yield engine


@pytest.fixture(scope="module")
def gguf_engine() -> Iterator[Engine]:
    demo_model()
    gguf, _ = smollm2()
    with running_engine(model=str(gguf)) as engine:
        yield engine


def text_of(engine: Engine, content: str, **fields: object) -> str:
    return str(engine.chat(content, **fields)["choices"][0]["message"]["content"])


def test_a_folder_is_served_under_its_name_and_answers(folder_engine: Engine) -> None:
    _, listed = folder_engine.call("/v1/models")
    assert listed["data"][0]["id"] == "SmolLM2-135M-Instruct"
    assert listed["data"][0]["max_model_len"] == 8_192
    assert "Paris" in text_of(folder_engine, CAPITAL, max_tokens=40)


def test_tools_are_told_to_a_model_whose_template_does_not_know_them(
    folder_engine: Engine,
) -> None:
    messages = [{"role": "user", "content": "x"}]
    _, tokenized = folder_engine.call("/tokenize", {"messages": messages, "tools": [WEATHER]})
    _, written = folder_engine.call("/detokenize", {"tokens": tokenized["tokens"]})
    assert "<tools>" in written["prompt"]
    assert '"get_weather"' in written["prompt"]
    answer = folder_engine.chat(
        "What is the weather in Rome?",
        tools=[WEATHER],
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
        max_tokens=60,
    )
    (call,) = answer["choices"][0]["message"]["tool_calls"]
    assert set(json.loads(call["function"]["arguments"])) == {"city"}


def test_a_completion_continues_the_text_with_its_blank(folder_engine: Engine) -> None:
    body = {"prompt": "The capital of France is", "temperature": 0, "max_tokens": 4}
    _, answer = folder_engine.call("/v1/completions", body)
    assert answer["choices"][0]["text"].startswith(" Paris")


def test_an_adapter_is_loaded_into_it(folder_engine: Engine, tmp_path: Path) -> None:
    _, folder = smollm2()
    path = write_adapter(tmp_path / "lora", folder, seed=1)
    body = {"lora_name": "lora", "lora_path": str(path)}
    assert folder_engine.call("/v1/load_lora_adapter", body)[0] == 200
    base = text_of(folder_engine, CAPITAL, max_tokens=5)
    assert text_of(folder_engine, CAPITAL, max_tokens=5, model="lora") != base


def test_a_gguf_file_is_served_with_its_own_template(gguf_engine: Engine) -> None:
    _, listed = gguf_engine.call("/v1/models")
    assert listed["data"][0]["id"] == "SmolLM2-135M-Instruct.Q4_1"
    assert listed["data"][0]["max_model_len"] == 8_192
    messages = [{"role": "user", "content": CAPITAL}]
    _, tokenized = gguf_engine.call("/tokenize", {"messages": messages})
    _, written = gguf_engine.call("/detokenize", {"tokens": tokenized["tokens"]})
    assert written["prompt"].endswith(
        f"<|im_start|>user\n{CAPITAL}<|im_end|>\n<|im_start|>assistant\n"
    )
    answer = gguf_engine.chat(CAPITAL, max_tokens=8)
    assert answer["usage"]["prompt_tokens"] == tokenized["count"]
    assert answer["choices"][0]["message"]["content"]
    choice = text_of(gguf_engine, "Hi", structured_outputs={"choice": ["yes", "no"]})
    assert choice in ("yes", "no")


def test_a_gguf_file_takes_no_adapters_and_says_so(gguf_engine: Engine) -> None:
    body = {"lora_name": "lora", "lora_path": "/nowhere"}
    status, answer = gguf_engine.call("/v1/load_lora_adapter", body)
    assert status == 400
    assert "no adapters" in answer["error"]["message"]
