"""What EndpointSlices say of engines, by the words of the API's reference."""

from typing import Any

import msgspec
import pytest

from tests.support.kubernetes_api import endpoint, endpoint_slice
from tokenmill.engines.kubernetes import slices
from tokenmill.engines.kubernetes.slices import Slice, Wanted, engines_of, settled


def found(*told: dict[str, Any], wanted: Wanted | None = None) -> dict[str, tuple[str, bool]]:
    read = [msgspec.json.decode(msgspec.json.encode(one), type=Slice) for one in told]
    return {
        url: (one.name, one.is_ready) for url, one in engines_of(read, wanted or Wanted()).items()
    }


CONDITIONS = [
    ({}, True),  # nothing told is ready
    ({"ready": None}, True),
    ({"ready": True}, True),
    ({"ready": True, "serving": True, "terminating": False}, True),
    ({"ready": False}, False),
    ({"ready": False, "serving": True, "terminating": True}, False),
    ({"ready": False, "serving": False, "terminating": True}, False),
    ({"ready": True, "terminating": True}, False),  # publishNotReadyAddresses says ready always
]


@pytest.mark.parametrize(("conditions", "is_ready"), CONDITIONS)
def test_only_what_is_ready_and_stays_gets_requests(
    conditions: dict[str, bool | None], is_ready: bool
) -> None:
    told = endpoint_slice("a", 8000, endpoint("10.1.0.1", "vllm-0", **conditions))
    assert found(told) == {"http://10.1.0.1:8000": ("vllm-0", is_ready)}


def test_the_port_is_the_wanted_one() -> None:
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "metrics", "port": 9000},
        {"name": "http", "port": 8000},
    ]
    told = endpoint_slice("a", 1, endpoint("10.1.0.1"), ports=ports)
    of = {"": 9000, "http": 8000, "8000": 8000, "metrics": 9000}
    for name, port in of.items():
        assert list(found(told, wanted=Wanted(name))) == [f"http://10.1.0.1:{port}"]
    assert found(told, wanted=Wanted("nothing")) == {}
    assert list(found(told, wanted=Wanted("http", "https"))) == ["https://10.1.0.1:8000"]


def test_an_endpoint_in_two_slices_is_ready_if_it_is_in_one() -> None:
    told = [
        endpoint_slice("a", 8000, endpoint("10.1.0.1", "x", ready=True)),
        endpoint_slice("b", 8000, endpoint("10.1.0.1", "x", ready=False)),
    ]
    for order in (told, told[::-1]):
        assert found(*order) == {"http://10.1.0.1:8000": ("x", True)}


def test_other_kinds_of_addresses() -> None:
    six = endpoint_slice("a", 8000, endpoint("fd00::1"), addressType="IPv6")
    name = endpoint_slice("b", 8000, endpoint("gpu.example"), addressType="FQDN")
    none = endpoint_slice("c", 8000, {"addresses": []}, endpoints=None)
    assert found(six, name, none) == {"http://[fd00::1]:8000": ("[fd00::1]:8000", True)}


def test_engines_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "ENDPOINTS_MAX", 3)
    told = endpoint_slice("a", 8000, *(endpoint(f"10.1.0.{n}") for n in range(9)))
    assert len(found(told)) == 3


def test_what_was_never_ready_has_nothing_to_finish() -> None:
    def engine(is_ready: bool) -> slices.FoundEngine:
        return slices.FoundEngine("u", "n", is_ready)

    assert settled({}, {"u": engine(False)}) == {}
    assert settled({"u": engine(True)}, {"u": engine(False)}) == {"u": engine(False)}
    assert settled({}, {"u": engine(True)}) == {"u": engine(True)}
    assert settled({"u": engine(True)}, {}) == {}
