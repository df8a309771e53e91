"""A body is decoded, or refused with the path of the field and what is allowed there."""

import json
from typing import Any

import pytest

from tokenmill.errors import InvalidRequest
from tokenmill.protocol.chat import ChatRequest
from tokenmill.protocol.decoding import BodyDecoder

CHAT = BodyDecoder(ChatRequest)
TURN: dict[str, Any] = {"role": "user", "content": "Hi"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def body(**fields: Any) -> bytes:
    return json.dumps({"messages": [TURN], **fields}).encode()


def said(content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}]}


def refusal(data: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        CHAT.decode(data)
    return caught.value


GOOD: list[dict[str, Any]] = [
    {},
    {"temperature": 0},  # a whole number is a number
    {"temperature": None, "tools": None, "functions": None, "prompt_logprobs": None},
    {"stop": "end"},
    {"stop": ["a", "b", "c", "d"]},
    {"logit_bias": {"50256": -100}},
    {"seed": -(2**63)},
    {"tool_choice": "required"},
    {"tool_choice": {"type": "function", "function": {"name": "f"}}},
    {"response_format": {"type": "text"}},
    {"metadata": {"a": "b"}, "user": "u", "store": False, "service_tier": "auto"},
    {"modalities": ["text"], "prediction": {"type": "content", "content": "x"}},
    said([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
    said([{"text": "a"}]),  # parts of a user are all texts: the type goes without saying
    # an answer that is sent back as it came, with the fields that vLLM and OpenAI give it
    {
        "messages": [
            TURN,
            {
                "role": "assistant",
                "content": None,
                "refusal": None,
                "annotations": [],
                "audio": None,
                "function_call": None,
                "reasoning_content": None,
                "tool_calls": [CALL],
            },
            {"role": "tool", "tool_call_id": "c", "content": "22"},
        ]
    },
]


@pytest.mark.parametrize("fields", GOOD, ids=repr)
def test_good_bodies_are_decoded(fields: dict[str, Any]) -> None:
    assert CHAT.decode(body(**fields)).messages


BAD: list[tuple[dict[str, Any], str, str]] = [
    # fields, param, what the message must say
    ({"temperature": 2.1}, "temperature", "a number between 0 and 2"),
    ({"temperature": "hot"}, "temperature", "is a string. It must be a number between 0 and 2"),
    ({"top_p": -0.1}, "top_p", "a number between 0 and 1"),
    ({"repetition_penalty": 5e-324}, "repetition_penalty", "a number between 0.01 and 2"),
    ({"n": 0}, "n", "an integer between 1 and 128"),
    ({"n": 129}, "n", "an integer between 1 and 128"),
    ({"n": True}, "n", "is a boolean"),
    ({"n": 1.5}, "n", "is a number"),
    ({"max_tokens": 0}, "max_tokens", "an integer of at least 1"),
    ({"stop": list("abcde")}, "stop", "a string or an array of at most 4 items"),
    ({"stop": [1]}, "stop[0]", "is an integer. It must be a string"),
    ({"seed": 2**63}, "seed", "at most 64 bits"),
    ({"presence_penalty": 3}, "presence_penalty", "between -2 and 2"),
    ({"logit_bias": {"1": 101}}, "logit_bias", "A value of `logit_bias`"),
    ({"top_logprobs": 21}, "top_logprobs", "between 0 and 20"),
    ({"stream": "yes"}, "stream", "a boolean"),
    ({"stream_options": {"include_use": True}}, "stream_options.include_use", "include_usage"),
    ({"messages": []}, "messages", "an array of at least 1 item"),
    ({"messages": "Hi"}, "messages", "is a string"),
    ({"messages": [TURN, 3]}, "messages[1]", "is an integer"),
    ({"messages": [{"role": "user"}]}, "messages[0].content", "is required"),
    ({"messages": [{"content": "x"}]}, "messages[0].role", "is required"),
    (
        {"messages": [TURN, TURN, {"role": "bot", "content": ""}]},
        "messages[2].role",
        "is 'bot'. It must be one of 'assistant', 'developer', 'system', 'tool', 'user'",
    ),
    ({"messages": [{**TURN, "cache": 1}]}, "messages[0].cache", "not a known field"),
    (said([{"type": "image_url", "image_url": {}}]), "messages[0].content[0].type", "Image parts"),
    (said([{"type": "input_audio"}]), "messages[0].content[0].type", "Audio parts"),
    (said([{"type": "poem"}]), "messages[0].content[0].type", "one of 'refusal', 'text'"),
    ({"response_format": {"type": "xml"}}, "response_format.type", "'json_schema', 'text'"),
    ({"tool_choice": "any"}, "tool_choice", "one of 'auto', 'none', 'required' or an object"),
    ({"tools": [{"type": "custom"}]}, "tools[0].type", "is 'custom'. It must be 'function'"),
    ({"tools": [{"function": {}}]}, "tools[0].function.name", "is required"),
    ({"reasoning_effort": "some"}, "reasoning_effort", "'high', 'low'"),
    ({"service_tier": "flex"}, "service_tier", "one of 'auto', 'default'"),
    ({"metadata": {"a": 1}}, "metadata", "A value of `metadata` is an integer"),
    ({"modalities": ["audio"]}, "modalities[0]", "It must be 'text'"),
    ({"temprature": 1}, "temprature", "Did you mean `temperature`?"),
    ({"wholly_unknown": 1}, "wholly_unknown", "not a known field"),
    ({"prompt_logprobs": 0}, "prompt_logprobs", "crash a shared engine"),
    ({"chat_template": "{{x}}"}, "chat_template", "not supported"),
    ({"guided_json": {}}, "guided_json", "Send `structured_outputs`"),
    ({"functions": []}, "functions", "replaced by `tools`"),
]


@pytest.mark.parametrize(("fields", "param", "words"), BAD, ids=lambda each: repr(each)[:50])
def test_bad_values_are_named_with_what_is_allowed(
    fields: dict[str, Any], param: str, words: str
) -> None:
    error = refusal(body(**fields))
    assert (error.status, error.code, error.param) == (400, "invalid_request", param)
    assert words in error.message


TEXT = b'{"messages":[{"role":"user","content":"%s"}]}'
ODDITIES = {
    "nothing": b"",
    "blank": b" \n",
    "truncated": b'{"messages":',
    "trailing text": body() + b"{}",
    "an array": b"[]",
    "a byte order mark": b"\xef\xbb\xbf" + body(),
    "utf-16": body().decode().encode("utf-16"),
    "utf-16 without a mark": body().decode().encode("utf-16-le"),
    "not utf-8": TEXT % b"\xff",
    "not utf-8 where it is not read": b'{"annotations":"\xff","messages":[]}',
    "a lone high surrogate": TEXT % rb"\ud800",
    "a lone low surrogate": TEXT % rb"\udc00",
    "a surrogate in a key": b'{"\\ud800":1}',
    "an encoded surrogate": TEXT % b"\xed\xa0\x80",
    "NUL": TEXT % rb"\u0000",
    "NUL after a backslash": TEXT % rb"\\\u0000",
    "a raw NUL": TEXT % b"\x00",
    "a raw control character": TEXT % b"\n",
    "NaN": b'{"temperature":NaN}',
    "Infinity": b'{"temperature":Infinity}',
    "overflow": b'{"temperature":1e999}',
    "a huge integer": b'{"n":' + b"9" * 5000 + b"}",
    "a huge number": b'{"temperature":' + b"9" * 5000 + b"}",
    "a deep array": b'{"messages":' + b"[" * 100_000,
    "a deep object": b'{"messages":' + b'{"a":' * 100_000,
    "a deep schema": b'{"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":'
    + b"[" * 100_000,
    "single quotes": b"{'messages':[]}",
    "a comment": b'{/**/"messages":[]}',
}


@pytest.mark.parametrize("name", ODDITIES)
def test_oddities_of_json_are_refused(name: str) -> None:
    error = refusal(ODDITIES[name])
    assert error.status == 400
    error.message.encode()  # the answer can be written


def test_half_a_surrogate_pair_is_called_by_its_name() -> None:
    assert "surrogate" in refusal(TEXT % rb"\ud800").message


def test_a_whole_surrogate_pair_is_a_character() -> None:
    assert CHAT.decode(TEXT % rb"\ud83d\ude00").messages[0].content == "\U0001f600"


def test_an_escaped_backslash_before_u0000_is_no_nul() -> None:
    assert CHAT.decode(TEXT % rb"\\u0000").messages[0].content == r"\u0000"


def test_of_a_key_that_comes_twice_the_last_counts() -> None:
    decoded = CHAT.decode(b'{"n":1,"messages":[{"role":"user","content":"x"}],"n":2}')
    assert decoded.n == 2


def test_long_words_of_a_client_are_cut_in_the_message() -> None:
    error = refusal(body(**{"x" * 10_000: 1}))
    assert len(error.message) < 200
