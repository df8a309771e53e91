"""A reload under load loses no request, with kept connections and with fresh ones."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import StartHouse
from tests.support.chat import PATH, body, start_streams
from tests.support.house import House, house_command, house_environment, run_house
from tests.support.paced_engine import PacedEngine
from tests.support.waiting import eventually
from tokenmill.supervisor.rules import STANDBY_AFTER_MS

HANGUPS_S = int(os.environ.get("TOKENMILL_TEST_HANGUPS_S", "6"))


class Load:
    """Clients that ask on and on until stopped; what went wrong is kept."""

    def __init__(self, house: House, *, kept: int, fresh: int) -> None:
        self.failures: list[str] = []
        self.answered = 0
        self._house = house
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._keep, daemon=True) for _ in range(kept)]
        self._threads += [threading.Thread(target=self._renew, daemon=True) for _ in range(fresh)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)

    def _keep(self) -> None:
        with self._house.client() as client:
            while not self._stop.is_set():
                self._ask(client)

    def _renew(self) -> None:
        while not self._stop.is_set():
            with self._house.client() as client:
                self._ask(client)

    def _ask(self, client: httpx.Client) -> None:
        try:
            answer = client.post(PATH, json=body(1))
            outcome = "" if answer.status_code == 200 else f"{answer.status_code} {answer.text}"
        except httpx.HTTPError as error:
            outcome = repr(error)
        with self._lock:
            if outcome:
                self.failures.append(outcome)
            else:
                self.answered += 1


def reload(house: House) -> subprocess.CompletedProcess[str]:
    """`tokenmill reload`, which returns when it is over."""
    return subprocess.run(
        house_command("reload", "--state", str(house.state)),
        env=house_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_reload_under_load_loses_no_request(start_house: StartHouse) -> None:
    house = start_house("--workers", "2")
    before = set(house.family())
    load = Load(house, kept=8, fresh=4)
    eventually(lambda: load.answered > 50, "the load runs")
    with house.client() as client:
        streams = start_streams(client, 3, 200)
        for _ in range(2):
            done = reload(house)
            assert done.returncode == 0, done.stderr
        answered = load.answered
        eventually(lambda: load.answered > answered + 50, "the load goes on")
        assert all(stream.wait().is_whole for stream in streams)
    load.stop()
    print(f"{load.answered} requests answered, {len(load.failures)} failed")
    assert load.failures == []
    # A reload waits for all but the old standby.
    mine = {house.process.pid}
    eventually(lambda: before & set(house.family()) == mine, "all others are replaced")
    assert house.stop() == 0


@pytest.mark.timeout(90 + HANGUPS_S)
def test_hangups_every_two_seconds_under_load_fail_no_request(start_house: StartHouse) -> None:
    house = start_house("--workers", "2")
    load = Load(house, kept=4, fresh=2)
    eventually(lambda: load.answered > 20, "the load runs", within_s=30)
    ends = time.monotonic() + HANGUPS_S
    hangups = 0
    while time.monotonic() < ends:
        house.process.send_signal(signal.SIGHUP)
        hangups += 1
        time.sleep(2)  # the pace is what is tested
    answered = load.answered
    eventually(lambda: load.answered > answered + 20, "the load goes on", within_s=30)
    load.stop()
    print(f"{hangups} hangups, {load.answered} requests answered, {len(load.failures)} failed")
    assert load.failures == []
    assert house.stop() == 0


def test_sighup_takes_over_changed_settings(folder: Path, engine: PacedEngine) -> None:
    settings = folder / "settings.toml"
    settings.write_text("workers = 1\n")
    with run_house(folder, "--engine", engine.url, "--config", str(settings)) as house:
        settings.write_text('workers = 3\nhost = "0.0.0.0"\n')
        house.process.send_signal(signal.SIGHUP)
        eventually(lambda: len(house.children("gateway.worker")) == 3, "three workers")
        eventually(lambda: house.events("reloaded"), "the reload is over", within_s=20)
        assert house.events("host changes with a new start, not with a reload")
        with house.client() as client:
            assert client.post(PATH, json=body(1)).status_code == 200


def test_an_engine_whose_settings_changed_is_replaced_and_refuses_nobody(folder: Path) -> None:
    settings = folder / "settings.toml"
    settings.write_text("[embedded]\nthreads = 1\n")
    with run_house(folder, "--config", str(settings)) as house:
        (before,) = house.children("engines.embedded")
        load = Load(house, kept=3, fresh=1)
        eventually(lambda: load.answered > 5, "the load runs")
        settings.write_text("[embedded]\nthreads = 2\n")
        assert reload(house).returncode == 0
        answered = load.answered
        eventually(lambda: load.answered > answered + 5, "the load goes on")
        load.stop()
        assert load.failures == []
        assert before not in house.children("engines.embedded")


def test_the_standby_comes_and_goes_with_its_setting(folder: Path, engine: PacedEngine) -> None:
    settings = folder / "settings.toml"
    settings.write_text("standby = false\n")
    with run_house(folder, "--engine", engine.url, "--config", str(settings)) as house:
        (control,) = house.children("control")
        time.sleep(STANDBY_AFTER_MS / 1000 + 2)  # when it would have come
        assert house.standbys() == []
        house.kill_child("control")
        eventually(lambda: bool(house.standings()), "control is replaced", within_s=30)
        assert not house.events("the standby is control now")
        settings.write_text("standby = true\n")
        assert reload(house).returncode == 0
        eventually(lambda: len(house.standbys()) == 1, "one stands by", within_s=30)
        settings.write_text("standby = false\n")
        assert reload(house).returncode == 0
        eventually(lambda: not house.standbys(), "it has left", within_s=30)
        assert control not in house.family()


def test_wrong_settings_leave_the_house_as_it_is(folder: Path, engine: PacedEngine) -> None:
    settings = folder / "settings.toml"
    settings.write_text("workers = 1\n")
    with run_house(folder, "--engine", engine.url, "--config", str(settings)) as house:
        before = set(house.family()) - set(house.standbys())
        settings.write_text("wokers = 3\n")
        done = reload(house)
        assert done.returncode == 1
        assert "did you mean workers?" in done.stderr
        assert set(house.family()) - set(house.standbys()) == before
        with house.client() as client:
            assert client.post(PATH, json=body(1)).status_code == 200


def test_reload_without_a_house_says_so(folder: Path) -> None:
    done = subprocess.run(
        house_command("reload", "--state", str(folder)),
        env=house_environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "no tokenmill runs" in done.stderr


def test_an_idle_kept_connection_survives_as_long_as_it_is_used(start_house: StartHouse) -> None:
    """A client that asks every half second through the reload never sees a dead connection."""
    house = start_house()
    failures = []
    stop = threading.Event()

    def ask_slowly() -> None:
        with house.client() as client:
            while not stop.is_set():
                try:
                    client.get("/v1/models").raise_for_status()
                except httpx.HTTPError as error:
                    failures.append(repr(error))
                time.sleep(0.5)

    thread = threading.Thread(target=ask_slowly, daemon=True)
    thread.start()
    assert reload(house).returncode == 0
    stop.set()
    thread.join(10)
    assert failures == []
