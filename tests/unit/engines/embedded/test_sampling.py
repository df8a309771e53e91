"""From a request's sampling fields to those of mistral.rs."""

from typing import Any

import pytest

from tokenmill.engines.embedded.errors import BadRequest, PromptTooLong
from tokenmill.engines.embedded.requests import ChatMessage, ChatRequest, StreamOptions
from tokenmill.engines.embedded.sampling import (
    check_combinations,
    completion_tokens_max,
    is_repeatable,
    sampling_fields,
)


def request(**fields: Any) -> ChatRequest:
    return ChatRequest(messages=[ChatMessage(role="user", content="x")], **fields)


def test_a_silent_request_has_vllms_temperature() -> None:
    # mistral.rs takes the most likely token when nothing is said.
    assert sampling_fields(request(), {}, 0) == {"temperature": 1.0}


def test_the_models_own_defaults_come_before_and_the_request_before_those() -> None:
    defaults = {"temperature": 0.3, "top_p": 0.9}
    assert sampling_fields(request(), defaults, 0) == defaults
    fields = sampling_fields(request(temperature=0, top_p=1), defaults, 0)
    assert fields == {"temperature": 0, "top_p": 1}


@pytest.mark.parametrize("top_k", [-1, 0])
def test_top_k_of_all_is_not_told(top_k: int) -> None:
    assert "top_k" not in sampling_fields(request(top_k=top_k), {"top_k": 50}, 0)


def test_every_sampling_field_is_passed_on() -> None:
    given = {
        "temperature": 0.5,
        "top_p": 0.8,
        "top_k": 5,
        "min_p": 0.1,
        "repetition_penalty": 1.1,
        "presence_penalty": 0.5,
        "frequency_penalty": -0.5,
    }
    assert sampling_fields(request(**given), {}, 0) == given


@pytest.mark.parametrize("stop", ["end", ["end"]])
def test_one_stop_is_a_list_of_one(stop: Any) -> None:
    assert sampling_fields(request(stop=stop), {}, 0)["stop_seqs"] == ["end"]


def test_biases_are_told_by_token_id() -> None:
    assert sampling_fields(request(logit_bias={"7": -1.5}), {}, 8)["logit_bias"] == {7: -1.5}


@pytest.mark.parametrize("key", ["8", "-1", "x", "1.0", "٣", ""])
def test_a_bias_of_no_token_is_refused(key: str) -> None:
    with pytest.raises(BadRequest) as caught:
        sampling_fields(request(logit_bias={key: 1.0}), {}, 8)
    assert caught.value.param == "logit_bias"


@pytest.mark.parametrize(
    ("asked", "prompt", "expected"),
    [
        (None, 10, 90),  # up to the context
        (5, 10, 5),
        (500, 10, 90),  # as far as the context reaches
        (1, 99, 1),  # the last one that fits
    ],
)
def test_tokens_are_bounded_by_the_context(asked: int | None, prompt: int, expected: int) -> None:
    assert completion_tokens_max(asked, prompt, 100, None) == expected


@pytest.mark.parametrize("prompt", [100, 101])
def test_a_prompt_without_room_for_an_answer_is_too_long(prompt: int) -> None:
    with pytest.raises(PromptTooLong) as caught:
        completion_tokens_max(1, prompt, 100, None)
    assert caught.value.param == "input_tokens"


def test_a_minimum_beyond_the_maximum_is_refused() -> None:
    with pytest.raises(BadRequest) as caught:
        completion_tokens_max(5, 10, 100, 6)
    assert caught.value.param == "min_tokens"


def test_a_minimum_needs_ignore_eos() -> None:
    check_combinations(request(min_tokens=3, ignore_eos=True))
    with pytest.raises(BadRequest):
        check_combinations(request(min_tokens=3))


def test_stream_options_need_a_stream() -> None:
    check_combinations(request(stream=True, stream_options=StreamOptions()))
    with pytest.raises(BadRequest):
        check_combinations(request(stream_options=StreamOptions()))


def test_only_greedy_answers_are_repeatable() -> None:
    assert is_repeatable({"temperature": 0})
    assert is_repeatable({"temperature": 1.0, "top_k": 1})
    assert not is_repeatable({"temperature": 0.1})
