"""The life of a vLLM beside a house: it appears, is busy, leaves in mid-stream, is killed; and one
that the house itself starts.

Each test has servers of its own, which take some fifteen seconds to come up.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.chat import Streamed
from tests.support.house import House, is_running, run_house, scratch_folder
from tests.support.ports import fresh_port
from tests.support.real_vllm import (
    CHAT_ARGUMENTS,
    ENVIRONMENT,
    RealVllm,
    model_folder,
    start_vllm,
    vllm_command,
)
from tests.support.waiting import eventually

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(300)]

NOTICED_S = 2.0
HELLO: Any = {"messages": [{"role": "user", "content": "Say hello."}], "temperature": 0}
LONG: Any = {
    "messages": [{"role": "user", "content": "Count to thirty."}],
    "max_tokens": 1_900,
    "min_tokens": 1_900,
    "ignore_eos": True,
    "stream": True,
}


@pytest.fixture
def folder() -> Iterator[Path]:
    with scratch_folder() as path:
        yield path


def discovering(port: int) -> dict[str, str]:
    return {
        "TOKENMILL_DISCOVERY_ENABLED": "true",
        "TOKENMILL_DISCOVERY_PORTS": str(port),
        "TOKENMILL_FORWARD_STALL_MS": "6000",
    }


def listed(client: httpx.Client) -> list[str]:
    return [model["id"] for model in client.get("/v1/models").json()["data"]]


def say_hello(client: httpx.Client) -> httpx.Response:
    return client.post("/v1/chat/completions", json=HELLO)


class OpenStream:
    """A long stream that has begun; `finish` reads it to its end."""

    def __init__(self, client: httpx.Client) -> None:
        self._context = client.stream("POST", "/v1/chat/completions", json=LONG)
        self._answer = self._context.__enter__()
        assert self._answer.status_code == 200, self._answer.read()
        self._lines = self._answer.iter_lines()
        next(line for line in self._lines if "content" in line)

    def finish(self) -> Streamed:
        seen = Streamed(status=200)
        try:
            for line in self._lines:
                data = line.removeprefix("data: ")
                if data == "[DONE]":
                    seen.is_done = True
                elif data.startswith("{"):
                    event = json.loads(data)
                    seen.events.append(event)
                    seen.error = event.get("error", seen.error)
        except httpx.HTTPError as error:
            seen.broke = repr(error)
        self._context.__exit__(None, None, None)
        return seen


def check_broken_off(seen: Streamed) -> None:
    """An error event told it; no clean end, and no torn connection either."""
    assert seen.error is not None
    assert set(seen.error) == {"message", "type", "param", "code"}
    # Told to leave, vLLM mostly ends its streams with "abort"; some it leaves hanging.
    assert seen.error["code"] in ("engine_error", "engine_timeout")
    assert not seen.is_done
    assert not seen.broke


def check_refused(answer: httpx.Response, code: str) -> None:
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, code)
    assert int(answer.headers["retry-after"]) >= 1


def test_it_is_found_kept_while_busy_and_missed_when_it_leaves(folder: Path) -> None:
    port = fresh_port()
    with (
        run_house(
            folder, command="serve", environment=discovering(port), wants_model=False
        ) as house,
        house.client() as client,
        start_vllm(folder, port=port) as server,
    ):
        check_refused(say_hello(client), "no_engine")
        assert "No running inference endpoint found" in say_hello(client).text
        server.wait_up()
        eventually(lambda: listed(client) == ["tiny-chat"], "found", within_s=NOTICED_S)
        assert say_hello(client).json()["model"] == "tiny-chat"

        check_kept_while_busy(server, client)

        stream = OpenStream(client)
        server.process.terminate()
        check_broken_off(stream.finish())
        eventually(lambda: server.process.poll() is not None, "vLLM ended", within_s=20)
        eventually(lambda: listed(client) == [], "missed", within_s=NOTICED_S)
        check_refused(say_hello(client), "no_engine")


def check_kept_while_busy(server: RealVllm, client: httpx.Client) -> None:
    """Stopped processes answer no look, as those of a busy engine; the kernel still connects."""
    server.signal_all(signal.SIGSTOP)
    until = time.monotonic() + 2 * NOTICED_S
    while time.monotonic() < until:
        assert listed(client) == ["tiny-chat"]
        time.sleep(0.1)
    server.signal_all(signal.SIGCONT)
    assert say_hello(client).status_code == 200


@pytest.fixture
def supervised(folder: Path) -> dict[str, str]:
    """Settings for a house that starts a vLLM itself, as it would where a GPU is."""
    words = ('"' + word + '"' for word in CHAT_ARGUMENTS)
    (folder / "tokenmill.toml").write_text(
        f'[vllm]\ncommand = ["{vllm_command()}", "serve"]\n'
        f'arguments = ["--served-model-name", "tiny-chat", {", ".join(words)}]\n'
    )
    return dict(ENVIRONMENT)


def start_supervised(folder: Path, environment: dict[str, str]) -> Any:
    flags = ("--config", str(folder / "tokenmill.toml"), "--model", str(model_folder("tiny-chat")))
    return run_house(folder, *flags, environment=environment, wants_model=False)


def vllm_children(house: House) -> list[int]:
    """The vLLM that the house's child holds."""
    found = []
    for holder in house.children("engines.vllm"):
        text = Path(f"/proc/{holder}/task/{holder}/children").read_text()
        found += [int(number) for number in text.split()]
    return found


def test_one_of_our_own_is_loading_then_serves_is_killed_and_started_again(
    folder: Path, supervised: dict[str, str]
) -> None:
    with start_supervised(folder, supervised) as house, house.client() as client:
        check_refused(say_hello(client), "model_loading")
        eventually(lambda: listed(client) == ["tiny-chat"], "it serves", within_s=120)
        assert say_hello(client).status_code == 200

        stream = OpenStream(client)
        os.kill(vllm_children(house)[0], signal.SIGKILL)
        check_broken_off(stream.finish())
        eventually(lambda: listed(client) == [], "missed", within_s=NOTICED_S)
        check_refused(say_hello(client), "model_loading")
        eventually(lambda: listed(client) == ["tiny-chat"], "it serves again", within_s=120)
        assert say_hello(client).status_code == 200

        family = [*house.family(), *vllm_children(house)]
        assert house.stop() == 0
        assert not any(map(is_running, family))


def test_a_holder_that_is_killed_leaves_no_vllm_behind(
    folder: Path, supervised: dict[str, str]
) -> None:
    with start_supervised(folder, supervised) as house:
        leader = eventually(lambda: vllm_children(house) or None, "starts", within_s=30)[0]
        house.kill_child("engines.vllm")
        eventually(lambda: not is_running(leader), "it ends with its holder", within_s=20)
        leader = eventually(lambda: vllm_children(house) or None, "another", within_s=30)[0]
        os.kill(house.process.pid, signal.SIGKILL)
        eventually(lambda: not is_running(leader), "it ends with the house", within_s=20)
