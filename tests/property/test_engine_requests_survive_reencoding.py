"""What an engine gets is read back as what the client meant: encoding loses and adds no meaning."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmill.protocol.chat import ChatRequest
from tokenmill.protocol.checks import check_chat
from tokenmill.protocol.decoding import BodyDecoder
from tokenmill.protocol.shaping import RouteTerms, shape_chat
from tokenmill.settings import BodyBounds

TERMS = RouteTerms(engine_model="m", is_factory=True)
DECODER = BodyDecoder(ChatRequest)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
CONTENT = TEXT | st.lists(
    st.fixed_dictionaries({"type": st.just("text"), "text": TEXT}), min_size=1, max_size=3
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant"]), "content": CONTENT},
    optional={"name": TEXT},
)
SCHEMA = st.dictionaries(
    st.sampled_from(["title", "description", "default", "x"]), TEXT | st.integers(-9, 9)
)
PASSED_ON: dict[str, Any] = {
    "temperature": st.floats(0, 2),
    "top_p": st.floats(1e-6, 1),
    "n": st.integers(1, 128),
    "max_tokens": st.integers(1, 4096),
    "seed": st.integers(-(2**63), 2**63 - 1),
    "stop": st.lists(TEXT.filter(bool), min_size=1, max_size=4),
    "presence_penalty": st.floats(-2, 2),
    "logit_bias": st.dictionaries(st.integers(0, 99).map(str), st.floats(-100, 100)),
    "ignore_eos": st.booleans(),
    "response_format": SCHEMA.map(
        lambda schema: {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    ),
}
REQUEST = st.fixed_dictionaries(
    {"messages": st.lists(MESSAGE, min_size=1, max_size=4)}, optional=PASSED_ON
)


@settings(max_examples=200, deadline=None)
@given(request=REQUEST)
def test_what_is_passed_on_is_equal_after_the_trip(request: dict[str, Any]) -> None:
    decoded = DECODER.decode(json.dumps(request).encode())
    check_chat(decoded, BodyBounds())
    shaped = json.loads(shape_chat(decoded, TERMS))
    defaults = {"model": "m", "temperature": 0.7, "top_p": 1.0, "max_tokens": 1024}
    assert shaped == defaults | request


@settings(max_examples=50, deadline=None)
@given(request=REQUEST)
def test_what_an_engine_gets_would_be_taken_again(request: dict[str, Any]) -> None:
    once = shape_chat(DECODER.decode(json.dumps(request).encode()), TERMS)
    assert shape_chat(DECODER.decode(once), TERMS) == once
