"""LoRA adapters on real engines: what an adapter says is what its weights say, wherever it is."""

import contextlib
import json
import os
import signal
from pathlib import Path

import httpx
import pytest

from tests.e2e.test_adapters import ADAPTERS, error_of, said
from tests.e2e.test_money import ask as command
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


def post(house: House, model: str, secret: str, content: str, **fields: object) -> httpx.Response:
    body = chat_body(content, **{"model": model, "max_tokens": 12} | fields)
    with house.client() as client:
        headers = {"authorization": f"Bearer {secret}"} if secret else {}
        return client.post("/v1/chat/completions", json=body, headers=headers)


def ask(
    house: House, model: str, content: str = "Count to 10", secret: str = "", **fields: object
) -> str:
    answer = post(house, model, secret, content, **fields)
    if fields.get("stream"):
        assert answer.text.endswith("data: [DONE]\n\n"), answer.text
        events = [json.loads(each[6:]) for each in answer.text.split("\n\n")[:-2]]
        parts = [choice["delta"].get("content") for one in events for choice in one["choices"]]
        return "".join(part or "" for part in parts)
    return said(answer)


def holders(house: House, name: str) -> tuple[str, ...]:
    found = control_of(house).get(ADAPTERS, AdapterList).data
    return next(view.engines for view in found if view.name == name)


def tenant(house: House, name: str) -> str:
    """The secret of a new account."""
    command(house, "accounts", "create", name, "--tier", "internal")
    command(house, "wallet", "add", name, "1", "--reference", "first")
    return str(command(house, "keys", "create", "--account", name, "--name", name)["secret"])


def check_is_hers_alone(house: House, name: str, secret: str, engine_url: str) -> None:
    """The local account cannot ask for it by its name, nor by the one that the engine lists."""
    cards = httpx.get(f"{engine_url}/v1/models", timeout=10).json()["data"]
    (inner,) = [each["id"] for each in cards if each["id"].endswith(f"/{name}")]
    for asked in (name, inner):
        for stream in (False, True):
            assert error_of(post(house, asked, "", "Hi", stream=stream)) == (404, "model_not_found")
        assert asked not in served(house)
    assert error_of(post(house, inner, secret, "Hi")) == (404, "model_not_found")
    assert name in served(house, secret)


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
        secret = tenant(house, "acme")
        hers_path = write_adapter(folder / "hers", Path(card["root"]), seed=2)
        control.post(ADAPTERS, AddAdapter("hers", card["id"], str(hers_path), "acme"), AdapterView)
        hers = ask(house, "hers", secret=secret)
        assert hers not in (base, mine)
        assert ask(house, "hers", secret=secret, stream=True) == hers
        (its_holder,) = holders(house, "hers")
        its_url = next(one.url for one in (first, second) if one.url.endswith(its_holder))
        check_is_hers_alone(house, "hers", secret, its_url)

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
        secret = tenant(house, "acme")
        wish = AddAdapter("hers", "tiny-chat", str(model_folder("lora-alpha")), "acme")
        control.post(ADAPTERS, wish, AdapterView)
        for stream in (False, True):
            said = ask(house, "hers", "Say hello.", secret, max_tokens=40, stream=stream)
            assert said == texts["lora-alpha"]
        assert holders(house, "lora-bravo") == (), "it has made room"
        check_is_hers_alone(house, "hers", secret, chat_vllm)
        for name in (*texts, "hers"):
            control.post(f"{ADAPTERS}/remove", ChosenAdapter(name), AdapterView)
        assert [each for each in (*texts, "hers") if each in served(house, secret)] == []
        assert [each["id"] for each in httpx.get(f"{chat_vllm}/v1/models").json()["data"]] == [
            "tiny-chat"
        ]


def served(house: House, secret: str = "") -> list[str]:
    headers = {"authorization": f"Bearer {secret}"} if secret else {}
    with house.client() as client:
        return [each["id"] for each in client.get("/v1/models", headers=headers).json()["data"]]
