"""A house in front of a scripted cluster: its engines serve, and outlive control and the API."""

from pathlib import Path

import pytest

from tests.support.chat import PATH, body
from tests.support.house import run_house
from tests.support.kubernetes_api import SELECTOR, KubernetesApi, endpoint, endpoint_slice
from tests.support.paced_engine import paced_engine
from tests.support.waiting import eventually


@pytest.mark.timeout(120)
def test_engines_of_a_cluster_serve_and_outlive_control(folder: Path) -> None:
    account = folder / "account"
    account.mkdir()
    api = KubernetesApi(account)
    environment = {
        "TOKENMILL_KUBERNETES_SELECTOR": SELECTOR,
        "TOKENMILL_KUBERNETES_API_URL": api.url,
        "TOKENMILL_KUBERNETES_ACCOUNT": str(account),
        "TOKENMILL_KUBERNETES_WATCH_S": "5",
    }
    with (
        paced_engine() as first,
        paced_engine() as second,
        run_house(folder, command="serve", environment=environment, wants_model=False) as house,
        house.client() as client,
    ):
        ports = [int(engine.url.rpartition(":")[2]) for engine in (first, second)]
        api.put(endpoint_slice("one", ports[0], endpoint("127.0.0.1", "vllm-0")))

        eventually(lambda: house.standings() == {"vllm-0": "serving"}, "it serves", within_s=30)
        assert client.post(PATH, json=body(2)).status_code == 200

        api.is_away = True
        api.end_watches()
        house.kill_child("control")
        eventually(lambda: set(house.standings()) == {"vllm-0"}, "control is back", within_s=60)
        eventually(lambda: client.post(PATH, json=body(2)).status_code == 200, "it is asked")

        api.is_away = False
        api.put(endpoint_slice("two", ports[1], endpoint("127.0.0.1", "vllm-1")))
        api.delete("one")
        is_moved = {"vllm-1": "warming"}, {"vllm-1": "serving"}
        eventually(lambda: house.standings() in is_moved, "the other one serves", within_s=60)
        assert client.post(PATH, json=body(2)).status_code == 200
        assert second.begun > 0
        api.stop()
