"""Each process of a house killed with SIGKILL under a few streams: what clients see, what stays."""

import os
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import StartHouse
from tests.support.chat import LONG, PATH, Stream, body, start_streams
from tests.support.house import House, is_running, run_house
from tests.support.paced_engine import PacedEngine
from tests.support.waiting import eventually
from tokenmill.handover import SUCCESSOR_S

REPLACED_S_MAX = 5.0
"""It is one second on a machine that has nothing else to do; `test_kills.py` prints what it was."""
WORDS = 50


def replacement(house: House, module: str, dead: int) -> int | None:
    """The process that runs the module instead of the dead one."""
    return next((pid for pid in house.children(module) if pid != dead), None)


def test_a_killed_worker_is_replaced_within_a_second_and_its_streams_do_not_end_cleanly(
    start_house: StartHouse,
) -> None:
    house = start_house()
    with house.client() as client:
        streams = start_streams(client, 5, LONG)
        began = time.monotonic()
        dead = house.kill_child("gateway.worker")
        with house.client() as fresh:
            answer = fresh.post(PATH, json=body(1))
        took_s = time.monotonic() - began
        assert answer.status_code == 200
        assert took_s < REPLACED_S_MAX
        assert replacement(house, "gateway.worker", dead)
        for stream in streams:
            seen = stream.wait()
            assert seen.broke and not seen.is_done


def test_what_waited_on_the_socket_when_the_worker_died_is_served(
    start_house: StartHouse,
) -> None:
    house = start_house()
    (worker,) = house.children("gateway.worker")
    os.kill(worker, signal.SIGSTOP)
    with house.client() as client:
        waiting = start_streams_unanswered(client)
        os.kill(worker, signal.SIGKILL)
        for stream in waiting:
            assert stream.wait().is_whole


def start_streams_unanswered(client: httpx.Client) -> list[Stream]:
    """Streams whose connections nobody has accepted yet."""
    streams = [Stream(client, 3) for _ in range(5)]
    time.sleep(0.3)  # for their connections to reach the kernel; nothing shows that they did
    assert not any(stream.has_begun.is_set() for stream in streams)
    return streams


def test_of_two_workers_one_dies_and_the_streams_of_the_other_go_on(
    start_house: StartHouse, engine: PacedEngine
) -> None:
    """Which worker takes a connection is for the system to say: it is tried until both had some."""
    house = start_house("--workers", "2")
    pause_s = engine.pause_s
    for _ in range(8):
        eventually(lambda: house.serving_workers() == 2, "two workers", within_s=30)
        with house.client() as client:
            streams = start_streams(client, 12, LONG)
            house.kill_child("gateway.worker")
            engine.pause_s = 0
            seen = [stream.wait() for stream in streams]
            engine.pause_s = pause_s
        assert all(each.is_whole or each.broke for each in seen)
        whole = sum(each.is_whole for each in seen)
        if 0 < whole < len(seen):
            return
    pytest.fail("one worker had all streams, each time")


def test_a_killed_control_disturbs_no_stream_and_is_replaced(start_house: StartHouse) -> None:
    house = start_house()
    with house.client() as client:
        streams = start_streams(client, 5, WORDS)
        dead = house.kill_child("control")
        with house.client() as fresh:
            assert fresh.post(PATH, json=body(1)).status_code == 200
        eventually(
            lambda: replacement(house, "control", dead),
            "control is replaced",
            within_s=REPLACED_S_MAX,
        )
        assert all(stream.wait().is_whole for stream in streams)
        # Its socket stayed bound, so this waits for the new one instead of failing.
        assert client.get("/openapi.json").status_code == 200
        assert client.post(PATH, json=body(1)).status_code == 200


def one_stands_by(house: House, instead_of: int = 0) -> int:
    """The process that waits to be control, once there is one."""
    return eventually(
        lambda: next((pid for pid in house.standbys() if pid != instead_of), None),
        "one stands by",
        within_s=30,
    )


def test_the_standby_takes_the_place_of_a_killed_control(start_house: StartHouse) -> None:
    house = start_house()
    for _ in range(2):
        standby = one_stands_by(house)
        dead = house.kill_child("control")
        eventually(lambda: bool(house.standings()), "it answers", within_s=REPLACED_S_MAX)
        assert house.children("control") == [standby]
        assert not is_running(dead)
    with house.client() as client:
        assert client.get("/openapi.json").status_code == 200
        assert client.post(PATH, json=body(1)).status_code == 200


def test_a_standby_that_dies_is_replaced_and_nobody_notices(start_house: StartHouse) -> None:
    house = start_house()
    (control,) = house.children("control")
    first = one_stands_by(house)
    os.kill(first, signal.SIGKILL)
    assert one_stands_by(house, instead_of=first)
    assert house.children("control") == [control]


def test_a_reload_renews_the_standby(start_house: StartHouse) -> None:
    """It knows the settings, and the code, of the time when it started."""
    house = start_house()
    first = one_stands_by(house)
    house.process.send_signal(signal.SIGHUP)
    eventually(lambda: house.events("reloaded"), "reloaded", within_s=30)
    assert one_stands_by(house, instead_of=first)
    assert not is_running(first)
    assert [each["level"] for each in house.events("child left")] == ["info"] * 3


def test_a_killed_supervisor_leaves_nothing_running(start_house: StartHouse) -> None:
    house = start_house("--drain-seconds", "20", "--workers", "2")
    one_stands_by(house)
    family = house.family()
    assert len(family) == 5
    with house.client() as client:
        streams = start_streams(client, 3, 2 * WORDS)
        os.kill(house.process.pid, signal.SIGKILL)
        house.process.wait()
        with house.client() as fresh:
            assert fresh.post(PATH, json=body(1)).status_code == 200
        # No other house comes: nobody new is let in, and they have time to finish.
        eventually(lambda: not is_listening(house), "the port is free", within_s=SUCCESSOR_S + 10)
        assert all(stream.wait().is_whole for stream in streams)
    eventually(lambda: not any(map(is_running, family)), "all have left", within_s=30)


def is_listening(house: House) -> bool:
    """Whether a client gets a connection."""
    try:
        with house.client() as fresh:
            fresh.get("/livez")
    except httpx.HTTPError:
        return False
    return True


def test_after_a_killed_supervisor_the_same_command_starts_again(
    start_house: StartHouse,
) -> None:
    first = start_house("--drain-seconds", "20")
    port = first.url.rpartition(":")[2]
    with first.client() as client:
        streams = start_streams(client, 3, WORDS)
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait()
        second = start_house("--port", port)
        assert second.url == first.url
        assert all(stream.wait().is_whole for stream in streams)
        with second.client() as fresh:
            assert fresh.post(PATH, json=body(1)).status_code == 200


@pytest.mark.parametrize("module", ["gateway.worker", "control"])
def test_a_child_that_hangs_is_killed_and_replaced(
    start_house: StartHouse, engine: PacedEngine, module: str
) -> None:
    """Takes the three seconds that a heartbeat may be late."""
    house = start_house(environment={"TOKENMILL_STUCK_SECONDS": "3"})
    (stuck,) = house.children(module)
    with house.client() as client:
        assert client.get("/openapi.json").status_code == 200  # both loops have turned
        streams = start_streams(client, 3, LONG)
        os.kill(stuck, signal.SIGSTOP)
        eventually(lambda: replacement(house, module, stuck), "it is replaced")
        assert not is_running(stuck)
        assert house.events("child is killed")
        assert client.post(PATH, json=body(1)).status_code == 200
        assert client.get("/openapi.json").status_code == 200
        engine.pause_s = 0
        for stream in streams:
            seen = stream.wait()
            assert seen.is_whole if module == "control" else seen.broke and not seen.is_done


def test_a_killed_embedded_engine_ends_streams_with_an_error_event_and_is_replaced(
    folder: Path,
) -> None:
    with run_house(folder) as house, house.client() as client:
        streams = start_streams(client, 6, 400)
        dead = house.kill_child("engines.embedded")
        eventually(
            lambda: replacement(house, "engines.embedded", dead),
            "the engine is replaced",
            within_s=REPLACED_S_MAX,
        )
        for stream in streams:
            seen = stream.wait()
            assert not seen.broke
            assert seen.is_whole or (seen.error is not None and not seen.is_done)
        # Its address is the same: nobody had to be told.
        eventually(lambda: client.post(PATH, json=body(1)).status_code == 200, "it answers")
        assert len(house.events("child died; it is replaced")) == 1
