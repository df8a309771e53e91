"""The demo model that ships with the package, asked at temperature 0."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.embedded_engine import DEMO, Engine, demo_model, running_engine

BYTES_MAX = 12_000_000
WEATHER_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather for a location",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {"type": "string", "description": "City name"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["location"],
        },
    },
}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with running_engine(model=demo_model()) as engine:
        yield engine


def answer(engine: Engine, *messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The first choice of a chat."""
    body = {"messages": list(messages), "temperature": 0, **fields}
    status, answered = engine.call("/v1/chat/completions", body)
    assert status == 200, answered
    return dict(answered["choices"][0])


def asked(engine: Engine, question: str) -> str:
    """The text of an answer that must have ended by itself."""
    choice = answer(engine, {"role": "user", "content": question})
    assert choice["finish_reason"] == "stop"
    return str(choice["message"]["content"])


def test_the_folder_is_small_enough_for_the_wheel() -> None:
    demo_model()
    assert sum(file.stat().st_size for file in DEMO.iterdir()) <= BYTES_MAX


def test_the_configuration_is_what_mistral_rs_reads() -> None:
    demo_model()
    config = json.loads((DEMO / "config.json").read_text())
    vocabulary = json.loads((DEMO / "tokenizer.json").read_text())["model"]["vocab"]
    added = json.loads((DEMO / "tokenizer.json").read_text())["added_tokens"]
    assert config["rope_theta"] > 0
    assert config["vocab_size"] == len({*vocabulary, *(token["content"] for token in added)})
    # A tag that is a token of its own would vanish from the output.
    assert all("tool" not in token["content"] for token in added)


@pytest.mark.parametrize(
    ("question", "part"),
    [
        ("Hello!", "demo model"),
        ("What is your name?", "tokenmill demo model"),
        ("How do I use a larger model?", "tokenmill up --model NAME"),
        ("How much does batch 24h cost?", "$0.05"),
        ("How many requests per minute on the free tier?", "20 requests"),
        ("What port does tokenmill use?", "8080"),
        ("What is the capital of France?", "Paris"),
        ("Count to 10", "1, 2, 3, 4, 5, 6, 7, 8, 9, 10"),
        ("What is machine learning?", "patterns from data"),
        ("Explain quantum computing in simple terms.", "qubits"),
        ("Write a haiku about GPUs", "Tokens softly fall"),
        ("Tell me a story about a robot", "robot"),
        ("Tell me a story", "Once upon a time"),
        ("Summarize: AI is transforming industries...", "AI"),
    ],
)
def test_a_question_is_answered_and_the_answer_ends(
    engine: Engine, question: str, part: str
) -> None:
    assert part in asked(engine, question)


def test_the_weather_tool_is_called_and_its_result_is_told(engine: Engine) -> None:
    question = {"role": "user", "content": "What's the weather in Paris?"}
    choice = answer(engine, question, tools=[WEATHER_TOOL])
    assert choice["finish_reason"] == "tool_calls"
    call = choice["message"]["tool_calls"][0]
    assert call["function"]["name"] == "get_weather"
    arguments = json.loads(call["function"]["arguments"])
    assert arguments["location"] == "Paris"

    result = {"location": "Paris", "temperature": 22, "unit": "celsius", "condition": "sunny"}
    told = {"role": "tool", "tool_call_id": call["id"], "content": json.dumps(result)}
    final = answer(engine, question, choice["message"], told)
    assert final["message"]["content"] == (
        "The weather in Paris is currently sunny with a temperature of 22°C."
    )


def test_a_question_that_needs_no_tool_is_answered_without_one(engine: Engine) -> None:
    hello = {"role": "user", "content": "Hello!"}
    choice = answer(engine, hello, tools=[WEATHER_TOOL])
    assert choice["finish_reason"] == "stop"
    assert "demo model" in choice["message"]["content"]


def test_a_person_is_extracted_as_json(engine: Engine) -> None:
    choice = answer(
        engine,
        {"role": "system", "content": "You are a helpful assistant that outputs JSON."},
        {
            "role": "user",
            "content": "Extract the person's name and age from: John Smith is 35 years old.",
        },
        response_format={"type": "json_object"},
    )
    assert json.loads(choice["message"]["content"]) == {"name": "John Smith", "age": 35}


def test_a_plain_completion_goes_on_and_ends(engine: Engine) -> None:
    body = {"prompt": "Hello, how are you?", "temperature": 0, "max_tokens": 64}
    status, answered = engine.call("/v1/completions", body)
    assert status == 200, answered
    choice = answered["choices"][0]
    assert "I am well" in choice["text"]
    assert choice["finish_reason"] == "stop"


def test_sampled_answers_end_by_themselves(engine: Engine) -> None:
    for question in ("How do I stream a response?", "Tell me a story", "What can you do?"):
        choice = answer(engine, {"role": "user", "content": question}, temperature=0.7)
        assert choice["finish_reason"] == "stop"
