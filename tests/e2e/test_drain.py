"""The end of a house by SIGTERM or Ctrl-C: streams finish, or are told that they are cut."""

import signal
import time

import httpx
import pytest

from tests.e2e.conftest import StartHouse
from tests.support.chat import LONG, PATH, body, start_streams
from tests.support.house import STOP_S_MAX, House, is_running
from tests.support.paced_engine import PacedEngine
from tests.support.waiting import eventually


def is_draining(house: House) -> bool:
    return bool(house.events("draining"))


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_streams_finish_and_the_house_ends_with_status_0(
    start_house: StartHouse, told: signal.Signals
) -> None:
    house = start_house("--workers", "2")
    family = house.family()
    with house.client() as client:
        streams = start_streams(client, 5, 60)
        house.process.send_signal(told)
        assert all(stream.wait().is_whole for stream in streams)
    assert house.process.wait(STOP_S_MAX) == 0
    assert not any(is_running(member) for member in family)


def test_new_requests_are_refused_with_words_while_streams_finish(
    start_house: StartHouse, engine: PacedEngine
) -> None:
    house = start_house()
    with house.client() as client:
        streams = start_streams(client, 1, LONG)
        house.process.send_signal(signal.SIGTERM)
        eventually(lambda: is_draining(house), "it drains")
        refused = eventually(lambda: refusal(client), "new requests are refused")
        assert refused.json()["error"]["code"] == "draining"
        assert refused.headers["connection"] == "close"
        assert int(refused.headers["retry-after"]) >= 1
        engine.pause_s = 0
        assert all(stream.wait().is_whole for stream in streams)
    assert house.process.wait(STOP_S_MAX) == 0


def refusal(client: httpx.Client) -> httpx.Response | None:
    answer = client.post(PATH, json=body(1))
    return answer if answer.status_code == 503 else None


def test_past_the_deadline_streams_end_with_an_error_event(start_house: StartHouse) -> None:
    house = start_house("--drain-seconds", "0.5")
    with house.client() as client:
        streams = start_streams(client, 3, LONG)
        began = time.monotonic()
        house.process.send_signal(signal.SIGTERM)
        for stream in streams:
            seen = stream.wait()
            assert seen.error is not None and seen.error["code"] == "draining"
            assert not seen.is_done and not seen.broke
    assert house.process.wait(STOP_S_MAX) == 0
    assert time.monotonic() - began > 0.4


def test_told_twice_it_ends_at_once(start_house: StartHouse) -> None:
    house = start_house()
    family = house.family()
    with house.client() as client:
        streams = start_streams(client, 3, LONG)
        house.process.send_signal(signal.SIGINT)
        eventually(lambda: is_draining(house), "it drains")
        house.process.send_signal(signal.SIGINT)
        assert house.process.wait(timeout=10) == 1
        assert all(stream.wait().broke for stream in streams)
    assert not any(is_running(member) for member in family)


def test_a_house_without_requests_ends_quickly(start_house: StartHouse) -> None:
    house = start_house("--workers", "2", "--drain-seconds", "300")
    assert house.stop() == 0  # within its ten seconds
