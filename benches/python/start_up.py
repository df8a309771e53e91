"""How long a house takes to its first answer, from the command to a status 200.

    .venv/bin/python benches/python/start_up.py --rounds 5

`serve` is the gateway alone (GET /livez); `up` is a chat completion of the embedded engine, on an
empty state folder (first) and on one that was used before (again). Resident memory is that of each
process after the first answer. Nothing else should run meanwhile; the file written says the load.
"""

import argparse
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx

RESULTS = Path(__file__).parents[1] / "results"
QUESTION = {"messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 8}
GIVE_UP_S = 60.0
SETTLE_S = 6.0
"""Until all that a house has is there: its standby of control comes last."""


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(client: httpx.Client, command: str, state: Path) -> bool:
    """Whether the house answers what this command is measured by."""
    try:
        if command == "serve":
            return client.get("/livez").status_code == 200
        key = (state / "local_key").read_text().strip()
        headers = {"authorization": f"Bearer {key}"}
        return client.post("/v1/chat/completions", json=QUESTION, headers=headers).is_success
    except (httpx.TransportError, OSError):
        return False


def resident_mib(supervisor: int) -> dict[str, float]:
    """Resident MiB of the supervisor and each child, by the module it runs."""
    found = {}
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    for pid in [str(supervisor), *children]:
        arguments = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        modules = [argument for argument in arguments if argument.startswith("tokenmill.")]
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        name = "supervisor" if pid == str(supervisor) else modules[0] if modules else pid
        if Path(f"/proc/{pid}/comm").read_text().strip() == "tm-standby":
            name = "standby"
        found[name] = round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)
    return found


def one_start(command: str, state: Path, settle_s: float = 0.0) -> tuple[float, dict[str, float]]:
    """Milliseconds from the command to its first answer, and the memory soon after."""
    port = free_port()
    environment = {
        **os.environ,
        "TOKENMILL_METRICS_PORT": "0",
        "TOKENMILL_DISCOVERY_PORTS": str(free_port()),
    }
    began = time.perf_counter()
    house = subprocess.Popen(
        [
            Path(sys.executable).with_name("tokenmill"),
            command,
            "--port",
            str(port),
            "--state",
            state,
        ],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            while not answers(client, command, state):
                if time.perf_counter() - began > GIVE_UP_S:
                    raise SystemExit(f"tokenmill {command} did not answer")
                time.sleep(0.005)
        took_ms = (time.perf_counter() - began) * 1_000
        time.sleep(settle_s)
        return took_ms, resident_mib(house.pid)
    finally:
        house.send_signal(signal.SIGTERM)
        house.wait(timeout=60)


def summary(times_ms: list[float]) -> dict[str, float]:
    """Median and spread of some times."""
    return {
        "median_ms": round(statistics.median(times_ms)),
        "min_ms": round(min(times_ms)),
        "max_ms": round(max(times_ms)),
    }


def main() -> None:
    """Measures, prints, and writes the results file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--name", default="start_up", help="first part of the results file's name")
    options = parser.parse_args()
    times: dict[str, list[float]] = {"serve first": [], "up first": [], "up again": []}
    memory: dict[str, float] = {}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            times["serve first"].append(one_start("serve", Path(folder) / "serve")[0])
            times["up first"].append(one_start("up", Path(folder) / "up")[0])
            again, memory = one_start("up", Path(folder) / "up", SETTLE_S)
            times["up again"].append(again)
    described = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(described, capture_output=True, text=True, check=True).stdout.strip()
    result = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "python": platform.python_version(),
        "load_average": os.getloadavg(),
        "rounds": options.rounds,
        "start_up": {name: summary(found) for name, found in times.items()},
        "resident_mib": memory,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}_{commit}_{options.name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    print(f"written: {path}")


if __name__ == "__main__":
    main()
