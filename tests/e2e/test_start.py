"""The start of a house: how fast, what it shows, and when it is refused."""

import json
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import StartHouse
from tests.support.chat import PATH, body
from tests.support.house import (
    START_S_MAX,
    STOP_S_MAX,
    house_command,
    house_environment,
    is_running,
    run_house,
)
from tests.support.paced_engine import PacedEngine
from tests.support.terminal import on_terminal
from tests.support.waiting import eventually

CURL = re.compile(r"^curl .*?^-d '[^']*'", re.MULTILINE | re.DOTALL)


def start_and_fail(
    *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A start that is expected to be refused."""
    return subprocess.run(
        house_command(*arguments),
        env=house_environment(environment),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_it_answers_soon_after_the_command(folder: Path) -> None:
    """Measured and printed; what a loaded machine takes says nothing."""
    began = time.monotonic()
    with run_house(folder) as house, house.client() as client:
        assert client.post(PATH, json=body(5)).status_code == 200
        print(f"\nfirst answer after {time.monotonic() - began:.2f} s from the command")


def test_on_a_terminal_a_panel_shows_a_curl_line_that_works_as_pasted(folder: Path) -> None:
    command = house_command("up", "--port", "0", "--state", str(folder / "state"))
    environment = house_environment({"TOKENMILL_LOG_FORMAT": "auto"})
    with on_terminal(command, environment) as terminal:
        shown = terminal.read_until(r"Ctrl-C ends it").string
        key = (folder / "state" / "local_key").read_text().strip()
        for words in ("Base URL", "tokenmill-demo", "embedded", str(folder / "state"), key):
            assert words in shown
        line = CURL.search(shown)
        assert line is not None, shown
        answer = subprocess.run(
            ["bash", "-c", line.group(0)], capture_output=True, text=True, timeout=30, check=True
        )
        assert json.loads(answer.stdout)["choices"][0]["message"]["content"]
        terminal.press(b"\x03")
        assert terminal.process.wait(timeout=10) == 0


def test_closing_the_terminal_ends_the_house(folder: Path) -> None:
    """SIGHUP means a reload only where it does not come from a terminal that went away."""
    state = folder / "state"
    command = house_command("serve", "--port", "0", "--state", str(state))
    with on_terminal(command, house_environment()) as terminal:
        terminal.read_until("Ctrl-C ends it")
        pid = json.loads((state / "lock").read_text())["pid"]
        terminal.hang_up()
        eventually(lambda: not is_running(pid), "the house has ended")
        assert terminal.process.wait(timeout=5) == 0


def test_a_second_house_on_the_state_folder_is_refused_with_who_has_it(
    start_house: StartHouse,
) -> None:
    house = start_house()
    refused = start_and_fail("up", "--port", "0", "--state", str(house.state))
    assert refused.returncode == 1
    assert f"process {house.process.pid}, which serves {house.url}" in refused.stderr
    assert "--state DIR" in refused.stderr
    with house.client() as client:
        assert client.get("/livez").status_code == 200


def test_a_second_house_on_the_port_is_refused_with_who_has_it(
    start_house: StartHouse, folder: Path
) -> None:
    house = start_house()
    port = house.url.rpartition(":")[2]
    refused = start_and_fail("up", "--port", port, "--state", str(folder / "other"))
    assert refused.returncode == 1
    assert f"port {port} of 127.0.0.1 is taken by process" in refused.stderr
    assert "--port" in refused.stderr


def test_a_stale_control_socket_and_lock_are_no_obstacle(
    start_house: StartHouse, folder: Path
) -> None:
    state = folder / "state"
    state.mkdir()
    (state / "lock").write_text('{"pid": 1}')
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(state / "control.sock"))
    house = start_house()
    with house.client() as client:
        assert client.get("/openapi.json").status_code == 200
    assert (state / "control.sock").stat().st_mode & 0o777 == 0o600


def test_a_state_folder_with_a_long_name_works(folder: Path, engine: PacedEngine) -> None:
    deep = folder / ("x" * 120)
    deep.mkdir()
    with run_house(deep, "--engine", engine.url) as house, house.client() as client:
        assert client.get("/openapi.json").status_code == 200
        assert client.post(PATH, json=body(1)).status_code == 200


def test_an_unwritable_state_folder_is_refused_with_advice(folder: Path) -> None:
    file = folder / "file"
    file.write_text("")
    refused = start_and_fail("up", "--port", "0", "--state", str(file / "state"))
    assert refused.returncode == 1
    assert "cannot be used" in refused.stderr and "--state DIR" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (["--port", "70000"], {}, "--port: 70000 is not allowed"),
        ([], {"TOKENMILL_PROT": "1"}, "did you mean TOKENMILL_PORT?"),
        (["--engine", "ftp://here"], {}, "ftp:// is not supported"),
        (["--host", "no.such.host.invalid"], {}, "cannot listen on no.such.host.invalid"),
    ],
)
def test_wrong_settings_are_refused_by_name(
    folder: Path, arguments: list[str], environment: dict[str, str], words: str
) -> None:
    refused = start_and_fail(
        "up", "--state", str(folder / "state"), *arguments, environment=environment
    )
    assert refused.returncode in (1, 2)
    assert words in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_model_that_is_not_there_ends_the_start_with_the_reason(folder: Path) -> None:
    refused = start_and_fail(
        "up", "--port", "0", "--state", str(folder / "state"), "--model", str(folder / "nothing")
    )
    assert refused.returncode == 1
    assert str(folder / "nothing") in refused.stderr


@pytest.mark.parametrize("after_s", [0.2, 0.5, 0.8, 1.1, 1.4])
def test_told_to_leave_while_it_starts_it_leaves_soon(folder: Path, after_s: float) -> None:
    command = house_command("serve", "--port", "0", "--state", str(folder / "state"))
    with subprocess.Popen(
        [*command, "--drain-seconds", "300"],
        env=house_environment(),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as house:
        try:
            time.sleep(after_s)
            house.send_signal(signal.SIGTERM)
            assert house.wait(timeout=30) in (0, -signal.SIGTERM)
        finally:
            house.kill()


def test_a_strange_home_does_not_matter_when_the_state_folder_is_named(folder: Path) -> None:
    environment = {"HOME": "relative-and-wrong", "TOKENMILL_STATE": str(folder / "state")}
    options: dict[str, Any] = {"environment": environment, "command": "serve"}
    with run_house(folder, wants_model=False, **options) as house, house.client() as client:
        assert client.get("/livez").status_code == 200


def test_a_closed_output_does_not_hurt(folder: Path) -> None:
    """As under a launcher that went away: nothing to read from, nothing to write to."""
    state = folder / "state"
    command = house_command("up", "--port", "0", "--state", str(state))
    process = subprocess.Popen(
        ["bash", "-c", 'exec "$@" <&- >&- 2>&-', "bash", *command],
        env=house_environment(),
    )
    try:
        eventually((state / "fleet.json").exists, "a fleet is there", within_s=START_S_MAX)
        lock = json.loads((state / "lock").read_text())
        key = (state / "local_key").read_text().strip()
        answer = subprocess.run(
            ["curl", "-s", "-H", f"Authorization: Bearer {key}", f"{lock['url']}/v1/models"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        assert json.loads(answer.stdout)["object"] == "list"
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_S_MAX) == 0
    finally:
        process.kill()
        process.wait()
    assert not is_running(process.pid)


def test_serve_starts_no_engine(folder: Path) -> None:
    with run_house(folder, command="serve", wants_model=False) as house, house.client() as client:
        refused = client.post(PATH, json=body(1))
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "no_engine")
        assert house.children("engines.embedded") == []
