"""LoRA adapters on real engines: what an adapter says is what its weights say, wherever it is."""

import contextlib
import json
import os
import signal
from pathlib import Path

import pytest

from tests.e2e.test_adapters import ADAPTERS, said
from tests.support.embedded_engine import chat_body, demo_model, running_engine
from tests.support.house import House, run_house
from tests.support.peft_adapter import write_adapter
from tests.support.real_vllm import model_folder
from tests.support.waiting import eventually
from tokenmill.adapters.views import AdapterList, AdapterView, AddAdapter, ChosenAdapter
from tokenmill.control_client import ControlClient
from tokenmill.engines.views import ChosenEngine, EngineView
from tokenmill.state_folder import control_socket


def control_of(house: House) -> ControlClient:
    return ControlClient(control_socket(house.state))


def ask(house: House, model: str, content: str = "Count to 10", **fields: object) -> str:
    body = chat_body(content, **{"model": model, "max_tokens": 12} | fields)
    with house.client() as client:
        answer = client.post("/v1/chat/completions", json=body)
    if fields.get("stream"):
        assert answer.text.endswith("data: [DONE]\n\n"), answer.text
        events = [json.loads(each[6:]) for each in answer.text.split("\n\n")[:-2]]
        parts = [choice["delta"].get("content") for one in events for choice in one["choices"]]
        return "".join(part or "" for part in parts)
    return said(answer)


def holders(house: House, name: str) -> tuple[str, ...]:
    found = control_of(house).get(ADAPTERS, AdapterList).data
    return next(view.engines for view in found if view.name == name)


def test_an_adapter_on_embedded_engines_moves_and_outlives_one(folder: Path) -> None:
    with contextlib.ExitStack() as stack:
        first, second = (stack.enter_context(running_engine(model=demo_model())) for _ in range(2))
        card = first.call("/v1/models")[1]["data"][0]
        path = write_adapter(folder / "adapter", Path(card["root"]), seed=1)
        flags = [flag for engine in (first, second) for flag in ("--engine", engine.url)]
        house = stack.enter_context(run_house(folder, *flags, command="serve"))
        control = control_of(house)
        control.post(ADAPTERS, AddAdapter("mine", card["id"], str(path)), AdapterView)
        base = ask(house, card["id"])
        mine = ask(house, "mine")
        assert mine != base
        assert ask(house, "mine", stream=True) == mine
        (holder,) = holders(house, "mine")
        control.post("/control/engines/drain", ChosenEngine(holder), EngineView)
        eventually(lambda: len(holders(house, "mine")) == 2, "it has moved", within_s=20)
        assert [ask(house, "mine") for _ in range(3)] == [mine] * 3
        control.post("/control/engines/undrain", ChosenEngine(holder), EngineView)
        holding = first if first.url.endswith(holder) else second
        os.kill(holding.process.pid, signal.SIGKILL)
        assert [ask(house, "mine") for _ in range(3)] == [mine] * 3
        assert ask(house, card["id"]) == base


@pytest.mark.vllm
@pytest.mark.timeout(300)
def test_adapters_on_a_real_vllm_take_turns(folder: Path, chat_vllm: str) -> None:
    texts = {
        "lora-alpha": "Alpha speaking: all systems are ready.",
        "lora-bravo": "Bravo here! Nothing to report today.",
    }
    flags = ("--engine", chat_vllm)
    environment = {"TOKENMILL_ADAPTERS_RESIDENT_MAX": "1"}
    with run_house(folder, *flags, command="serve", environment=environment) as house:
        control = control_of(house)
        for name in texts:
            wish = AddAdapter(name, "tiny-chat", str(model_folder(name)))
            control.post(ADAPTERS, wish, AdapterView)
        for name in (*texts, *texts):
            assert ask(house, name, "Say hello.", max_tokens=40) == texts[name]
            assert len(holders(house, name)) == 1
        assert holders(house, "lora-alpha") == ()
        assert (
            ask(house, "tiny-chat", "Say hello.", max_tokens=40)
            == "Hello! How can I help you today?"
        )
        for name in texts:
            control.post(f"{ADAPTERS}/remove", ChosenAdapter(name), AdapterView)
        assert [each for each in texts if each in served(house)] == []


def served(house: House) -> list[str]:
    with house.client() as client:
        return [each["id"] for each in client.get("/v1/models").json()["data"]]
