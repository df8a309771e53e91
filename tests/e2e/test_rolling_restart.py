"""Engines are drained, restarted one by one, added and removed, under load: nobody notices."""

import asyncio
import json
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.test_reload import reload
from tests.support.background_load import BackgroundLoad
from tests.support.house import House, house_command, house_environment, run_house
from tests.support.paced_engine import PacedEngine, paced_engine
from tests.support.waiting import eventually

STREAMS = 8
WORDS = 12


class Load(BackgroundLoad):
    """Streams without end; what went wrong is kept."""

    def __init__(self, house: House) -> None:
        super().__init__()
        self.house = house
        self.done = 0
        self.failures: list[str] = []

    async def run(self) -> None:
        headers = {"authorization": f"Bearer {self.house.key}"}
        async with httpx.AsyncClient(
            base_url=self.house.url, headers=headers, timeout=60
        ) as client:
            await asyncio.gather(*(self._stream_on(client, at) for at in range(STREAMS)))

    async def _stream_on(self, client: httpx.AsyncClient, at: int) -> None:
        turn = 0
        while not self.is_over:
            turn += 1
            # A chat that grows, so that its engine has its beginning.
            said = [{"role": "user", "content": f"{at} {each} " * 100} for each in range(turn % 6)]
            messages = [*said, {"role": "user", "content": "Go on."}]
            body = {"messages": messages, "stream": True, "max_tokens": WORDS}
            try:
                answer = await client.post("/v1/chat/completions", json=body)
            except httpx.HTTPError as error:
                self.failures.append(repr(error))
                continue
            if answer.status_code != 200 or not answer.text.endswith("data: [DONE]\n\n"):
                self.failures.append(f"{answer.status_code} {answer.text[-300:]}")
            self.done += 1


def command(house: House, *arguments: str) -> Any:
    """The JSON that `tokenmill engines …` prints."""
    result = subprocess.run(
        house_command("engines", *arguments, "--state", str(house.state), "--json"),
        env=house_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def states(house: House) -> dict[str, str]:
    return {engine["url"]: engine["state"] for engine in command(house, "list")}


@pytest.mark.timeout(180)
def test_a_rolling_restart_of_three_engines_and_the_gateway_loses_no_request(
    folder: Path,
) -> None:
    with ExitStack() as stack:
        engines: list[PacedEngine] = [PacedEngine(0.01) for _ in range(3)]
        flags = [flag for engine in engines for flag in ("--engine", engine.url)]
        house = stack.enter_context(run_house(folder, *flags, command="serve"))
        load = stack.enter_context(Load(house).running())
        eventually(lambda: load.done > STREAMS, "streams run", within_s=30)
        for at, engine in enumerate(engines):
            port = int(engine.url.rpartition(":")[2])
            command(house, "drain", engine.url, "--wait", "60")
            begun = engine.begun
            done = load.done
            eventually(lambda was=done: load.done > was + STREAMS, "others serve", within_s=60)
            assert engine.begun == begun, "a draining engine was sent a request"
            engine.leave()
            engines[at] = again = PacedEngine(0.01, port)
            command(house, "undrain", engine.url)
            eventually(lambda one=again: one.begun > 0, "it is used again", within_s=60)
        eventually(lambda: all(each == "serving" for each in states(house).values()), "all serve")
        before = set(house.family())
        reloaded = reload(house)
        assert reloaded.returncode == 0, reloaded.stderr
        # It waits for all but the old standby.
        mine = {house.process.pid}
        eventually(lambda: before & set(house.family()) == mine, "all others are replaced")
        done = load.done
        eventually(lambda: load.done > done + STREAMS, "the new workers serve", within_s=60)
    for engine in engines:
        engine.stop()
    print(f"{load.done} streams, {len(load.failures)} failed")
    assert load.failures == []
    assert load.done > 4 * STREAMS


def test_an_engine_that_dies_under_load_costs_only_the_streams_it_had(folder: Path) -> None:
    with ExitStack() as stack:
        engines = [PacedEngine(0.01) for _ in range(3)]
        flags = [flag for engine in engines for flag in ("--engine", engine.url)]
        house = stack.enter_context(run_house(folder, *flags, command="serve"))
        load = stack.enter_context(Load(house).running())
        eventually(lambda: load.done > STREAMS, "streams run", within_s=30)
        # Nobody listens any more; what it has begun it finishes, for its threads live on.
        engines[0].stop()
        done = load.done
        eventually(lambda: load.done > done + 4 * STREAMS, "others serve", within_s=60)
    for engine in engines[1:]:
        engine.stop()
    assert load.failures == []


def test_an_added_engine_is_there_after_a_restart_of_control(folder: Path) -> None:
    with (
        paced_engine() as first,
        paced_engine() as second,
        run_house(folder, "--engine", first.url, command="serve") as house,
    ):
        (added,) = command(house, "add", second.url, "--name", "second")
        assert (added["name"], added["origin"]) == ("second", "added")
        eventually(lambda: states(house).get(second.url) == "serving", "it serves")
        command(house, "drain", "second")
        house.kill_child("control")
        eventually(lambda: is_up(house), "control is back")
        (again,) = [one for one in command(house, "list") if one["name"] == "second"]
        assert again["is_draining"]
        begun = second.begun
        with house.client() as client:
            for _ in range(6):
                body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
                assert client.post("/v1/chat/completions", json=body).status_code == 200
        assert second.begun == begun
        assert command(house, "assign", "second", "local")[0]["account"] == "local"
        command(house, "remove", second.url)
        assert list(states(house)) == [first.url]
        [given_back] = command(house, "assign", "second", "--everyone")
        assert (given_back["state"], given_back["account"]) == ("gone", "")
        assert refusal(house, "assign", "second", "--everyone")
        for words in (("remove", first.url), ("add", first.url), ("drain", "nobody")):
            assert refusal(house, *words)


def is_up(house: House) -> bool:
    result = subprocess.run(
        house_command("engines", "list", "--state", str(house.state)),
        env=house_environment(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    return result.returncode == 0


def refusal(house: House, *arguments: str) -> str:
    """What a command that is refused says."""
    result = subprocess.run(
        house_command("engines", *arguments, "--state", str(house.state)),
        env=house_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1, result.stdout
    assert "Traceback" not in result.stderr
    return result.stderr
