"""LoRA adapters behind a real house: loaded when they are asked for, once, on an engine of their
base, moved when it is drained, and never answered by anybody else."""

import contextlib
import json
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.test_money import ask
from tests.support.adapter_engine import BASE, AdapterEngine, adapter_engines
from tests.support.house import House, run_house
from tests.support.waiting import eventually
from tokenmill._native import Segment
from tokenmill.adapters.rules import BUSY_REQUESTS
from tokenmill.adapters.views import AdapterList, AdapterView, AddAdapter, ChosenAdapter
from tokenmill.control_client import ControlClient, ControlRefused
from tokenmill.engines.views import ChosenEngine, EngineView
from tokenmill.state_folder import control_socket, segment_path

LOAD_MS = 5_000
ADAPTERS = "/control/dashboard/adapters"


class Fleet:
    """A house before engines that hold adapters."""

    def __init__(self, house: House, engines: list[AdapterEngine]) -> None:
        self.house = house
        self.engines = engines
        self.control = ControlClient(control_socket(house.state))

    def name(self, name: str, path: str = "", account: str | None = None) -> AdapterView:
        wish = AddAdapter(name, BASE, path or f"/adapters/{name}", account)
        return self.control.post(ADAPTERS, wish, AdapterView)

    def view(self, name: str) -> AdapterView:
        found = self.control.get(ADAPTERS, AdapterList).data
        return next(view for view in found if view.name == name)

    def ask(self, model: str, secret: str = "", **fields: Any) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": "Who?"}], **fields}
        headers = {"authorization": f"Bearer {secret}"} if secret else {}
        with self.house.client() as client:
            return client.post("/v1/chat/completions", json=body, headers=headers)

    def drain(self, engine: AdapterEngine, what: str = "drain") -> None:
        self.control.post(f"/control/engines/{what}", ChosenEngine(engine.url), EngineView)

    def holders(self, name: str) -> list[AdapterEngine]:
        return [engine for engine in self.engines if name in engine.adapters]


@contextlib.contextmanager
def run_fleet(folder: Path, count: int, **settings: int) -> Iterator[Fleet]:
    environment = {f"TOKENMILL_ADAPTERS_{name.upper()}": str(n) for name, n in settings.items()}
    with adapter_engines(count) as engines:
        flags = [flag for engine in engines for flag in ("--engine", engine.url)]
        with run_house(folder, *flags, command="serve", environment=environment) as house:
            yield Fleet(house, engines)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Three engines, shared: each test has adapters of its own."""
    folder = tmp_path_factory.mktemp("fleet")
    with run_fleet(folder, 3, load_ms=LOAD_MS, resident_max=20) as found:
        yield found


def said(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    if answer.headers["content-type"].startswith("text/event-stream"):
        first = json.loads(answer.text.split("\n\n")[0].removeprefix("data: "))
        return str(first["choices"][0]["delta"]["content"])
    return str(answer.json()["choices"][0]["message"]["content"])


def error_of(answer: httpx.Response) -> tuple[int, str]:
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return answer.status_code, error["code"]


def test_an_adapter_is_loaded_by_its_first_request_and_once_for_all(fleet: Fleet) -> None:
    view = fleet.name("first")
    assert (view.base, view.engines) == (BASE, ())
    with fleet.house.client() as client:
        listed = {each["id"]: each for each in client.get("/v1/models").json()["data"]}
    assert listed["first"]["parent"] == BASE
    with ThreadPoolExecutor(6) as clients:
        asked = [clients.submit(fleet.ask, "first", stream=at % 2 == 0) for at in range(6)]
        assert {said(one.result()) for one in asked} == {"I am first"}
    assert sum(engine.loads.count("first") for engine in fleet.engines) == 1
    (holder,) = fleet.holders("first")
    assert fleet.view("first").engines == (holder.url.removeprefix("http://"),)
    assert said(fleet.ask(BASE)) == f"I am {BASE}"


def test_an_engine_that_refuses_an_adapter_is_passed_over(fleet: Fleet) -> None:
    fleet.name("picky")
    for engine in fleet.engines[:2]:
        engine.refusal = (400, "its rank is too high, see /secret/path")
    try:
        assert said(fleet.ask("picky")) == "I am picky"
        assert fleet.holders("picky") == [fleet.engines[2]]
    finally:
        for engine in fleet.engines:
            engine.refusal = None


def test_an_adapter_that_nobody_can_load_is_an_error_and_never_its_base(fleet: Fleet) -> None:
    fleet.name("broken")
    for engine in fleet.engines:
        engine.refusal = (404, "No adapter found for /secret/path")
    try:
        answers = [fleet.ask("broken"), fleet.ask("broken", stream=True)]
    finally:
        for engine in fleet.engines:
            engine.refusal = None
    for answer in answers:
        assert error_of(answer) == (502, "adapter_failed")
        assert answer.headers["x-should-retry"] == "false"
        assert "/secret/path" not in answer.text
    # It was not asked again for each request, and operators learn the reason.
    assert sum(engine.loads.count("broken") for engine in fleet.engines) == 3
    assert "No adapter found for /secret/path" in fleet.view("broken").detail


def test_a_load_that_takes_too_long_is_told_and_serves_the_next_one(fleet: Fleet) -> None:
    fleet.name("slow")
    for engine in fleet.engines:
        engine.before_load = lambda: time.sleep(LOAD_MS / 2_000)
    go_on = threading.Event()
    try:
        answer = fleet.ask("slow")
        assert said(answer) == "I am slow"
        fleet.name("slower")
        for engine in fleet.engines:
            engine.before_load = lambda: go_on.wait(60)
        answer = fleet.ask("slower")
        assert error_of(answer) == (503, "model_loading")
        assert int(answer.headers["retry-after"]) >= 1
    finally:
        go_on.set()
        for engine in fleet.engines:
            engine.before_load = lambda: None
    eventually(lambda: fleet.ask("slower").status_code == 200, "it is loaded", within_s=20)


def test_an_adapter_moves_when_its_engine_is_drained_and_its_streams_finish(fleet: Fleet) -> None:
    fleet.name("mover")
    assert said(fleet.ask("mover")) == "I am mover"
    (holder,) = fleet.holders("mover")
    holder.hold.clear()
    with ThreadPoolExecutor(1) as client:
        try:
            stream = client.submit(fleet.ask, "mover", stream=True)
            eventually(lambda: holder.answered.count("mover") == 2, "the stream runs")
            fleet.drain(holder)
            eventually(lambda: len(fleet.holders("mover")) == 2, "it is loaded elsewhere")
            for _ in range(6):
                assert said(fleet.ask("mover")) == "I am mover"
            assert holder.answered.count("mover") == 2
        finally:
            holder.hold.set()
        assert said(stream.result()) == "I am mover"
    fleet.drain(holder, "undrain")


def test_an_adapter_whose_engine_has_a_queue_comes_to_another_one(fleet: Fleet) -> None:
    fleet.name("wanted")
    assert said(fleet.ask("wanted")) == "I am wanted"
    (holder,) = fleet.holders("wanted")
    holder.hold.clear()
    with ThreadPoolExecutor(2 * BUSY_REQUESTS) as clients:
        try:
            asked = [clients.submit(fleet.ask, "wanted") for _ in range(BUSY_REQUESTS + 1)]
            eventually(lambda: len(fleet.holders("wanted")) == 2, "another holds it", within_s=20)
            other = next(one for one in fleet.holders("wanted") if one is not holder)
            # Until workers know of it, requests still go to the first, and wait.
            for _ in range(BUSY_REQUESTS):
                asked.append(clients.submit(fleet.ask, "wanted"))
                if wait(asked[-1:], timeout=2).done:
                    break
            assert "wanted" in other.answered
        finally:
            holder.hold.set()
        assert {said(one.result()) for one in asked} == {"I am wanted"}


def test_another_model_or_folder_by_an_adapters_name_answers_nothing(fleet: Fleet) -> None:
    """Somebody has loaded something else by that name: it is replaced before it is asked."""
    fleet.name("twin", "/adapters/right")
    for engine in fleet.engines:
        engine.adapters["twin"] = "/adapters/wrong"
    time.sleep(0.6)  # a look finds it, and the fleet does not
    assert fleet.view("twin").engines == ()
    assert said(fleet.ask("twin")) == "I am twin"
    asked = [engine for engine in fleet.engines if "twin" in engine.answered]
    assert [engine.adapters["twin"] for engine in asked] == ["/adapters/right"]


def test_an_accounts_adapter_is_seen_and_answered_for_that_account_alone(fleet: Fleet) -> None:
    """On every route another account gets what it gets for a name that nobody ever used."""
    house = fleet.house
    ask(house, "accounts", "create", "acme", "--tier", "internal")
    ask(house, "wallet", "add", "acme", "1", "--reference", "first")
    secret = ask(house, "keys", "create", "--account", "acme", "--name", "acme")["secret"]
    what = ("acme-bot", "--base", BASE, "--path", "/adapters/acme", "--account", "acme")
    (view,) = ask(house, "adapters", "add", *what)
    assert (view["name"], view["account"]) == ("acme-bot", "acme")

    for stream in (False, True):
        answer = fleet.ask("acme-bot", secret, stream=stream)
        assert said(answer).startswith("I am ")
        assert re.search('"model": ?"acme-bot"', answer.text)
    (holder,) = [engine for engine in fleet.engines if "/adapters/acme" in engine.adapters.values()]
    (engine_name,) = [name for name, path in holder.adapters.items() if path == "/adapters/acme"]
    for name in ("acme-bot", engine_name):
        strangers, nobodys = fleet.ask(name), fleet.ask("nobodys")
        assert error_of(strangers) == (404, "model_not_found")
        assert strangers.text.replace(name, "nobodys") == nobodys.text
    assert error_of(fleet.ask(engine_name, secret)) == (404, "model_not_found")
    with fleet.house.client() as client:
        mine = client.get("/v1/models", headers={"authorization": f"Bearer {secret}"})
        assert "acme-bot" in {each["id"] for each in mine.json()["data"]}
        theirs = {each["id"] for each in client.get("/v1/models").json()["data"]}
        assert not {"acme-bot", engine_name}.intersection(theirs)
        for name in ("acme-bot", engine_name):
            assert client.get(f"/v1/models/{name}").status_code == 404
    usage = lambda: json.dumps(ask(house, "usage", "acme", "--group", "model"))  # noqa: E731
    eventually(lambda: "acme-bot" in usage(), "it is in the ledger")

    fleet.control.post(f"{ADAPTERS}/remove", ChosenAdapter("acme-bot"), AdapterView)
    assert engine_name not in holder.adapters
    assert error_of(fleet.ask("acme-bot", secret)) == (404, "model_not_found")


def test_names_are_unique_and_a_removed_adapter_is_not_found(fleet: Fleet) -> None:
    fleet.name("passing")
    assert said(fleet.ask("passing")) == "I am passing"
    for name, status in (("passing", 409), (BASE, 400)):
        with pytest.raises(ControlRefused) as refused:
            fleet.name(name)
        assert refused.value.status == status
    (holder,) = fleet.holders("passing")
    gone = fleet.control.post(f"{ADAPTERS}/remove", ChosenAdapter("passing"), AdapterView)
    assert len(gone.engines) == 1
    assert error_of(fleet.ask("passing")) == (404, "model_not_found")
    assert holder.unloads[-1] == "passing"
    with pytest.raises(ControlRefused):
        fleet.control.post(f"{ADAPTERS}/remove", ChosenAdapter("passing"), AdapterView)


def test_the_adapter_used_longest_ago_makes_room_and_never_one_in_use(folder: Path) -> None:
    with run_fleet(folder, 1, resident_max=2) as fleet:
        (engine,) = fleet.engines
        segment = Segment.attach(str(segment_path(fleet.house.state)))
        for name in ("a", "b", "c", "d"):
            fleet.name(name)
        for name in ("a", "b", "a"):
            assert said(fleet.ask(name)) == f"I am {name}"
            eventually(lambda: segment.open_cells() == 0, "the use is told with the ledger's flush")
        assert said(fleet.ask("c")) == "I am c"
        assert sorted(engine.adapters) == ["a", "c"]
        assert engine.answered == ["a", "b", "a", "c"]
        engine.hold.clear()
        with ThreadPoolExecutor(2) as clients:
            try:
                running = [clients.submit(fleet.ask, name) for name in ("a", "c")]
                eventually(lambda: sorted(engine.answered[4:]) == ["a", "c"], "both run")
                answer = fleet.ask("d")
                assert error_of(answer) == (503, "overloaded")
                assert answer.headers["retry-after"]
                assert sorted(engine.adapters) == ["a", "c"]
            finally:
                engine.hold.set()
            assert [said(one.result()) for one in running] == ["I am a", "I am c"]
        assert said(fleet.ask("d")) == "I am d"


def test_requests_outlive_the_engine_that_held_their_adapter(folder: Path) -> None:
    """It dies while it loads, while it holds, and comes back without what it held."""
    with run_fleet(folder, 2) as fleet:
        fleet.name("tough")
        victims: list[AdapterEngine] = []

        def die() -> None:
            if not victims:
                victims.extend(one for one in fleet.engines if one.loads == ["tough"])
                victims[0].die()

        for engine in fleet.engines:
            engine.before_load = die
        assert said(fleet.ask("tough")) == "I am tough"
        (dead,) = victims
        again = dead.restart()
        fleet.engines[fleet.engines.index(dead)] = again
        eventually(lambda: set(fleet.house.standings().values()) <= {"serving", "warming"}, "back")
        (holder,) = fleet.holders("tough")
        holder.die()  # which nobody has noticed when it is asked
        assert [said(fleet.ask("tough", stream=stream)) for stream in (True, False)] == [
            "I am tough"
        ] * 2
        # One that holds it no more and does not say so yet.
        again.adapters.clear()
        assert said(fleet.ask("tough")) == "I am tough"
        again.die()
        answer = fleet.ask("tough")
        assert error_of(answer) == (503, "no_engine")
        assert answer.headers["retry-after"]
