"""Which addresses are looked at, under which names."""

import pytest

from tokenmill.engines.targets import list_targets
from tokenmill.settings import DiscoverySettings, EngineSettings, Settings

OURS = (EngineSettings(url="http://127.0.0.1:41000", name="embedded"),)


def test_the_order_is_ours_then_named_then_found() -> None:
    settings = Settings(engines=(EngineSettings(url="http://gpu-1:9000"),))
    targets = list_targets(settings, OURS)
    assert [(target.name, target.origin) for target in targets] == [
        ("embedded", "ours"),
        ("gpu-1:9000", "named"),
        ("vllm-8000", "found"),
        ("vllm-8001", "found"),
        ("vllm-8002", "found"),
    ]


def test_the_gateway_never_looks_at_its_own_port() -> None:
    settings = Settings(port=8001)
    assert [target.name for target in list_targets(settings, ())] == ["vllm-8000", "vllm-8002"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_a_named_engine_on_a_discovery_port_is_looked_at_once(host: str) -> None:
    settings = Settings(engines=(EngineSettings(url=f"http://{host}:8000", api_key="k"),))
    first, *rest = list_targets(settings, ())
    assert (first.origin, first.api_key) == ("named", "k")
    assert [target.address.port for target in rest] == [8001, 8002]


def test_equal_names_are_told_apart() -> None:
    engines = tuple(EngineSettings(url=f"http://gpu-{n}:1", name="gpu") for n in (1, 2))
    settings = Settings(engines=engines, discovery=DiscoverySettings(enabled=False))
    assert [target.name for target in list_targets(settings, ())] == ["gpu", "gpu-2"]


def test_what_an_unseen_engine_is_taken_for() -> None:
    settings = Settings(engines=(EngineSettings(url="http://gpu-1:9000"),))
    kinds = {target.name: target.kind for target in list_targets(settings, OURS)}
    assert kinds["embedded"] == "embedded"
    assert kinds["gpu-1:9000"] == "openai"
    assert kinds["vllm-8000"] == "vllm"
