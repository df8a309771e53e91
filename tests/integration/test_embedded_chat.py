"""Chats with the real embedded engine: answers, streams, usage, sampling fields, refusals."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.embedded_engine import Engine, chat_body, demo_model, running_engine

HELLO = "Hello!"
COUNT = "Count to 10"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with running_engine(model=demo_model()) as engine:
        yield engine


def stream(engine: Engine, content: str, **fields: Any) -> list[Any]:
    return engine.events("/v1/chat/completions", chat_body(content, **fields))


def joined(events: list[Any], index: int = 0) -> str:
    return "".join(
        choice["delta"].get("content", "")
        for event in events
        if event != "[DONE]"
        for choice in event["choices"]
        if choice["index"] == index
    )


def text_of(answer: dict[str, Any], index: int = 0) -> str:
    return str(answer["choices"][index]["message"]["content"])


def test_an_answer_has_the_shape_of_vllms(engine: Engine) -> None:
    answer = engine.chat(HELLO)
    choice = answer["choices"][0]
    assert answer["object"] == "chat.completion"
    assert answer["id"].startswith("chatcmpl-")
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"]
    assert choice["finish_reason"] == "stop"
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_the_callers_request_id_is_in_the_answers_id(engine: Engine) -> None:
    connection = engine.connect()
    body = json.dumps(chat_body(HELLO))
    connection.request("POST", "/v1/chat/completions", body, {"X-Request-Id": "abc-1"})
    assert json.loads(connection.getresponse().read())["id"] == "chatcmpl-abc-1"
    connection.close()


def test_a_stream_is_role_then_content_then_finish_then_done(engine: Engine) -> None:
    events = stream(engine, HELLO)
    assert events[-1] == "[DONE]"
    first, last = events[0]["choices"][0], events[-2]["choices"][0]
    assert first["delta"] == {"role": "assistant", "content": ""}
    assert last["delta"] == {}
    assert last["finish_reason"] == "stop"
    assert all(event["choices"][0]["finish_reason"] is None for event in events[:-2])
    assert all("usage" not in event for event in events[:-1])
    assert joined(events) == text_of(engine.chat(HELLO))


def test_a_usage_chunk_comes_when_it_is_asked_for(engine: Engine) -> None:
    events = stream(engine, HELLO, stream_options={"include_usage": True})
    assert events[-2]["choices"] == []
    assert events[-2]["usage"] == engine.chat(HELLO)["usage"]


def test_continuous_usage_grows_up_to_the_whole(engine: Engine) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    events = stream(engine, COUNT, stream_options=options)[:-1]
    counts = [event["usage"]["completion_tokens"] for event in events]
    assert counts[0] == 0
    assert counts == sorted(counts)
    assert counts[-2] == counts[-1] > 20


def test_continuous_usage_is_that_of_its_choice(engine: Engine) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    events = stream(engine, HELLO, n=3, stream_options=options)[:-1]
    single = engine.chat(HELLO)["usage"]
    highest = [0, 0, 0]
    for event in events[:-1]:
        choice = event["choices"][0]["index"]
        highest[choice] = max(highest[choice], event["usage"]["completion_tokens"])
        assert event["usage"]["prompt_tokens"] == single["prompt_tokens"]
    assert highest == [single["completion_tokens"]] * 3
    assert events[-1]["usage"]["completion_tokens"] == sum(highest)
    assert events[-1]["usage"]["prompt_tokens"] == single["prompt_tokens"]


def test_n_choices_have_indexes_and_one_usage(engine: Engine) -> None:
    single, answer = engine.chat(COUNT), engine.chat(COUNT, n=3)
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    assert {text_of(answer, index) for index in range(3)} == {text_of(single)}
    assert answer["usage"]["prompt_tokens"] == single["usage"]["prompt_tokens"]
    assert answer["usage"]["completion_tokens"] == 3 * single["usage"]["completion_tokens"]


def test_streamed_choices_are_told_apart_by_their_index(engine: Engine) -> None:
    events = stream(engine, COUNT, n=2)
    assert joined(events, 0) == joined(events, 1) == text_of(engine.chat(COUNT))
    roles = [e["choices"][0] for e in events[:-1] if "role" in e["choices"][0]["delta"]]
    assert [choice["index"] for choice in roles] == [0, 1]


def test_max_tokens_ends_with_length(engine: Engine) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        answer = engine.chat(COUNT, **{name: 3})
        assert answer["choices"][0]["finish_reason"] == "length"
        assert answer["usage"]["completion_tokens"] == 3


def test_a_stop_sequence_ends_the_answer_and_is_named(engine: Engine) -> None:
    for stop in (", 5", [", 5", "zebra"]):
        choice = engine.chat(COUNT, stop=stop)["choices"][0]
        assert choice["message"]["content"] == "1, 2, 3, 4"
        assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", ", 5")
    assert joined(stream(engine, COUNT, stop=[", 5"])) == "1, 2, 3, 4"


def test_logprobs_tell_each_token_and_its_rivals(engine: Engine) -> None:
    answer = engine.chat(COUNT, max_tokens=5, logprobs=True, top_logprobs=2)
    tokens = answer["choices"][0]["logprobs"]["content"]
    assert "".join(token["token"] for token in tokens) == text_of(answer)
    for token in tokens:
        assert token["logprob"] <= 0
        assert bytes(token["bytes"]).decode() == token["token"]
        assert len(token["top_logprobs"]) == 2
        assert token["top_logprobs"][0]["logprob"] >= token["top_logprobs"][1]["logprob"]


def test_logprobs_come_in_streams_too_and_without_rivals(engine: Engine) -> None:
    events = stream(engine, COUNT, max_tokens=5, logprobs=True)[:-1]
    choices = [event["choices"][0] for event in events]
    tokens = [t for c in choices if c["logprobs"] for t in c["logprobs"]["content"]]
    assert "".join(token["token"] for token in tokens) == joined(events)
    assert all(token["top_logprobs"] == [] for token in tokens)


def test_temperature_changes_what_is_said(engine: Engine) -> None:
    answer = engine.chat("Tell me a story", temperature=2, n=4, max_tokens=20)
    assert len({text_of(answer, index) for index in range(4)}) > 1


def test_a_bias_forces_a_token(engine: Engine) -> None:
    _, tokenized = engine.call("/tokenize", {"prompt": "#"})
    token = tokenized["tokens"][0]
    answer = engine.chat(HELLO, logit_bias={str(token): 100}, max_tokens=4)
    assert text_of(answer) == "####"


def test_a_sampled_answer_says_by_its_fingerprint_that_a_seed_did_not_hold(engine: Engine) -> None:
    greedy = {engine.chat(HELLO, seed=1)["system_fingerprint"] for _ in range(2)}
    sampled = {engine.chat(HELLO, seed=1, temperature=1)["system_fingerprint"] for _ in range(2)}
    assert len(greedy) == 1
    assert len(sampled) == 2


def test_text_parts_and_the_developer_role_are_read(engine: Engine) -> None:
    messages = [
        {"role": "developer", "content": "You are a helpful assistant."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Count to"}, {"type": "text", "text": "10"}],
        },
    ]
    body = {"messages": messages, "temperature": 0}
    status, answer = engine.call("/v1/chat/completions", body)
    assert status == 200
    _, tokenized = engine.call("/tokenize", {"messages": messages})
    _, written = engine.call("/detokenize", {"tokens": tokenized["tokens"]})
    assert "system\nYou are a helpful assistant." in written["prompt"]
    assert "Count to\n10" in written["prompt"]
    assert answer["usage"]["prompt_tokens"] == tokenized["count"]


def test_messages_may_carry_what_an_sdk_sends_back(engine: Engine) -> None:
    assistant: dict[str, Any] = {
        "role": "assistant",
        "content": "1, 2",
        "refusal": None,
        "annotations": [],
        "audio": None,
        "function_call": None,
        "tool_calls": None,
    }
    messages = [{"role": "user", "content": HELLO}, assistant, {"role": "user", "content": COUNT}]
    status, _ = engine.call("/v1/chat/completions", {"messages": messages, "max_tokens": 2})
    assert status == 200


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt_logprobs": 0}, "prompt_logprobs"),  # kills a vLLM; here nobody knows it
        ({"best_of": 2}, "best_of"),
        ({"priority": 1}, "priority"),
        ({"guided_json": {}}, "guided_json"),
        ({"nonsense": 1}, "nonsense"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "0.5"}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"top_k": -2}, "top_k"),
        ({"min_p": 1.5}, "min_p"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"presence_penalty": -2.5}, "presence_penalty"),
        ({"frequency_penalty": 3}, "frequency_penalty"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"stop": ""}, "stop"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"stop": [""]}, "stop[0]"),
        ({"logit_bias": {"x": 1}}, "logit_bias"),
        ({"logit_bias": {"99999999": 1}}, "logit_bias"),
        ({"logit_bias": {"1": 101}}, "logit_bias[...]"),
        ({"top_logprobs": 2}, "top_logprobs"),  # without logprobs
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"min_tokens": 5}, "min_tokens"),  # without ignore_eos
        ({"stream_options": {"include_usage": True}}, "stream_options"),  # without stream
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "function", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": "x", "weight": 1}]}, "messages[0].weight"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages[0].content[0].type",
        ),
        ({"response_format": {"type": "json"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "structural_tag"}}, "response_format.type"),
    ],
)
def test_what_cannot_be_done_is_a_400_that_names_the_field(
    engine: Engine, fields: dict[str, Any], param: str
) -> None:
    status, answer = engine.call("/v1/chat/completions", chat_body(HELLO, **fields))
    assert status == 400
    assert answer["error"]["param"] == param
    assert answer["error"]["type"] == "BadRequestError"
    assert answer["error"]["code"] == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"messages": [{"role": "user", "content": "\xff"}]}',
        b'{"messages": NaN}',
        b'{"response_format": ' + b"[" * 100_000,
    ],
)
def test_a_body_that_is_no_request_is_a_400(engine: Engine, body: bytes) -> None:
    status, answer = engine.call("/v1/chat/completions", body)
    assert status == 400
    assert answer["error"]["type"] == "BadRequestError"


def test_an_unknown_model_is_a_404(engine: Engine) -> None:
    status, answer = engine.call("/v1/chat/completions", chat_body(HELLO, model="nope"))
    assert status == 404
    error = answer["error"]
    assert (error["type"], error["param"]) == ("NotFoundError", "model")


@pytest.mark.parametrize("words", [3_000, 1_000_000])
def test_a_prompt_beyond_the_context_is_a_400_of_input_tokens(engine: Engine, words: int) -> None:
    status, answer = engine.call("/v1/chat/completions", chat_body("word " * words))
    assert status == 400
    assert answer["error"]["param"] == "input_tokens"
    assert "maximum context length" in answer["error"]["message"]


def test_max_tokens_beyond_the_context_ends_at_the_context(engine: Engine) -> None:
    _, listed = engine.call("/v1/models")
    context = listed["data"][0]["max_model_len"]
    answer = engine.chat("word " * 1_800, max_tokens=100_000, ignore_eos=True)
    assert answer["choices"][0]["finish_reason"] == "length"
    assert context - 8 <= answer["usage"]["total_tokens"] <= context


def test_ignore_eos_makes_exactly_as_many_tokens_as_asked(engine: Engine) -> None:
    answer = engine.chat(HELLO, ignore_eos=True, min_tokens=100, max_tokens=100)
    assert answer["usage"]["completion_tokens"] == 100
