"""Plain completions and tokens with the real embedded engine."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.embedded_engine import Engine, demo_model, running_engine

PROMPT = "<|im_start|>user\nCount to 10<|im_end|>\n<|im_start|>assistant\n"
TEN = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10."


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with running_engine(model=demo_model()) as engine:
        yield engine


def complete(engine: Engine, prompt: Any = PROMPT, **fields: Any) -> dict[str, Any]:
    body = {"prompt": prompt, "temperature": 0, "max_tokens": 60, **fields}
    status, answer = engine.call("/v1/completions", body)
    assert status == 200, answer
    return dict(answer)


def texts(answer: dict[str, Any]) -> list[str]:
    return [choice["text"] for choice in answer["choices"]]


def test_a_text_is_continued_without_the_chat_template(engine: Engine) -> None:
    answer = complete(engine)
    assert answer["object"] == "text_completion"
    assert answer["id"].startswith("cmpl-")
    assert texts(answer) == [TEN]
    assert answer["choices"][0]["finish_reason"] == "stop"
    _, tokenized = engine.call("/tokenize", {"prompt": PROMPT})
    assert answer["usage"]["prompt_tokens"] == tokenized["count"]


def test_a_leading_blank_of_the_text_is_kept(engine: Engine) -> None:
    (whole,) = texts(complete(engine, PROMPT + "1,"))
    assert whole == TEN.removeprefix("1,")
    assert whole[0] == " "


def test_max_tokens_is_16_when_nothing_is_said(engine: Engine) -> None:
    answer = complete(engine, max_tokens=None, ignore_eos=True)
    assert answer["usage"]["completion_tokens"] == 16


def test_prompts_and_choices_are_indexed_prompt_by_prompt(engine: Engine) -> None:
    other = PROMPT.replace("10", "3")
    answer = complete(engine, [PROMPT, other], n=2)
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    singles = [complete(engine, each) for each in (PROMPT, other)]
    assert texts(singles[0]) == [TEN] != texts(singles[1])
    assert texts(answer) == [*texts(singles[0]) * 2, *texts(singles[1]) * 2]
    used = [single["usage"] for single in singles]
    assert answer["usage"]["prompt_tokens"] == sum(u["prompt_tokens"] for u in used)
    assert answer["usage"]["completion_tokens"] == 2 * sum(u["completion_tokens"] for u in used)


def test_token_ids_are_continued_as_their_text(engine: Engine) -> None:
    _, tokenized = engine.call("/tokenize", {"prompt": PROMPT})
    assert texts(complete(engine, tokenized["tokens"])) == [TEN]
    assert texts(complete(engine, [tokenized["tokens"]])) == [TEN]


def test_token_ids_that_their_text_does_not_give_are_refused(engine: Engine) -> None:
    letters = [engine.call("/tokenize", {"prompt": letter})[1]["tokens"][0] for letter in "the"]
    status, answer = engine.call("/v1/completions", {"prompt": letters})
    assert (status, answer["error"]["param"]) == (400, "prompt")


def test_a_stream_has_the_same_text_and_one_finish(engine: Engine) -> None:
    body = {
        "prompt": [PROMPT, PROMPT + "1,"],
        "temperature": 0,
        "max_tokens": 60,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
    }
    events = engine.events("/v1/completions", body)
    assert events[-1] == "[DONE]"
    choices = [choice for event in events[:-1] for choice in event["choices"]]
    for index, expected in enumerate((TEN, TEN.removeprefix("1,"))):
        of_index = [choice for choice in choices if choice["index"] == index]
        assert "".join(choice["text"] for choice in of_index) == expected
        assert [c["finish_reason"] for c in of_index if c["finish_reason"]] == ["stop"]
    assert events[-2]["choices"] == []
    whole = complete(engine, body["prompt"])["usage"]
    assert events[-2]["usage"] == whole


def test_echo_repeats_the_prompt(engine: Engine) -> None:
    assert texts(complete(engine, echo=True)) == [PROMPT + TEN]
    body = {"prompt": PROMPT, "temperature": 0, "max_tokens": 60, "echo": True}
    events = engine.events("/v1/completions", body)
    assert "".join(event["choices"][0]["text"] for event in events[:-1]) == PROMPT + TEN
    only = complete(engine, echo=True, max_tokens=0)
    assert texts(only) == [PROMPT]
    assert only["usage"]["completion_tokens"] == 0


def test_logprobs_stand_at_their_offsets(engine: Engine) -> None:
    answer = complete(engine, max_tokens=5, logprobs=2)
    choice = answer["choices"][0]
    found = choice["logprobs"]
    assert "".join(found["tokens"]) == choice["text"]
    for offset, token, logprob, rivals in zip(
        found["text_offset"],
        found["tokens"],
        found["token_logprobs"],
        found["top_logprobs"],
        strict=True,
    ):
        assert choice["text"][offset:].startswith(token)
        assert logprob <= 0
        assert len(rivals) == 2


def test_a_format_is_kept(engine: Engine) -> None:
    (text,) = texts(complete(engine, structured_outputs={"regex": " [0-9]{2} x"}))
    assert (text[0], text[3:]) == (" ", " x")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"suffix": "end"}, "suffix"),
        ({"best_of": 3}, "best_of"),
        ({"echo": True, "logprobs": 1}, "echo"),
        ({"prompt_logprobs": 1}, "prompt_logprobs"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"logprobs": 21}, "logprobs"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["a", [1]]}, "prompt"),
        ({"prompt": [1, "a"]}, "prompt"),
        ({"prompt": ["a"] * 300}, "prompt"),
        ({"prompt": "x " * 3_000}, "input_tokens"),
        ({"messages": []}, "messages"),
    ],
)
def test_what_cannot_be_done_is_a_400_that_names_the_field(
    engine: Engine, fields: dict[str, Any], param: str
) -> None:
    status, answer = engine.call("/v1/completions", {"prompt": "a", **fields})
    assert (status, answer["error"]["param"]) == (400, param)


def test_token_ids_outside_the_vocabulary_are_refused(engine: Engine) -> None:
    for path, body in (
        ("/v1/completions", {"prompt": [4_000_000_000]}),
        ("/detokenize", {"tokens": [4_000_000_000]}),
    ):
        assert engine.call(path, body)[0] == 400


def test_tokenize_and_detokenize_are_inverse(engine: Engine) -> None:
    text = "Grüße, 你好 🦀 <|im_end|>"
    _, tokenized = engine.call("/tokenize", {"prompt": text})
    assert tokenized["count"] == len(tokenized["tokens"])
    assert tokenized["max_model_len"] > 1_000
    _, back = engine.call("/detokenize", {"tokens": tokenized["tokens"]})
    assert back["prompt"] == text


def test_a_conversation_is_counted_as_the_model_reads_it(engine: Engine) -> None:
    messages = [{"role": "user", "content": "Hello!"}]
    _, tokenized = engine.call("/tokenize", {"messages": messages})
    assert tokenized["count"] == engine.chat("Hello!")["usage"]["prompt_tokens"]
    assert engine.call("/tokenize", {"messages": messages, "prompt": "x"})[0] == 400
    assert engine.call("/tokenize", {})[0] == 400
