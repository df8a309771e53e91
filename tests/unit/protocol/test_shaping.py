"""What reaches an engine: the route's defaults, and nothing that the engine has no use for."""

import json
from typing import Any

import pytest

from tokenmill.errors import InvalidRequest
from tokenmill.protocol.chat import ChatRequest
from tokenmill.protocol.completions import CompletionRequest
from tokenmill.protocol.decoding import BodyDecoder
from tokenmill.protocol.embeddings import EmbeddingRequest
from tokenmill.protocol.shaping import (
    RouteTerms,
    shape_chat,
    shape_completion,
    shape_embedding,
)

CHAT = BodyDecoder(ChatRequest)
COMPLETION = BodyDecoder(CompletionRequest)
EMBEDDING = BodyDecoder(EmbeddingRequest)
FACTORY = RouteTerms(engine_model="m", is_factory=True)
SMALL_FACTORY = RouteTerms(engine_model="m", is_factory=True, context_tokens_max=512)
DEDICATED = RouteTerms(engine_model="m", is_factory=False, context_tokens_max=8192)
UNKNOWN_DEDICATED = RouteTerms(engine_model="m", is_factory=False)
USER = {"role": "user", "content": "Hi"}


def chat_bytes(terms: RouteTerms = FACTORY, **fields: Any) -> bytes:
    data = json.dumps({"messages": [USER], **fields}).encode()
    return shape_chat(CHAT.decode(data), terms)


def chat(terms: RouteTerms = FACTORY, **fields: Any) -> dict[str, Any]:
    shaped: dict[str, Any] = json.loads(chat_bytes(terms, **fields))
    return shaped


def completion(terms: RouteTerms = FACTORY, **fields: Any) -> dict[str, Any]:
    data = json.dumps({"prompt": "Hi", **fields}).encode()
    shaped: dict[str, Any] = json.loads(shape_completion(COMPLETION.decode(data), terms))
    return shaped


def test_a_bare_chat_gets_the_factory_defaults() -> None:
    assert chat() == {
        "model": "m",
        "messages": [USER],
        "max_tokens": 1024,
        "temperature": 0.7,
        "top_p": 1.0,
    }


def test_a_dedicated_route_has_the_models_own_maximum_and_temperature_one() -> None:
    shaped = chat(DEDICATED)
    assert "max_tokens" not in shaped
    assert shaped["temperature"] == 1.0


def test_a_dedicated_completion_asks_for_the_context_because_engines_stop_at_16() -> None:
    assert completion(DEDICATED)["max_tokens"] == 8192
    assert "max_tokens" not in completion(UNKNOWN_DEDICATED)


def test_completions_have_the_same_factory_defaults() -> None:
    shaped = completion()
    assert (shaped["max_tokens"], shaped["temperature"], shaped["top_p"]) == (1024, 0.7, 1.0)


@pytest.mark.parametrize("given", [1, 500, 4096])
def test_max_tokens_of_the_published_range_pass(given: int) -> None:
    assert chat(max_tokens=given)["max_tokens"] == given


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_more_than_the_published_range_is_refused(field: str) -> None:
    asked: dict[str, Any] = {field: 4097}
    with pytest.raises(InvalidRequest) as caught:
        chat(**asked)
    assert (caught.value.param, "between 1 and 4096" in caught.value.message) == (field, True)


def test_a_dedicated_route_allows_as_much_as_its_context() -> None:
    assert chat(DEDICATED, max_tokens=8192)["max_tokens"] == 8192
    assert chat(UNKNOWN_DEDICATED, max_tokens=100_000)["max_tokens"] == 100_000
    with pytest.raises(InvalidRequest):
        chat(DEDICATED, max_tokens=8193)


def test_the_published_range_holds_on_a_model_with_a_small_context() -> None:
    assert chat(SMALL_FACTORY)["max_tokens"] == 512
    assert chat(SMALL_FACTORY, max_tokens=4096)["max_tokens"] == 512


def test_max_completion_tokens_becomes_max_tokens() -> None:
    shaped = chat(max_completion_tokens=7)
    assert shaped["max_tokens"] == 7
    assert "max_completion_tokens" not in shaped


def test_min_tokens_over_the_limit_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        chat(min_tokens=1025)
    assert caught.value.param == "min_tokens"


def test_values_of_the_client_stand() -> None:
    given: dict[str, Any] = {
        "temperature": 0.0,
        "top_p": 0.5,
        "n": 2,
        "seed": 7,
        "ignore_eos": True,
        "top_k": 5,
    }
    assert chat(**given).items() >= given.items()


def test_a_top_p_of_zero_is_the_least_that_engines_take() -> None:
    assert chat(top_p=0)["top_p"] == 1e-6


def test_a_stream_is_always_asked_for_all_usage() -> None:
    shaped = chat(stream=True)
    assert shaped["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}
    assert "stream_options" not in chat(stream=False)


def test_what_says_nothing_to_an_engine_is_dropped() -> None:
    shaped = chat(
        user="u",
        metadata={"a": "b"},
        store=False,
        service_tier="default",
        safety_identifier="s",
        prompt_cache_key="k",
        prediction={"type": "content", "content": "x"},
        modalities=["text"],
        verbosity="medium",
        response_format={"type": "text"},
        tools=[],
        tool_choice="none",
        stop=[],
    )
    assert shaped == chat()


def test_nulls_are_as_good_as_absent() -> None:
    assert chat(temperature=None, tools=None, stop=None, seed=None, logit_bias=None) == chat()


def test_developer_messages_become_system_messages() -> None:
    shaped = chat(messages=[{"role": "developer", "content": "Be brief.", "name": "x"}, USER])
    assert shaped["messages"][0] == {"role": "system", "content": "Be brief.", "name": "x"}


def test_an_answer_that_is_sent_back_is_cleaned() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": ""}, "index": 0}
    answer = {
        "role": "assistant",
        "content": None,
        "annotations": [{"x": 1}],
        "refusal": None,
        "reasoning_content": "hm",
        "tool_calls": [call],
    }
    (shaped,) = chat(messages=[answer])["messages"]
    function = {"name": "f", "arguments": "{}"}
    assert shaped == {
        "role": "assistant",
        "reasoning": "hm",
        "tool_calls": [{"id": "c", "type": "function", "function": function}],
    }


def test_refusals_become_text() -> None:
    parts = [{"type": "refusal", "refusal": "No."}]
    first = {"role": "assistant", "content": parts, "tool_calls": []}
    second = {"role": "assistant", "content": None, "refusal": "Never."}
    shaped = chat(messages=[first, second])["messages"]
    assert shaped == [
        {"role": "assistant", "content": [{"type": "text", "text": "No."}]},
        {"role": "assistant", "content": "Never."},
    ]


def test_schemas_keep_their_bytes() -> None:
    schema = b'{ "b":1.0,  "a":{"z":1e2} }'
    text = b'{"messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema",'
    text += b'"json_schema":{"name":"n","schema":' + schema + b"}}}"
    assert schema in shape_chat(CHAT.decode(text), FACTORY)


def test_parameters_of_tools_keep_their_bytes_and_null_ones_go() -> None:
    text = b'{"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":'
    text += b'{"name":"f","parameters":{ "z":{}, "a":{} }}},'
    text += b'{"type":"function","function":{"name":"g","parameters":null}}]}'
    shaped = shape_chat(CHAT.decode(text), FACTORY)
    assert b'"parameters":{ "z":{}, "a":{} }' in shaped
    tools = json.loads(shaped)["tools"]
    assert tools[1] == {"type": "function", "function": {"name": "g"}}
    assert json.loads(shaped)["tool_choice"] == "auto"


def test_allowed_tools_leave_only_the_tools_they_name() -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in ("f", "g", "h")]
    allowed = {"mode": "required", "tools": [tools[2], tools[0]]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    shaped = chat(tools=tools, tool_choice=choice)
    assert [each["function"]["name"] for each in shaped["tools"]] == ["f", "h"]
    assert shaped["tool_choice"] == "required"


def test_top_logprobs_without_logprobs_are_dropped() -> None:
    assert "top_logprobs" not in chat(top_logprobs=0)
    assert chat(logprobs=True, top_logprobs=0)["top_logprobs"] == 0


def test_a_completions_best_of_is_not_passed_on() -> None:
    assert "best_of" not in completion(best_of=1, user="u")


def test_an_embedding_request_gets_the_engines_model() -> None:
    request = EMBEDDING.decode(b'{"model":"alias","input":["a"],"user":"u","dimensions":8}')
    shaped = json.loads(shape_embedding(request, FACTORY))
    assert shaped == {"model": "m", "input": ["a"], "dimensions": 8}
