"""The API in front of a real vLLM that the house found by itself, with OpenAI's own client."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from tests.support.house import House
from tests.support.real_vllm import loaded_adapter
from tests.support.waiting import eventually

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(300)]

HELLO: Any = [{"role": "user", "content": "Say hello."}]
WEATHER: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
WEATHER_TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
PERSON: Any = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


@pytest.fixture
def client(vllm_house: House) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{vllm_house.url}/v1", api_key=vllm_house.key, max_retries=0) as client:
        yield client


@pytest.fixture
def http(vllm_house: House) -> Iterator[httpx.Client]:
    with vllm_house.client() as client:
        yield client


def ask(client: OpenAI, messages: Any = HELLO, **fields: Any) -> Any:
    options = {"model": "tiny-chat", "temperature": 0, **fields}
    return client.chat.completions.create(messages=messages, **options)


def post(http: httpx.Client, **fields: Any) -> httpx.Response:
    body = {"model": "tiny-chat", "messages": HELLO, "temperature": 0, **fields}
    return http.post("/v1/chat/completions", json=body)


def test_both_servers_are_found_and_listed(client: OpenAI) -> None:
    listed = {model.id: model for model in client.models.list()}
    assert {"tiny-chat", "minilm"} <= set(listed)
    assert listed["tiny-chat"].owned_by == "vllm"


def test_a_chat_is_answered(client: OpenAI) -> None:
    answer = ask(client)
    assert answer.choices[0].message.content == "Hello! How can I help you today?"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


@pytest.mark.parametrize("model", ["auto", None])
def test_no_model_means_the_one_that_runs(http: httpx.Client, model: str | None) -> None:
    answer = post(http, model=model)
    assert answer.json()["model"] == "tiny-chat"


def test_a_stream_says_what_the_whole_answer_says(client: OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "Write some Unicode."}]
    whole = ask(client, messages).choices[0].message.content
    chunks = list(ask(client, messages, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole
    assert "🦀" in whole
    assert all(chunk.usage is None for chunk in chunks)


def test_usage_comes_at_the_end_of_a_stream_that_asks_for_it(client: OpenAI) -> None:
    *chunks, last = ask(client, stream=True, stream_options={"include_usage": True})
    whole = ask(client)
    assert last.choices == []
    assert last.usage.completion_tokens == whole.usage.completion_tokens
    assert all(chunk.usage is None for chunk in chunks)


def test_stop_and_length_end_an_answer(client: OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "Count to thirty."}]
    stopped = ask(client, messages, stop=[" 9"]).choices[0]
    assert (stopped.message.content, stopped.finish_reason) == ("1 2 3 4 5 6 7 8", "stop")
    assert ask(client, messages, max_tokens=5).choices[0].finish_reason == "length"


def test_several_choices_are_made_and_counted(client: OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "Flip a coin."}]
    fields: Any = {"n": 4, "seed": 5, "temperature": 1}
    answer = ask(client, messages, **fields)
    assert {choice.message.content for choice in answer.choices} <= {"Heads.", "Tails."}
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    options = {"include_usage": True}
    *_, last = ask(client, messages, stream=True, stream_options=options, **fields)
    assert last.usage.completion_tokens >= 4


def test_logprobs_are_passed_on(client: OpenAI) -> None:
    first = ask(client, logprobs=True, top_logprobs=3).choices[0].logprobs.content[0]
    assert first.logprob <= 0
    assert len(first.top_logprobs) == 3


def test_a_schema_is_kept_to(client: OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "Describe Ada as JSON."}]
    schema = {"name": "person", "strict": True, "schema": PERSON}
    response_format = {"type": "json_schema", "json_schema": schema}
    answer = ask(client, messages, response_format=response_format, max_tokens=200)
    assert json.loads(answer.choices[0].message.content) == {"name": "Ada", "age": 36}


def test_a_choice_is_kept_to(http: httpx.Client) -> None:
    answer = post(http, structured_outputs={"choice": ["yes", "no"]}, max_tokens=10)
    assert answer.json()["choices"][0]["message"]["content"] in ("yes", "no")


def test_tools_are_called_and_their_results_used(client: OpenAI) -> None:
    first = ask(client, WEATHER, tools=[WEATHER_TOOL]).choices[0]
    assert first.finish_reason == "tool_calls"
    (call,) = first.message.tool_calls
    assert json.loads(call.function.arguments) == {"city": "Paris"}
    turn: Any = {"role": "assistant", "tool_calls": [call.model_dump()]}
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    second = ask(client, [*WEATHER, turn, result], tools=[WEATHER_TOOL]).choices[0]
    assert second.message.content == "It is sunny in Paris."


def test_a_streamed_tool_call_is_whole(client: OpenAI) -> None:
    chunks = ask(client, WEATHER, tools=[WEATHER_TOOL], stream=True)
    deltas = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    assert deltas[0].function.name == "get_weather"
    arguments = "".join(delta.function.arguments or "" for delta in deltas)
    assert json.loads(arguments) == {"city": "Paris"}


def test_text_completions_are_answered(client: OpenAI) -> None:
    answer = client.completions.create(model="tiny-chat", prompt="The capital", max_tokens=8)
    assert answer.choices[0].text
    parts = client.completions.create(
        model="tiny-chat", prompt="The capital", max_tokens=8, stream=True
    )
    assert [part.choices[0].text for part in parts]


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings_are_made(client: OpenAI, encoding: Any) -> None:
    answer = client.embeddings.create(
        model="minilm", input=["a cat", "a kitten"], encoding_format=encoding
    )
    assert [item.index for item in answer.data] == [0, 1]
    if encoding == "float":
        assert len(answer.data[0].embedding) == 384


def test_an_adapter_appears_answers_and_goes(client: OpenAI, chat_vllm: str) -> None:
    def listed() -> list[str]:
        return [model.id for model in client.models.list()]

    with loaded_adapter(chat_vllm, "lora-alpha"):
        eventually(lambda: "lora-alpha" in listed(), "the adapter is listed", within_s=10)
        answer = ask(client, model="lora-alpha")
        assert answer.choices[0].message.content == "Alpha speaking: all systems are ready."
        assert answer.model == "lora-alpha"
    eventually(lambda: "lora-alpha" not in listed(), "the adapter is gone", within_s=10)
    with pytest.raises(openai.NotFoundError) as refusal:
        ask(client, model="lora-alpha")
    assert refusal.value.code == "model_not_found"


def test_a_prompt_that_is_too_long_is_said_to_be(client: OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "x " * 4_000}]
    with pytest.raises(openai.BadRequestError) as refusal:
        ask(client, messages)
    assert refusal.value.code == "context_length_exceeded"
    assert refusal.value.param == "messages"


def test_a_regex_that_the_engine_cannot_compile_is_a_400_in_a_stream_too(
    http: httpx.Client,
) -> None:
    """vLLM answers a stream with status 200 and puts the error inside."""
    for stream in (False, True):
        answer = post(http, structured_outputs={"regex": "(("}, max_tokens=10, stream=stream)
        assert answer.status_code == 400, answer.text
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "fields", [{"prompt_logprobs": 0}, {"prompt_logprobs": 1}, {"guided_json": {}}]
)
def test_fields_that_kill_or_fool_the_engine_are_refused(
    http: httpx.Client, fields: dict[str, Any]
) -> None:
    answer = post(http, **fields)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == next(iter(fields))


def test_a_chat_model_makes_no_embeddings_and_the_other_way_round(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model="tiny-chat", input="x")
    with pytest.raises(openai.BadRequestError):
        ask(client, model="minilm")
