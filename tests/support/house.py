"""A real house for tests: `tokenmill up` as a user starts it, in a folder of its own, and its end.

`run_house` starts one on a free port, waits until it serves, and ends it. A House knows its
address, its key, its log and the processes it is made of.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
from msgspec import Struct

from tests.support.waiting import eventually
from tokenmill.control_client import ControlAway, ControlClient, ControlRefused
from tokenmill.engines.views import EngineList
from tokenmill.state_folder import control_socket

START_S_MAX = 60.0
STOP_S_MAX = 45.0
QUIET = {
    "TOKENMILL_METRICS_PORT": "0",
    "TOKENMILL_DISCOVERY_ENABLED": "false",
    "TOKENMILL_LOG_FORMAT": "json",
}
"""Houses of several tests must not meet: no fixed port, no engines but those that are named."""


class _Status(Struct):
    workers: list[dict[str, Any]]


class House:
    """A running house. `process` is its supervisor."""

    def __init__(self, process: subprocess.Popen[bytes], state: Path, log: Path) -> None:
        self.process = process
        self.state = state
        self.log = log
        self.url = ""
        self.key = ""
        self.started_s = 0.0  # how long it took until it said that it serves

    def events(self, message: str) -> list[dict[str, Any]]:
        """The log lines with this message, so far; one that is still being written is none yet."""
        whole, _, _ = self.log.read_text(errors="replace").rpartition("\n")
        records = (json.loads(line) for line in whole.splitlines() if line.startswith("{"))
        return [record for record in records if record.get("message") == message]

    def children(self, module: str) -> list[int]:
        """Process ids of the supervisor's children that run this module; of control, without the
        one that stands by."""
        wanted = f"tokenmill.{module}".encode()
        children = child_pids(self.process.pid)
        return [one for one in children if wanted in arguments_of(one) and not is_standby(one)]

    def standbys(self) -> list[int]:
        """Process ids of controls that wait to be called."""
        return [child for child in child_pids(self.process.pid) if is_standby(child)]

    def standings(self) -> dict[str, str]:
        """How each engine stands, by its name; nothing while control is away. Over control's
        socket: a command line for each look would be most of a test's work."""
        try:
            found = ControlClient(control_socket(self.state)).get("/control/engines", EngineList)
        except (ControlAway, ControlRefused):
            return {}
        return {engine.name: engine.standing for engine in found.data}

    def serving_workers(self) -> int:
        """How many workers take requests; none while control is away."""
        try:
            found = ControlClient(control_socket(self.state)).get("/control/status", _Status)
        except (ControlAway, ControlRefused):
            return 0
        return sum(worker["state"] == "serving" for worker in found.workers)

    def family(self) -> list[int]:
        """The supervisor and all its children."""
        return [self.process.pid, *child_pids(self.process.pid)]

    def kill_child(self, module: str) -> int:
        """Kills the first child that runs the module; its process id."""
        victim = self.children(module)[0]
        os.kill(victim, signal.SIGKILL)
        return victim

    def kill(self) -> None:
        """Kills all of it at once."""
        for member in self.family():
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        self.process.wait()

    def client(self, **options: Any) -> httpx.Client:
        """A client with the house's address and key."""
        headers = {"authorization": f"Bearer {self.key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, **options)

    def stop(self) -> int:
        """Ends it as Ctrl-C does; its exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=STOP_S_MAX)


def house_command(*arguments: str) -> list[str]:
    """The command line of this installation."""
    return [sys.executable, "-m", "tokenmill.cli", *arguments]


def house_environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a house: nothing of the tester's own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TOKENMILL_")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # an installation has its bytecode
    return {**kept, **QUIET, **(changes or {})}


@contextlib.contextmanager
def run_house(
    folder: Path,
    *flags: str,
    command: str = "up",
    environment: Mapping[str, str] | None = None,
    wants_model: bool = True,
) -> Iterator[House]:
    """A house that serves; with `wants_model`, one that can be asked for a completion, and of which
    all workers serve."""
    state, log = folder / "state", folder / "house.log"
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            house_command(command, "--port", "0", "--state", str(state), *flags),
            env=house_environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    house = House(process, state, log)
    try:
        serving = eventually(lambda: _serving(house), "it says so", within_s=START_S_MAX)
        house.started_s = time.monotonic() - began
        house.url = serving["url"]
        house.key = Path(serving["local_key"]).read_text().strip()
        if wants_model:
            with house.client() as client:
                eventually(lambda: _has_model(client), "a model is served", within_s=START_S_MAX)
            workers = int(flags[flags.index("--workers") + 1]) if "--workers" in flags else 0
            eventually(
                lambda: house.serving_workers() >= workers, "all serve", within_s=START_S_MAX
            )
        yield house
    except BaseException:
        sys.stderr.write(log.read_text(errors="replace")[-6_000:])
        raise
    finally:
        _end(house)


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A short path: Unix sockets have little room for theirs."""
    with tempfile.TemporaryDirectory(prefix="tm-") as folder:
        yield Path(folder)


def is_running(process_id: int) -> bool:
    """Whether the process runs; one that is dead and not yet reaped does not."""
    try:
        status = Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def _serving(house: House) -> dict[str, Any] | None:
    if house.process.poll() is not None:
        raise AssertionError(f"the house ended with status {house.process.returncode}")
    found = [line for line in house.events("serving") if "url" in line]
    return found[0] if found else None


def _has_model(client: httpx.Client) -> bool:
    answer = client.get("/v1/models")
    return answer.status_code == 200 and bool(answer.json()["data"])


def child_pids(parent: int) -> list[int]:
    """Processes that this one started and that still run."""
    try:
        text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    except OSError:
        return []
    return [int(number) for number in text.split()]


def arguments_of(process_id: int) -> list[bytes]:
    """Its command line; nothing where it has ended."""
    try:
        return Path(f"/proc/{process_id}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def is_standby(process_id: int) -> bool:
    """Whether it is a control that nobody has called yet."""
    if b"--call-fd" not in arguments_of(process_id):
        return False
    try:
        return Path(f"/proc/{process_id}/comm").read_text().strip() != "tm-control"
    except OSError:
        return False


def _end(house: House) -> None:
    if house.process.poll() is not None:
        return  # its children leave with it; its number may be another process's by now
    children = child_pids(house.process.pid)
    house.process.send_signal(signal.SIGTERM)
    try:
        house.process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        house.kill()
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
