"""The embedded engine under pressure: clients that go, a full queue, many streams, its ending."""

import contextlib
import http.client
import json
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.embedded_engine import Engine, chat_body, demo_model, running_engine

ENDLESS = chat_body("Hello!", ignore_eos=True)  # up to the context: about a second
LONG = ENDLESS | {"max_tokens": 500, "stream": True}
"""What a test waits for to the end. On a busy machine that takes thirty times as long: tokens go
from thread to thread."""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with running_engine(model=demo_model()) as engine:
        yield engine


@pytest.fixture(scope="module")
def narrow() -> Iterator[Engine]:
    """One sequence may run and one may wait."""
    limits = ("--sequences-max", "1", "--waiting-max", "1")
    with running_engine(*limits, model=demo_model()) as engine:
        yield engine


@contextlib.contextmanager
def sent(engine: Engine, body: dict[str, Any]) -> Iterator[http.client.HTTPConnection]:
    """A connection with a chat on its way; closed at the end."""
    connection = engine.connect()
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body))
        yield connection
    finally:
        connection.close()


def generated(engine: Engine) -> float:
    return engine.gauge("generation_tokens_total")


def assert_nothing_is_generated(engine: Engine) -> None:
    """Nothing more is made while other requests are answered."""
    before = generated(engine)
    for _ in range(20):
        assert engine.call("/v1/models")[0] == 200
    assert generated(engine) == before


def test_a_stream_whose_client_goes_is_stopped(engine: Engine) -> None:
    before = generated(engine)
    with sent(engine, ENDLESS | {"stream": True}) as connection:
        response = connection.getresponse()
        assert response.status == 200
        response.readline()
        engine.wait_for("num_requests_running", 1)
    engine.wait_for("num_requests_running", 0)
    assert generated(engine) - before < 1_500
    assert_nothing_is_generated(engine)
    assert engine.gauge("kv_cache_usage_perc") == 0


def test_an_unstreamed_answer_whose_client_goes_is_stopped(engine: Engine) -> None:
    with sent(engine, ENDLESS):
        engine.wait_for("num_requests_running", 1)
    engine.wait_for("num_requests_running", 0)
    assert_nothing_is_generated(engine)


def test_all_choices_of_a_request_are_stopped(engine: Engine) -> None:
    with sent(engine, ENDLESS | {"stream": True, "n": 40}) as connection:
        connection.getresponse().readline()
        engine.wait_for("num_requests_running", 32)
        engine.wait_for("num_requests_waiting", 8)
    engine.wait_for("num_requests_running", 0)
    engine.wait_for("num_requests_waiting", 0)
    assert_nothing_is_generated(engine)


def test_a_full_queue_is_a_503_with_a_time_to_come_back(narrow: Engine) -> None:
    with sent(narrow, LONG):
        narrow.wait_for("num_requests_running", 1)
        with sent(narrow, chat_body("Hello!")) as waiting:
            narrow.wait_for("num_requests_waiting", 1)
            status, headers, text = narrow.exchange(
                "/v1/chat/completions", chat_body("Hello!", stream=True)
            )
            assert status == 503
            assert int(headers["retry-after"]) >= 1
            assert json.loads(text)["error"]["type"] == "ServiceUnavailableError"
            answer = waiting.getresponse()
            assert answer.status == 200
            assert json.loads(answer.read())["choices"][0]["finish_reason"] == "stop"


def test_more_choices_than_ever_fit_are_refused_for_good(narrow: Engine) -> None:
    status, answer = narrow.call("/v1/chat/completions", chat_body("Hello!", n=3))
    assert (status, answer["error"]["param"]) == (400, "n")


def test_a_waiting_request_whose_client_goes_leaves_the_queue(narrow: Engine) -> None:
    with sent(narrow, ENDLESS | {"stream": True}):
        narrow.wait_for("num_requests_running", 1)
        with sent(narrow, chat_body("Hello!")):
            narrow.wait_for("num_requests_waiting", 1)
        narrow.wait_for("num_requests_waiting", 0)
        assert narrow.gauge("num_requests_running") == 1
    narrow.wait_for("num_requests_running", 0)
    narrow.chat("Hello!")


def test_a_prompt_is_refused_while_the_queue_is_full_and_after(narrow: Engine) -> None:
    too_long = chat_body("word " * 5_000)
    with sent(narrow, ENDLESS | {"stream": True}):
        narrow.wait_for("num_requests_running", 1)
        assert narrow.call("/v1/chat/completions", too_long)[0] == 400
    narrow.wait_for("num_requests_running", 0)


def test_many_streams_at_once_say_what_one_says(engine: Engine) -> None:
    expected = engine.chat("Count to 10")["choices"][0]["message"]["content"]
    said: list[str] = []

    def ask() -> None:
        events = engine.events("/v1/chat/completions", chat_body("Count to 10"))[:-1]
        said.append("".join(e["choices"][0]["delta"].get("content", "") for e in events))

    threads = [threading.Thread(target=ask) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == [expected] * 64


def test_bad_grammars_among_good_answers_hurt_nobody(engine: Engine) -> None:
    expected = engine.chat("Count to 10")["choices"][0]["message"]["content"]
    bad = chat_body("Hello!", structured_outputs={"regex": "((("})
    said: list[Any] = []

    def ask(body: dict[str, Any]) -> None:
        said.append(engine.call("/v1/chat/completions", body))

    bodies = [chat_body("Count to 10"), bad] * 16
    threads = [threading.Thread(target=ask, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(status for status, _ in said) == [200] * 16 + [400] * 16
    texts = {a["choices"][0]["message"]["content"] for status, a in said if status == 200}
    assert texts == {expected}
    engine.wait_for("num_requests_running", 0)


def test_the_counters_count(engine: Engine) -> None:
    names = ("prompt_tokens_total", "generation_tokens_total")
    before = [engine.gauge(name) for name in names]
    usage = engine.chat("Count to 10", n=2)["usage"]
    after = [engine.gauge(name) for name in names]
    assert after[0] - before[0] == usage["prompt_tokens"]
    assert after[1] - before[1] == usage["completion_tokens"]
    _, text = engine.call("/metrics")
    assert "\nvllm:lora_requests_info{" in text


def test_each_ending_is_counted_under_its_reason(engine: Engine) -> None:
    def counts() -> dict[str, int]:
        _, text = engine.call("/metrics")
        pattern = r'^vllm:request_success_total\{finished_reason="(\w+)",.*\} (\d+)$'
        return {name: int(count) for name, count in re.findall(pattern, text, re.MULTILINE)}

    before = counts()
    engine.chat("Hello!")
    engine.chat("Hello!", max_tokens=1)
    body = chat_body("Hello!", structured_outputs={"regex": "((("})
    assert engine.call("/v1/chat/completions", body)[0] == 400
    with sent(engine, ENDLESS):
        engine.wait_for("num_requests_running", 1)
    engine.wait_for("num_requests_running", 0)
    assert {name: count - before[name] for name, count in counts().items()} == {
        "stop": 1,
        "length": 1,
        "error": 1,
        "abort": 1,
    }


def test_a_running_stream_ends_before_the_engine_does() -> None:
    with running_engine(model=demo_model()) as engine:
        with sent(engine, LONG) as connection:
            response = connection.getresponse()
            response.readline()
            engine.process.send_signal(signal.SIGTERM)
            assert response.read().endswith(b"data: [DONE]\n\n")
        assert engine.process.wait(10) == 0


@pytest.mark.parametrize("what", ["hub", "missing", "empty", "foreign", "broken"])
def test_a_model_that_cannot_be_served_ends_the_engine_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    demo_model()
    named: Path | str = tmp_path / what if what != "hub" else "tokenmill-tests/no-such-model"
    said = {
        "hub": "nor in the local Hugging Face cache",
        "missing": "no folder or GGUF file",
        "empty": "no config.json",
        "foreign": "does not run models of type 'whisper'",
        "broken": "cannot load the model",
    }[what]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    if isinstance(named, Path) and what != "missing":
        named.mkdir()
    if isinstance(named, Path) and what in ("foreign", "broken"):
        kind = "whisper" if what == "foreign" else "llama"
        (named / "config.json").write_text(json.dumps({"model_type": kind}))
    with (
        pytest.raises(AssertionError, match=said) as caught,
        running_engine(model=str(named)),
    ):
        pass
    assert "Traceback" not in str(caught.value)
