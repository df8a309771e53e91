"""Real engines behind one gateway, killed one after the other under streams: what clients see of
it, and what they pay.

Two embedded engines and a vLLM (a third embedded one where there is no vLLM). The size is set by
`TOKENMILL_TEST_ENGINE_KILLS`, `TOKENMILL_TEST_ENGINE_KILL_S` (seconds between two) and
`TOKENMILL_TEST_ENGINE_STREAMS`; what was seen is printed.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.e2e.test_money import billed, check_books
from tests.support.background_load import BackgroundLoad
from tests.support.chat import PATH
from tests.support.embedded_engine import demo_model
from tests.support.house import House, run_house
from tests.support.ports import fresh_port
from tests.support.real_vllm import answers, start_vllm
from tests.support.waiting import eventually

KILLS = int(os.environ.get("TOKENMILL_TEST_ENGINE_KILLS", "2"))
KILL_S = float(os.environ.get("TOKENMILL_TEST_ENGINE_KILL_S", "3"))
STREAMS = int(os.environ.get("TOKENMILL_TEST_ENGINE_STREAMS", "50"))
UP_S_MAX = 300.0
WORDS = 60
NOTICED_S = 15.0
"""Within it a house knows again of an engine that came back."""
DEMO, VLLM = "tokenmill-demo", "tiny-chat"


@dataclass
class Seen:
    """One request, as its client saw it."""

    model: str
    began_s: float
    status: int = 0
    ended_s: float = 0.0
    is_done: bool = False
    error: str = ""
    broke: str = ""
    prompt: int = 0
    completion: int = 0

    def note(self, line: str) -> None:
        """A line of the stream."""
        if line == "data: [DONE]":
            self.is_done = True
        elif line.startswith("data: {"):
            event = json.loads(line[6:])
            self.error = json.dumps(event["error"]) if "error" in event else self.error
            usage = event.get("usage") or {}
            self.prompt = usage.get("prompt_tokens", self.prompt)
            self.completion = usage.get("completion_tokens", self.completion)


class Engine:
    """An engine that is killed and started again at its address."""

    def __init__(self, model: str, start: Callable[[int], subprocess.Popen[bytes]]) -> None:
        self.model = model
        self.port = fresh_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.down: list[tuple[float, float]] = []
        self.is_up = True
        self._start = start
        self._process = start(self.port)

    def wait_up(self) -> None:
        """Returns when it lists its models."""
        eventually(lambda: answers(self.url), f"{self.model} is up", within_s=UP_S_MAX)

    def kill(self) -> None:
        """Ends it as the kernel does when memory is short, with all its processes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def kill_and_start(self) -> None:
        """Killed, and back; when it was down is kept."""
        began_s = time.monotonic()
        self.kill()
        self._process = self._start(self.port)
        self.wait_up()
        self.down.append((began_s, time.monotonic()))
        self.is_up = True


def kill_on_and_on(engines: list[Engine]) -> list[Future[None]]:
    """Every KILL_S seconds one of those that are up is killed, in turn; the starts go on."""
    began_s = time.monotonic()
    starts = []
    pool = ThreadPoolExecutor(len(engines))
    for number in range(KILLS):
        time.sleep(max(0.0, began_s + number * KILL_S - time.monotonic()))
        turns = [engines[(number + step) % len(engines)] for step in range(len(engines))]
        eventually(lambda: any(one.is_up for one in engines), "one is up", within_s=UP_S_MAX)
        victim = next(one for one in turns if one.is_up)
        victim.is_up = False
        starts.append(pool.submit(victim.kill_and_start))
    time.sleep(KILL_S)
    pool.shutdown(wait=False)
    return starts


def start_embedded(port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tokenmill.engines.embedded", "--port", str(port)]
    return subprocess.Popen(
        [*command, "--model", demo_model()], stderr=subprocess.DEVNULL, start_new_session=True
    )


@contextlib.contextmanager
def three_engines(folder: Path) -> Iterator[list[Engine]]:
    """All up; ended afterwards."""
    with contextlib.ExitStack() as running:

        def start_real(port: int) -> subprocess.Popen[bytes]:
            return running.enter_context(start_vllm(folder, port=port)).process

        third = (VLLM, start_real) if has_vllm() else (DEMO, start_embedded)
        engines = []
        for model, start in ((DEMO, start_embedded), (DEMO, start_embedded), third):
            engines.append(Engine(model, start))
            running.callback(engines[-1].kill)
        for engine in engines:
            engine.wait_up()
        yield engines


def has_vllm() -> bool:
    return bool(os.environ.get("TOKENMILL_TEST_VLLM_VENV"))


class Load(BackgroundLoad):
    """Streams without end, each begun as soon as the one before is over."""

    def __init__(self, house: House, models: list[str]) -> None:
        super().__init__()
        self.seen: list[Seen] = []
        self._house = house
        self._models = models

    async def run(self) -> None:
        headers = {"authorization": f"Bearer {self._house.key}"}
        limits = httpx.Limits(max_connections=STREAMS)
        async with httpx.AsyncClient(
            base_url=self._house.url, headers=headers, timeout=90, limits=limits
        ) as client:
            streams = (self._stream_on(client, self._models[at % 3]) for at in range(STREAMS))
            await asyncio.gather(*streams)

    async def _stream_on(self, client: httpx.AsyncClient, model: str) -> None:
        options = {"include_usage": True, "continuous_usage_stats": True}
        said = [{"role": "user", "content": "Say something."}]
        wish = {"model": model, "messages": said, "stream": True, "stream_options": options}
        wish |= {"max_tokens": WORDS, "ignore_eos": True}
        while not self.is_over:
            seen = Seen(model, time.monotonic())
            self.seen.append(seen)
            try:
                async with client.stream("POST", PATH, json=wish) as answer:
                    seen.status = answer.status_code
                    async for line in answer.aiter_lines():
                        seen.note(line)
            except httpx.HTTPError as error:
                seen.broke = repr(error)
            seen.ended_s = time.monotonic()
            if seen.status != 200:
                await asyncio.sleep(0.2)


def was_down(engines: list[Engine], seen: Seen, *, all_of_them: bool) -> bool:
    """Whether an engine of the model, or every one, was away while the request ran."""

    def was_away(engine: Engine) -> bool:
        return any(
            began_s <= seen.ended_s and seen.began_s <= ended_s + NOTICED_S
            for began_s, ended_s in engine.down
        )

    away = [was_away(engine) for engine in engines if engine.model == seen.model]
    return all(away) if all_of_them else any(away)


def fate(seen: Seen) -> str:
    if seen.status != 200:
        return f"refused with {seen.status}"
    return "cut" if seen.error else "whole"


@pytest.mark.timeout(240 + int(KILLS * (KILL_S + UP_S_MAX)))
def test_engines_that_are_killed_cost_the_streams_they_had_and_nothing_else(folder: Path) -> None:
    demo_model()
    with contextlib.ExitStack() as stack:
        engines = stack.enter_context(three_engines(folder))
        flags = [flag for engine in engines for flag in ("--engine", engine.url)]
        house = stack.enter_context(run_house(folder, *flags, command="serve"))
        load = Load(house, [engine.model for engine in engines])
        with load.running():
            eventually(lambda: len(load.seen) > 2 * STREAMS, "streams run", within_s=120)
            starts = kill_on_and_on(engines)
        for start in starts:
            start.result(UP_S_MAX)
        fates = Counter((seen.model, fate(seen)) for seen in load.seen)
        print(dict(fates), [(engine.model, len(engine.down)) for engine in engines])
        for seen in load.seen:
            assert not seen.broke, seen
            assert seen.status != 200 or seen.is_done != bool(seen.error), f"silent: {seen}"
            if seen.error:
                assert was_down(engines, seen, all_of_them=False), seen
            if seen.status != 200:
                assert seen.status in (502, 503), seen
                assert was_down(engines, seen, all_of_them=True), seen
        check_bill(house, load.seen)


def check_bill(house: House, seen: list[Seen]) -> None:
    """What was billed is what the clients were told, token by token."""
    answered = [each for each in seen if each.status == 200]
    eventually(
        lambda: billed(house)["completion_tokens"] >= sum(each.completion for each in answered),
        "all is billed",
        within_s=30,
    )
    found = billed(house)
    completion = sum(each.completion for each in answered)
    prompt = sum(each.prompt for each in answered)
    print({"billed": found, "seen": {"prompt": prompt, "completion": completion}})
    assert (found["completion_tokens"], found["prompt_tokens"]) == (completion, prompt)
    assert found["cost_nanos"] == 100 * (prompt + completion)
    check_books(house)
