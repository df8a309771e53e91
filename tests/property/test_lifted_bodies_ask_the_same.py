"""A chat whose long texts are lifted asks the engine byte for byte what it asks decoded whole, and
is refused with the same words."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tokenmill.errors import ApiError, InvalidRequest
from tokenmill.inference.structure import _instruct
from tokenmill.protocol import lifting
from tokenmill.protocol.chat import ChatRequest
from tokenmill.protocol.checks import check_chat
from tokenmill.protocol.decoding import BodyDecoder
from tokenmill.protocol.schemas import schemas_of
from tokenmill.protocol.shaping import RouteTerms, shape_chat
from tokenmill.settings import BodyBounds

STRICT = BodyDecoder(ChatRequest)
LENIENT = BodyDecoder(ChatRequest, ignore_unknown=True)
TERMS = RouteTerms(engine_model="served", is_factory=True, context_tokens_max=8_192)
BOUNDS = BodyBounds()

Asked = bytes | tuple[int, str, str | None]


def ask(body: bytes, decoder: BodyDecoder[ChatRequest], instruction: str) -> Asked:
    """What the engine gets, or why it gets nothing."""
    try:
        request = decoder.decode(body)
        check_chat(request, BOUNDS)
        schemas_of(request)
        if instruction:
            _instruct(request.messages, instruction)
        return shape_chat(request, TERMS)
    except ApiError as error:
        return error.status, error.message, error.param


def ask_both(
    body: bytes, decoder: BodyDecoder[ChatRequest] = STRICT, instruction: str = ""
) -> tuple[Asked, Asked]:
    """The same, with every text of four bytes lifted, and with none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tokenmill.protocol.decoding.BODY_BYTES_MIN", 0)
        patch.setattr(lifting, "TEXT_BYTES_MIN", 4)
        lifted = ask(body, decoder, instruction)
        patch.setattr("tokenmill.protocol.decoding.BODY_BYTES_MIN", len(body) + 1)
        return lifted, ask(body, decoder, instruction)


SPELLINGS = st.lists(
    st.sampled_from(
        [
            *(
                "plain words ",
                "é",
                "\u2028",
                "\x7f",
                "😀",
                "\\/",
                '\\"',
                "\\\\",
                "\\n",
                "\\r",
                "\\t",
            ),
            *("\\b", "\\f", "\\u0041", "\\u00e9", "\\u00E9", "\\u001f", "\\u000A", "\\u0022"),
            *("\\u005c", "\\u2028", "\\ud83d\\ude00", "\\ud83d", "\\ude00", "\\u0000", "\\\\u0000"),
            *("\\x", "\\u12", "\n", "\x01", "\x00", "0", "x" * 70),
        ]
    ),
    max_size=8,
).map("".join)
GOOD_SPELLINGS = st.lists(
    st.sampled_from(["text ", "é", "\\n", '\\"', "\\\\", "\\/", "\\u00e9", "\\ud83d\\ude00"]),
    min_size=1,
).map("".join)


def spelled(value: Any, texts: list[str]) -> bytes:
    """JSON of `value`, in which the string "#N" is spelled as text N."""
    out = json.dumps(value)
    for index, text in enumerate(texts):
        out = out.replace(f'"#{index}"', f'"{text}"')
    return out.encode()


PLACES: list[dict[str, Any]] = [
    {"messages": [{"role": "user", "content": "#0"}]},
    {"messages": [{"role": "system", "content": "#0"}, {"role": "user", "content": "#1"}]},
    {"messages": [{"role": "developer", "content": "#0"}, {"role": "user", "content": "#1"}]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "#0"}, {"text": "#1"}]}]},
    {"messages": [{"role": "system", "content": [{"type": "text", "text": "#0"}]}]},
    {"messages": [{"role": "assistant", "content": "#0", "refusal": "#1"}]},
    {"messages": [{"role": "assistant", "content": [{"type": "refusal", "refusal": "#0"}]}]},
    {"messages": [{"role": "assistant", "content": "#0", "reasoning": "#1"}]},
    {"messages": [{"role": "user", "content": "#0", "name": "#1"}]},
    {"messages": [{"role": "#0", "content": "#1"}]},
    {"messages": [{"role": "user", "content": "#0", "#1": 1}]},
    {"messages": [{"role": "user", "content": {"type": "text", "text": "#0"}}]},
    {"messages": [{"role": "user", "content": "#0"}], "model": "#1"},
    {"messages": [{"role": "user", "content": "#0"}], "user": "#1"},
    {"messages": [{"role": "user", "content": "#0"}], "stop": ["#1"]},
    {"messages": [{"role": "user", "content": "#0"}], "metadata": {"#1": "#0"}},
    {"messages": [{"role": "user", "content": "#0"}], "unknown": "#1"},
    {"messages": [{"role": "user", "content": "#0"}], "n": "#1"},
    {"messages": [{"role": "user", "content": "#0"}], "prediction": {"content": "#1"}},
    {"messages": [{"role": "user", "content": "#0"}], "tool_choice": "#1"},
    {
        "messages": [{"role": "user", "content": "#0"}],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "f",
                    "description": "#1",
                    "parameters": {"type": "object", "properties": {"#0": {"const": "#1"}}},
                },
            }
        ],
    },
    {
        "messages": [{"role": "user", "content": "#0"}],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "s", "schema": {"enum": ["#1", "#0"]}},
        },
    },
    {
        "messages": [
            {
                "role": "assistant",
                "content": "#0",
                "tool_calls": [
                    {"id": "#1", "type": "function", "function": {"name": "f", "arguments": "#0"}}
                ],
            },
            {"role": "tool", "tool_call_id": "#1", "content": "#0"},
        ]
    },
]


@settings(max_examples=400)
@given(
    place=st.sampled_from(PLACES),
    texts=st.lists(SPELLINGS | GOOD_SPELLINGS, min_size=2, max_size=2),
    decoder=st.sampled_from([STRICT, LENIENT]),
    instruction=st.sampled_from(["", "Answer with JSON."]),
)
@example(PLACES[0], ["\\u00000", ""], STRICT, "")
@example(PLACES[0], ["long \\u0041\\u0000 text", ""], STRICT, "")
@example(PLACES[1], ["a system prompt", "\\\\u00001"], STRICT, "Answer with JSON.")
def test_lifted_or_not_the_engine_is_asked_the_same(
    place: dict[str, Any],
    texts: list[str],
    decoder: BodyDecoder[ChatRequest],
    instruction: str,
) -> None:
    body = spelled(place, texts)
    lifted, whole = ask_both(body, decoder, instruction)
    assert lifted == whole


@settings(max_examples=100)
@given(texts=st.lists(GOOD_SPELLINGS, min_size=1, max_size=4), cut=st.integers(0, 400))
def test_a_body_that_is_cut_is_refused_with_the_same_words(texts: list[str], cut: int) -> None:
    turns = [{"role": "user", "content": f"#{index}"} for index in range(len(texts))]
    body = spelled({"messages": turns}, texts)
    lifted, whole = ask_both(body[:cut])
    assert lifted == whole


def test_of_a_long_text_that_comes_twice_the_last_counts() -> None:
    body = b'{"messages":[{"role":"user","content":"the first one","content":"the second one"}]}'
    lifted, whole = ask_both(body)
    assert lifted == whole
    assert b"the second one" in lifted if isinstance(lifted, bytes) else False


@pytest.mark.parametrize("text", ["x" * 100_000, "é" * 50_000, "\\u00e9" * 20_000])
def test_a_long_prompt_is_lifted(text: str) -> None:
    """As it comes: no bound is changed for the test."""
    body = spelled({"messages": [{"role": "user", "content": "#0"}]}, [text])
    content: object = STRICT.decode(body).messages[0].content
    assert isinstance(content, msgspec.Raw)
    assert msgspec.json.decode(content) == json.loads(f'"{text}"')


def test_a_long_prompt_with_nul_is_refused_as_a_short_one() -> None:
    body = spelled({"messages": [{"role": "user", "content": "#0"}]}, ["x" * 100_000 + "\\u0000"])
    with pytest.raises(InvalidRequest, match="NUL"):
        STRICT.decode(body)
