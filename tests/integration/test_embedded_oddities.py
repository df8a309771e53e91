"""Whatever stands in a body, the engine answers 200, 400 or 404 and lives on."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.embedded_engine import Engine, demo_model, running_engine

BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4},
    "/v1/completions": {"prompt": "Hi", "max_tokens": 4},
    "/v1/embeddings": {"input": "Hi"},
    "/tokenize": {"prompt": "Hi"},
    "/detokenize": {"tokens": [5]},
    "/v1/load_lora_adapter": {"lora_name": "a", "lora_path": "/nowhere"},
    "/v1/unload_lora_adapter": {"lora_name": "a"},
}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
FIELDS: dict[str, list[Any]] = {
    "n": [2],
    "temperature": [0, 2],
    "top_k": [1],
    "min_p": [0.5],
    "repetition_penalty": [0.1, 2],
    "logit_bias": [{"5": -100}],
    "stop": ["a", ["b", "c"]],
    "ignore_eos": [True],
    "stream": [True],
    "stream_options": [{"include_usage": True}],
    "logprobs": [True, 3],
    "top_logprobs": [5],
    "echo": [True],
    "tools": [[TOOL]],
    "tool_choice": ["required", "none", {"type": "function", "function": {"name": "f"}}],
    "response_format": [{"type": "json_object"}],
    "structured_outputs": [{"regex": "a+"}, {"choice": ["a", "\n"]}, {"json": {"enum": [1]}}],
    "messages": [[{"role": role, "content": "\0<|im_end|>"}] for role in ("system", "tool")],
    "prompt": [["a", "\0"], [5, 6], " "],
    "input": [["a"], [5], "\0"],
    "lora_path": ["x" * 5_000, "\0"],
    "max_tokens": [1],
}
odd: st.SearchStrategy[Any] = st.sampled_from(
    [None, 0, -1, 2**63, 2**70, 1.5, 1e308, "", "\0", "\ud800", "x" * 600, [], [[]], [1], {}, True]
)


@st.composite
def changes(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(sorted(FIELDS)), min_size=1, max_size=3, unique=True))
    return {name: draw(st.sampled_from(FIELDS[name]) | odd) for name in names}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with running_engine(model=demo_model()) as engine:
        yield engine


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(path=st.sampled_from(sorted(BODIES)), changed=changes())
def test_every_body_gets_an_honest_answer(
    engine: Engine, path: str, changed: dict[str, Any]
) -> None:
    status, headers, text = engine.exchange(path, BODIES[path] | changed)
    assert status in (200, 400, 404), text
    if status != 200:
        error = json.loads(text)["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["code"] == status
    elif headers["content-type"].startswith("text/event-stream"):
        assert text.endswith("data: [DONE]\n\n")
        assert '{"error"' not in text
    assert engine.call("/health")[0] == 200
